"""The quality numbers of an SAE, on held-out windows that it was never trained on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.capture import HiddenStates, capture_batches
from experiments.engine.concept_recovery import ConceptRecovery, HeldOutFirings, sort_firings
from experiments.engine.density_quality import DensitySums
from experiments.engine.feature_geometry import geometry_quality
from experiments.engine.kernels import SparseCode
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.reconstruction_quality import ReconstructionSums
from experiments.engine.records import Progress
from experiments.engine.sae import Sae
from experiments.engine.splice_quality import READINGS, SpliceSums, measure_splices
from experiments.engine.windows import Windows, first_windows


class Evaluation:
    """One evaluation: reconstruction, splices into the model and, where concepts were planted, their recovery."""

    def __init__(
        self,
        model: LanguageModel,
        sae: Sae,
        windows: Windows,
        concepts: tuple[str, ...] = (),
        splice_tokens: int | None = None,
    ) -> None:
        """`windows` are read through the SAE; the first that hold `splice_tokens` (None: all) are also predicted."""
        self._model, self._sae, self._windows, self._concepts = model, sae, windows, concepts
        predicts = model.kind == "causal" and model.has_head
        self._predicted = first_windows(windows, splice_tokens) if predicts else windows[:0]
        tokens = windows.text_tokens + READINGS * self._predicted.tokens.size
        self._pace = Pace("evaluation", tokens, tokens)
        self._firings: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self._positions: list[NDArray[np.int64]] = []
        self._kept_tokens = 0

    def run(self, folder: ExperimentFolder) -> Generator[Progress, None, dict[str, Any]]:
        """Returns the quality numbers and writes quality.json (and feature_concepts.json); yields Progress."""
        sums = ReconstructionSums(self._sae.output_width)
        densities = DensitySums(self._sae.description.n_features, self._sae.device)
        outliers = yield from self._reconstruct(sums, densities)
        splices = SpliceSums()
        yield from self._splice(sums, splices)
        quality: dict[str, Any] = sums.quality(self._sae.description.k) | densities.quality()
        quality |= {"held_out_tokens": sums.tokens, "outliers_left_out": outliers} | splices.quality()
        quality |= geometry_quality(self._sae.weights)
        quality["intervals"] = sums.intervals() | splices.intervals()
        if self._concepts:
            quality["concepts"] = yield from self._recover_concepts(folder)
        write_json(folder.quality, quality)
        return quality

    def _reconstruct(self, sums: ReconstructionSums, densities: DensitySums) -> Generator[Progress, None, int]:
        outliers, documents = 0, self._windows.documents.reshape(-1)
        for (batch,) in capture_batches(self._model, self._windows, [self._sae.reading()]):
            code = self._sae.encode(batch.states)
            targets = batch.further[0] if batch.further else batch.states
            sums.add(targets, code, self._sae.decode(code, batch.states), documents[batch.positions])
            densities.add(code, batch.positions // self._windows.tokens.shape[1])
            outliers += batch.outliers_left_out
            if self._concepts:
                self._remember(code, batch)
            yield from self._advance(len(batch.states) + batch.outliers_left_out, "reconstructing")
        return outliers

    def _splice(self, sums: ReconstructionSums, splices: SpliceSums) -> Generator[Progress, None, None]:
        for tokens in measure_splices(self._model, self._sae, self._predicted, sums.mean, splices):
            yield from self._advance(READINGS * tokens, "predicting with the reconstruction")

    def _remember(self, code: SparseCode, batch: HiddenStates) -> None:
        features, tokens, activations = code.to_numpy()
        self._firings.append((features, tokens + self._kept_tokens, activations))
        self._positions.append(batch.positions)
        self._kept_tokens += len(code)

    def _recover_concepts(self, folder: ExperimentFolder) -> Generator[Progress, None, dict[str, Any]]:
        features, tokens, activations = (np.concatenate(parts) for parts in zip(*self._firings, strict=True))
        positions = np.concatenate(self._positions)
        flags = self._windows.concept_flags(len(self._concepts)).reshape(-1, len(self._concepts))[positions]
        documents = self._windows.documents.reshape(-1)[positions]
        held_out = HeldOutFirings(sort_firings(features, tokens, activations), documents, flags)
        titles = {name: CONCEPTS[name].title for name in self._concepts}
        recovery = ConceptRecovery(held_out, self._concepts, titles, self._sae.description.n_features)
        for _ in recovery.run():
            yield from self._advance(0, "looking for planted concepts")
        write_json(folder.feature_concepts, recovery.by_feature())
        return recovery.summary()

    def _advance(self, tokens: int, note: str) -> Generator[Progress, None, None]:
        self._pace.advance(tokens, steps=tokens)
        if self._pace.due:
            yield self._pace.report(note)
