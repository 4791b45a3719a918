"""The harvest: one pass of the SAE over text, every activation kept, every feature summarised, all of it in Parquet.

`activations` is sorted by feature and then by falling activation, so that a feature's strongest examples are the first
rows of its stretch; `features` holds one summary per feature. A position is window * context_length + offset. The
files are described in docs/activation-index.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.activation_spill import ActivationSpill
from experiments.engine.artifacts import ExperimentFolder, replace_folder, sha256_of, write_json
from experiments.engine.capture import HiddenStates, capture_batches, windows_per_batch
from experiments.engine.corpus import WindowSet
from experiments.engine.feature_directions import FeatureDirections
from experiments.engine.feature_statistics import HarvestedText, summarise
from experiments.engine.index_tables import ACTIVATIONS, FEATURES, TableWriter, write_documents, write_tokens
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.records import Progress
from experiments.engine.sae import Sae
from experiments.engine.windows import NO_DOCUMENT, Windows, first_windows

UNFINISHED = ".index-unfinished"
LAYOUT_VERSION = 2  # of what lies there


def harvest(
    model: LanguageModel, sae: Sae, windows: WindowSet, wanted_tokens: int, folder: ExperimentFolder
) -> Generator[Progress, None, dict[str, Any]]:
    """Writes the index of `folder` from the first training windows that hold `wanted_tokens`; yields Progress.

    Returns how much was harvested. The index appears as a whole or not at all. What was read when the generator is
    closed or its process killed is kept beside it, and the next call with the same weights and text goes on there.
    """
    text = first_windows(windows.training, wanted_tokens)
    unfinished = _open_unfinished(folder, windows.key, len(text))
    made = ExperimentFolder(unfinished)
    shutil.rmtree(made.index, ignore_errors=True)
    made.index.mkdir()
    spill = ActivationSpill(unfinished / "parts", sae.description.n_features)
    harvested = yield from _Harvest(model, sae, text, spill, made).run(_planted_concepts(folder))
    write_documents(text, windows.kinds, made.documents)
    write_json(made.vocabulary, model.token_texts())
    replace_folder(made.index, folder.index)
    shutil.rmtree(unfinished)
    return {
        "tokens": harvested.tokens,
        "documents": len(np.setdiff1d(text.documents, [NO_DOCUMENT])),
        "features": sae.description.n_features,
        "firing_features": harvested.firing_features,
        "activations": len(spill),
    }


@dataclass(frozen=True)
class _Harvested:
    tokens: int
    firing_features: int


class _Harvest:
    def __init__(
        self, model: LanguageModel, sae: Sae, windows: Windows, spill: ActivationSpill, made: ExperimentFolder
    ) -> None:
        self._model, self._sae, self._windows, self._spill, self._made = model, sae, windows, spill, made
        done = windows[: spill.stop].text_tokens
        self._pace = Pace("harvest", windows.text_tokens, windows.text_tokens, done, done)

    def run(self, concepts: dict[int, dict[str, Any]]) -> Generator[Progress, None, _Harvested]:
        yield from self._read()
        read = self._tokens_read()
        write_tokens(self._windows, read, self._made.tokens)
        text = self._text(read)
        firing_features = yield from self._sort_and_summarise(text, concepts)
        return _Harvested(text.tokens_read, firing_features)

    def _read(self) -> Generator[Progress, None, None]:
        """The activations of the windows that are not in the spill yet."""
        context_length, done = self._windows.tokens.shape[1], self._spill.stop
        size, offset = windows_per_batch(self._model, context_length), done * context_length
        for (batch,) in capture_batches(self._model, self._windows[done:], [self._sae.reading()]):
            done = min(len(self._windows), done + size)
            features, rows, activations = self._sae.encode(batch.states).to_numpy()
            self._spill.add(batch.positions + offset, features, rows, activations, done)
            self._advance(batch)
            if self._pace.due:
                yield self._pace.report("collecting activations")
        self._spill.finish_part()

    def _advance(self, batch: HiddenStates) -> None:
        tokens = len(batch.positions) + batch.outliers_left_out
        self._pace.advance(tokens, steps=tokens)

    def _tokens_read(self) -> NDArray[np.bool_]:
        """Which positions the SAE has read: not the special tokens and outliers."""
        read = np.zeros(self._windows.tokens.size, bool)
        for part in self._spill.parts:
            read[part.read] = True
        return read

    def _text(self, read: NDArray[np.bool_]) -> HarvestedText:
        token_at, texts = self._windows.tokens.reshape(-1), self._model.token_texts()
        occurrences = np.bincount(token_at[read], minlength=len(texts))
        documents = self._windows.documents.reshape(-1)
        return HarvestedText(token_at, documents, int(np.count_nonzero(read)), occurrences, texts)

    def _sort_and_summarise(
        self, text: HarvestedText, concepts: dict[int, dict[str, Any]]
    ) -> Generator[Progress, None, int]:
        """Returns how many features fire."""
        weights, unembedding = self._sae.weights, self._model.unembedding(self._sae.description.output_place)
        directions = FeatureDirections(weights.encoder, weights.decoder, unembedding, text.texts)
        firing, ranges = 0, self._spill.ranges()
        with (
            TableWriter(self._made.activations, ACTIVATIONS) as activations,
            TableWriter(self._made.features, FEATURES) as features,
        ):
            for number, (first, stop) in enumerate(ranges, start=1):
                found = self._spill.sorted_range(first, stop)
                activations.add_columns(found.features, found.positions, found.activations)
                described = directions.describe(first, stop)
                rows = [
                    summary | direction | {"concept": concepts.get(summary["index"])}
                    for summary, direction in zip(summarise(found, text), described, strict=True)
                ]
                features.add_rows(rows)
                firing += sum(row["firings"] > 0 for row in rows)
                yield self._pace.report(f"sorting activations, part {number} of {len(ranges)}")
        return firing


def _planted_concepts(folder: ExperimentFolder) -> dict[int, dict[str, Any]]:
    """The planted concept that the evaluation found for each feature; empty for text without planted concepts."""
    if not folder.feature_concepts.exists():
        return {}
    found = json.loads(folder.feature_concepts.read_text(encoding="utf-8"))
    return {int(feature): concept for feature, concept in found.items()}


def _open_unfinished(folder: ExperimentFolder, text_key: str, windows: int) -> Path:
    """Where the harvest collects what it reads: with what a stopped one left there, if that is of the same harvest.

    An experiment is worked on by one process at a time.
    """
    unfinished = folder.path / UNFINISHED
    belongs_to = unfinished / "harvest.json"
    harvested = {
        "layout": LAYOUT_VERSION,
        "weights": sha256_of(folder.weights),
        "text": text_key,
        "windows": windows,
    }
    if not belongs_to.exists() or json.loads(belongs_to.read_text(encoding="utf-8")) != harvested:
        shutil.rmtree(unfinished, ignore_errors=True)
        write_json(belongs_to, harvested)
    return unfinished
