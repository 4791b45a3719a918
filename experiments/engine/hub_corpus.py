"""Documents of a data set on the hub, in its own order, with one sentence for everything that can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from datasets import IterableDataset, get_dataset_config_names, get_dataset_split_names, load_dataset
from huggingface_hub import HfApi

from experiments.engine.config import CorpusConfig
from experiments.engine.conversations import conversation_text
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.documents import choose_column
from experiments.engine.hub import CONNECT_SECONDS, known_reason, patiently

DEFAULT_SPLIT = "train"


def data_set_commit(corpus: CorpusConfig) -> str:
    """The commit that the data set's revision stands for now. Raises HubError."""

    def ask() -> str:
        return str(HfApi().dataset_info(corpus.name, revision=corpus.revision, timeout=CONNECT_SECONDS).sha)

    return patiently(ask, corpus.name, "data set")


class HubTexts:
    """The texts of one column of one split at `commit`, streamed, or downloaded whole first; blank ones included.

    The position is what the `datasets` library says it is (`IterableDataset.state_dict`), beside the row's number.
    Iterating raises HubError when the hub fails, and CorpusError for a configuration, split or column that is not there
    (naming those that are), values that are not text, and data sets that need code of their own.
    """

    def __init__(self, corpus: CorpusConfig, commit: str, position: Any = None) -> None:
        self._corpus, self._commit = corpus, commit
        self._place = position
        self._taken: int = position["row"] if position else 0
        self._rows: IterableDataset | None = None

    def __iter__(self) -> Iterator[str]:
        self._rows = _open(self._corpus, self._commit)
        if self._place:
            self._rows.load_state_dict(self._place["state"])
        column: str | None = None
        try:
            for row in self._rows:
                column = column or choose_column(list(row), self._corpus.column, chat=self._corpus.chat_template)
                self._taken += 1
                yield _text_of(row, column, self._taken - 1, chat=self._corpus.chat_template)
        except Exception as error:  # of the hub, the file format or the network; each becomes a sentence
            raise _explained(error, self._corpus) from error

    def position(self) -> Any:
        return {"row": self._taken, "state": self._rows.state_dict()} if self._rows else self._place


def _text_of(row: Mapping[str, Any], column: str, number: int, *, chat: bool) -> str:
    place, value = f"Row {number:,} of column “{column}”", row.get(column)
    text = conversation_text(value, place) if chat else value or ""
    if not isinstance(text, str):
        raise CorpusError(f"{place} holds {type(text).__name__} values, not text.")
    # One broken row among millions is no reason to refuse the rest, as it is in a file that its owner can mend.
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _open(corpus: CorpusConfig, commit: str) -> IterableDataset:
    split = corpus.split or DEFAULT_SPLIT
    try:
        rows = load_dataset(corpus.name, corpus.configuration, split=split, revision=commit, streaming=corpus.streaming)
        return rows if corpus.streaming else rows.to_iterable_dataset()
    except Exception as error:  # the library raises many kinds; each becomes a sentence
        raise _choice_missing(corpus, split, commit) or _explained(error, corpus) from error


def _choice_missing(corpus: CorpusConfig, split: str, commit: str) -> CorpusError | None:
    """The sentence for a configuration or split that is not there or was not chosen, if that is the reason."""
    configurations = _names(lambda: get_dataset_config_names(corpus.name, revision=commit))
    if configurations and corpus.configuration not in (*configurations, None):
        there = ", ".join(configurations[:20])
        return CorpusError(f"“{corpus.name}” has no configuration “{corpus.configuration}”; choose one of {there}.")
    if len(configurations) > 1 and corpus.configuration is None:
        there = ", ".join(configurations[:20])
        return CorpusError(f"“{corpus.name}” has several configurations; choose one of {there}.")
    splits = _names(lambda: get_dataset_split_names(corpus.name, corpus.configuration, revision=commit))
    if splits and split not in splits:
        return CorpusError(f"“{corpus.name}” has no split “{split}”; choose one of {', '.join(splits[:20])}.")
    return None


def _names(ask: Callable[[], Sequence[str]]) -> list[str]:
    try:
        return list(ask())
    except Exception:  # asked only to word a sentence better
        return []


def _explained(error: Exception, corpus: CorpusConfig) -> ValueError:
    if isinstance(error, CorpusError):
        return error
    if "scripts are no longer supported" in str(error):
        return CorpusError(f"“{corpus.name}” needs its own Python code to be read, which is never run.")
    unreadable = f"“{corpus.name}” holds nothing that can be read as rows of text ({type(error).__name__})."
    return known_reason(error, corpus.name, "data set") or CorpusError(unreadable)
