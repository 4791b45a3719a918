"""The catalogue: one row per feature, imported from the files of the harvest when an experiment finishes.

What a gallery filters, sorts and shows is put into the row, so that lists never open a Parquet file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings

from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, Example, ExamplePage
from features.models import Feature, FeatureWords
from features.services.search import store_tokens, words_of_feature
from latentlens.lib.settled_tables import settle

# What is in memory at once: enough to be quick, little enough for a small machine.
ACTIVATIONS_AT_ONCE = 2_000_000
FEATURES_AT_ONCE = 256

# Below this F1 the best planted concept of a feature is a coincidence and not a name for it.
CONCEPT_F1_MINIMUM = 0.5

TOKENS_ON_CARD = 6
EXAMPLES_ON_CARD = 3
_SUMMARY = (
    "histogram",
    "quantiles",
    "top_tokens",
    "promoted",
    "suppressed",
    "logit_histogram",
    "nearest",
    "nearest_by_encoder",
    "inputs",
    "concept",
)
_KEY = ("experiment", "index")


def import_catalogue(experiment_id: int) -> int:
    """Brings the feature rows of an experiment up to its files, and returns how many there are.

    The MAX_FEATURES most frequent features are taken (0: all). Importing again changes numbers, never labels: a
    feature that is no longer among the chosen goes, unless somebody has labelled it. Raises IndexUnavailable.
    """
    index = ActivationIndex(experiment_folder(experiment_id))
    chosen = index.most_frequent(settings.MAX_FEATURES)
    for chunk in _chunks(chosen):
        _import_chunk(experiment_id, index, chunk)
    _forget_others(experiment_id, {feature for feature, _ in chosen})
    settle(Feature, FeatureWords)
    return len(chosen)


def _chunks(chosen: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """The chosen indices, in order, in chunks of bounded memory; a chunk has at least one feature."""
    chunk: list[int] = []
    activations = 0
    for feature, firings in chosen:
        if chunk and (len(chunk) == FEATURES_AT_ONCE or activations + firings > ACTIVATIONS_AT_ONCE):
            yield chunk
            chunk, activations = [], 0
        chunk.append(feature)
        activations += firings
    if chunk:
        yield chunk


def _import_chunk(experiment_id: int, index: ActivationIndex, chunk: Sequence[int]) -> None:
    best = index.best_examples(chunk[0], chunk[-1], EXAMPLES_ON_CARD)
    rows = [
        Feature(experiment_id=experiment_id, **_columns(row, best.get(row["index"], ExamplePage())))
        for row in index.summaries(chunk)
    ]
    names = [field.name for field in Feature._meta.concrete_fields if not field.primary_key]
    Feature.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=_KEY,
        update_fields=[name for name in names if name not in _KEY],
    )
    store_tokens([_words(row) for row in rows])


def _words(feature: Feature) -> FeatureWords:
    top, promoted = feature.summary["top_tokens"], feature.summary["promoted"]
    return words_of_feature(feature.pk, [token["text"] for token in top], [token["text"] for token in promoted])


def _columns(row: Mapping[str, Any], best: ExamplePage) -> dict[str, Any]:
    texts = [token["text"] for token in row["top_tokens"]]
    concept = row["concept"] if row["concept"] and row["concept"]["f1"] >= CONCEPT_F1_MINIMUM else {}
    return {
        "index": row["index"],
        "tokens": row["tokens"],
        "firings": row["firings"],
        "documents": row["documents"],
        "density": row["density"],
        "max_activation": row["max_activation"],
        "mean_activation": row["mean_activation"],
        "token_share": row["top_tokens"][0]["share"] if row["top_tokens"] else 0.0,
        "concept": concept.get("name", ""),
        "concept_f1": concept.get("f1"),
        "card": {"tokens": texts[:TOKENS_ON_CARD], "examples": [_card_example(example) for example in best.items]},
        "summary": {name: row[name] for name in _SUMMARY if name in row},  # older indexes have fewer columns
    }


def _card_example(example: Example) -> dict[str, Any]:
    return {
        "activation": example.activation,
        "position": example.position,
        "tokens": [{"text": token.text, "activation": token.activation} for token in example.tokens],
    }


def _forget_others(experiment_id: int, chosen: set[int]) -> None:
    others = Feature.objects.filter(experiment=experiment_id, labels=None)
    stale = [key for key, index in others.values_list("pk", "index").iterator() if index not in chosen]
    for start in range(0, len(stale), FEATURES_AT_ONCE):
        Feature.objects.filter(pk__in=stale[start : start + FEATURES_AT_ONCE]).delete()
