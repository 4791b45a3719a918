"""Full-text search over labels, notes and top tokens: FTS5 on SQLite, text vectors with GIN indexes on Postgres.

Both databases are given plain words (letters and digits, case and accents folded, blanks between them), so they find
the same, and nothing that people type is ever syntax. `FeatureWords` is written here alone: when a catalogue is
imported, and by `features.services.labels` with every change of a label. On SQLite triggers keep the FTS5 table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db.models import BooleanField, F, Func, Q

from features.models import FeatureWords, Label
from features.search_words import TokenKind, distinct_words, exact_tokens, token_word, words_of

_ROWS_AT_ONCE = 1_000


def holding_words(text: str) -> Q:
    """Features whose labels, notes or top tokens hold every word of `text`, the last one also as a beginning.

    A text without any word (only punctuation, say) is held by no feature.
    """
    words = words_of(text)
    if not words:
        return Q(pk__in=[])
    fts5 = " AND ".join(f'"{word}"' for word in words)
    tsquery = " & ".join(f"'{word}'" for word in words)
    return Q(_Matches("words", f"{{tokens labels}} : ({fts5} *)", f"{tsquery}:*"))


def having_token(kind: TokenKind, token: str) -> Q:
    """Features that have `token` among their top (or promoted) tokens; case and blanks around it do not count."""
    word = token_word(kind, token)
    return Q(_Matches("exact_tokens", f'exact_tokens : "{word}"', f"'{word}'"))


def words_of_feature(feature_id: int, top: Iterable[str], promoted: Iterable[str]) -> FeatureWords:
    """What the index holds of a feature's tokens, not yet stored."""
    top = list(top)
    return FeatureWords(feature_id=feature_id, tokens=distinct_words(*top), exact_tokens=exact_tokens(top, promoted))


def store_tokens(rows: Sequence[FeatureWords]) -> None:
    """Brings the index up to the tokens of a catalogue; what it holds of labels stays."""
    FeatureWords.objects.bulk_create(
        rows,
        batch_size=_ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["feature"],
        update_fields=["tokens", "exact_tokens"],
    )


def store_labels(features: Collection[int]) -> None:
    """Brings the index up to the labels that these features have and nobody has withdrawn; two queries a thousand."""
    wanted = sorted(set(features))
    for start in range(0, len(wanted), _ROWS_AT_ONCE):
        chunk = wanted[start : start + _ROWS_AT_ONCE]
        said: dict[int, list[str]] = defaultdict(list)
        labels = Label.objects.filter(feature__in=chunk, withdrawn_at=None).order_by("pk")
        for feature_id, text, note in labels.values_list("feature", "text", "note"):
            said[feature_id] += [text, note]
        rows = [FeatureWords(feature_id=key, labels=distinct_words(*said[key])) for key in chunk]
        FeatureWords.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["feature"], update_fields=["labels"]
        )


class _Matches(Func):
    """Of features: their words match, as each database spells it; `vector` is the column that Postgres looks in.

    The queries are made of quoted words alone, and are parameters nevertheless.
    """

    output_field = BooleanField()

    def __init__(self, vector: str, fts5: str, tsquery: str) -> None:
        super().__init__(F("pk"))
        self.vector, self.fts5, self.tsquery = vector, fts5, tsquery

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        words = "SELECT rowid FROM features_words_fts WHERE features_words_fts MATCH %s"
        return self._among(compiler, words, self.fts5)

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        matches = f"{self.vector} @@ to_tsquery('simple', %s)"
        words = f"SELECT feature_id FROM features_featurewords WHERE {matches}"  # noqa: S608 - of constants alone
        return self._among(compiler, words, self.tsquery)

    def _among(self, compiler: Any, found: str, query: str) -> tuple[str, tuple[Any, ...]]:
        key, parameters = compiler.compile(self.source_expressions[0])
        return f"{key} IN ({found})", (*parameters, query)
