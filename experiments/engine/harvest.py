"""The harvest: one pass of the SAE over text, every activation kept, every feature summarised, all of it in Parquet.

`activations` is sorted by feature and then by falling activation, so that a feature's strongest examples are the first
rows of its stretch; `features` holds one summary per feature. A position is window * context_length + offset.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.activation_spill import ActivationSpill
from experiments.engine.artifacts import ExperimentFolder, replace_folder, write_json
from experiments.engine.capture import HiddenStates, capture_batches
from experiments.engine.corpus import WindowSet
from experiments.engine.feature_directions import FeatureDirections
from experiments.engine.feature_statistics import HarvestedText, summarise
from experiments.engine.index_tables import ACTIVATIONS, FEATURES, TableWriter, write_documents, write_tokens
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.records import Progress
from experiments.engine.sae import Sae
from experiments.engine.windows import NO_DOCUMENT, Windows, first_windows

UNFINISHED = ".index-"


def harvest(
    model: LanguageModel, sae: Sae, windows: WindowSet, wanted_tokens: int, folder: ExperimentFolder
) -> Generator[Progress, None, dict[str, Any]]:
    """Writes the index of `folder` from the first training windows that hold `wanted_tokens`; yields Progress.

    Returns how much was harvested. The index appears as a whole or not at all; closing the generator leaves nothing.
    """
    text = first_windows(windows.training, wanted_tokens)
    _remove_unfinished(folder.path)
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=UNFINISHED) as unfinished:
        made = ExperimentFolder(Path(unfinished))
        made.index.mkdir()
        harvested = yield from _Harvest(model, sae, text, made).run(_planted_concepts(folder))
        write_tokens(text, made.tokens)
        write_documents(text, windows.kinds, made.documents)
        write_json(made.vocabulary, model.token_texts())
        replace_folder(made.index, folder.index)
    return {
        "tokens": harvested.tokens,
        "documents": len(np.setdiff1d(text.documents, [NO_DOCUMENT])),
        "features": sae.description.n_features,
        "firing_features": harvested.firing_features,
        "activations": harvested.activations,
    }


@dataclass
class _Harvested:
    tokens: int = 0
    activations: int = 0
    firing_features: int = 0


class _Harvest:
    def __init__(self, model: LanguageModel, sae: Sae, windows: Windows, made: ExperimentFolder) -> None:
        self._model, self._sae, self._windows, self._made = model, sae, windows, made
        self._texts = model.token_texts()
        self._occurrences = np.zeros(len(self._texts), dtype=np.int64)
        self._pace = Pace("harvest", windows.text_tokens, windows.text_tokens)
        self._harvested = _Harvested()

    def run(self, concepts: dict[int, dict[str, Any]]) -> Generator[Progress, None, _Harvested]:
        expected = round(self._windows.text_tokens * self._sae.description.expected_l0)
        with ActivationSpill(self._made.path, self._sae.description.n_features, expected) as spill:
            for (batch,) in capture_batches(self._model, self._windows, [self._sae.reading()]):
                self._encode(batch, spill)
                if self._pace.due:
                    yield self._pace.report("collecting activations")
            yield from self._sort_and_summarise(spill, concepts)
        return self._harvested

    def _encode(self, batch: HiddenStates, spill: ActivationSpill) -> None:
        code = self._sae.encode(batch.states)
        features, rows, activations = code.to_numpy()
        spill.add(features, batch.positions[rows], activations)
        tokens = self._token_at()[batch.positions]
        self._occurrences += np.bincount(tokens, minlength=len(self._occurrences))
        self._harvested.tokens += len(code)
        self._harvested.activations += len(rows)
        self._pace.advance(len(code) + batch.outliers_left_out, steps=len(code) + batch.outliers_left_out)

    def _sort_and_summarise(
        self, spill: ActivationSpill, concepts: dict[int, dict[str, Any]]
    ) -> Generator[Progress, None, None]:
        text = HarvestedText(self._token_at(), self._harvested.tokens, self._occurrences, self._texts)
        directions = FeatureDirections(
            self._sae.weights.decoder, self._model.unembedding(self._sae.description.output_place), self._texts
        )
        with (
            TableWriter(self._made.activations, ACTIVATIONS) as activations,
            TableWriter(self._made.features, FEATURES) as features,
        ):
            for number in range(len(spill)):
                found = spill.sorted_range(number)
                activations.add_columns(found.features, found.positions, found.activations)
                described = directions.describe(found.first, found.stop)
                rows = [
                    summary | direction | {"concept": concepts.get(summary["index"])}
                    for summary, direction in zip(summarise(found, text), described, strict=True)
                ]
                features.add_rows(rows)
                self._harvested.firing_features += sum(row["firings"] > 0 for row in rows)
                yield self._pace.report(f"sorting activations, part {number + 1} of {len(spill)}")

    def _token_at(self) -> NDArray[np.int32]:
        return self._windows.tokens.reshape(-1)


def _planted_concepts(folder: ExperimentFolder) -> dict[int, dict[str, Any]]:
    """The planted concept that the evaluation found for each feature; empty for text without planted concepts."""
    if not folder.feature_concepts.exists():
        return {}
    found = json.loads(folder.feature_concepts.read_text(encoding="utf-8"))
    return {int(feature): concept for feature, concept in found.items()}


def _remove_unfinished(folder: Path) -> None:
    """What a killed process left behind; an experiment is worked on by one process at a time."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
