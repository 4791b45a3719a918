"""The quality numbers of an SAE, on held-out windows that it was never trained on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.capture import capture_batches
from experiments.engine.concept_quality import ConceptQuality
from experiments.engine.density_quality import DensitySums
from experiments.engine.feature_geometry import geometry_quality
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.reconstruction_quality import ReconstructionSums
from experiments.engine.records import Progress
from experiments.engine.sae import Sae
from experiments.engine.splice_quality import READINGS, SpliceSums, measure_splices
from experiments.engine.variant_quality import VariantSums
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
        *,
        variants: bool = False,
    ) -> None:
        """`windows` are read through the SAE; the first that hold `splice_tokens` (None: all) are also predicted.

        With `variants`, numbers as other tools define them are measured beside ours.
        """
        self._model, self._sae, self._windows = model, sae, windows
        predicts = model.kind == "causal" and model.has_head
        self._predicted = first_windows(windows, splice_tokens) if predicts else windows[:0]
        tokens = windows.text_tokens + READINGS * self._predicted.tokens.size
        self._pace = Pace("evaluation", tokens, tokens)
        self._variants = VariantSums() if variants else None
        self._concepts = ConceptQuality(sae, windows, concepts, model.token_texts()) if concepts else None

    def run(self, folder: ExperimentFolder) -> Generator[Progress, None, dict[str, Any]]:
        """Returns the quality numbers and writes quality.json (and feature_concepts.json); yields Progress."""
        sums = ReconstructionSums(self._sae.output_width)
        densities = DensitySums(self._sae.description.n_features, self._sae.device)
        outliers = yield from self._reconstruct(sums, densities)
        splices = SpliceSums()
        yield from self._splice(sums, splices)
        quality: dict[str, Any] = sums.quality() | densities.quality()
        quality |= {"held_out_tokens": sums.tokens, "outliers_left_out": outliers} | splices.quality()
        quality |= geometry_quality(self._sae.weights)
        if self._variants:
            quality["variants"] = self._variants.quality(quality["ce_clean"], quality["ce_spliced"])
        quality["intervals"] = sums.intervals() | splices.intervals()
        if self._concepts:
            found = yield from self._look_for_concepts(self._concepts, folder)
            quality |= found | {"intervals": quality["intervals"] | found["intervals"]}
        write_json(folder.quality, quality)
        return quality

    def _reconstruct(self, sums: ReconstructionSums, densities: DensitySums) -> Generator[Progress, None, int]:
        outliers, documents = 0, self._windows.documents.reshape(-1)
        for (batch,) in capture_batches(self._model, self._windows, [self._sae.reading()]):
            code = self._sae.encode(batch.states)
            targets = batch.further[0] if batch.further else batch.states
            reconstruction = self._sae.decode(code, batch.states)
            sums.add(targets, code, reconstruction, documents[batch.positions])
            if self._variants:
                self._variants.add(targets, reconstruction)
            densities.add(code, batch.positions // self._windows.tokens.shape[1])
            outliers += batch.outliers_left_out
            if self._concepts:
                self._concepts.add(batch.positions, targets, code)
            yield from self._advance(len(batch.states) + batch.outliers_left_out, "reconstructing")
        return outliers

    def _splice(self, sums: ReconstructionSums, splices: SpliceSums) -> Generator[Progress, None, None]:
        observe = self._variants.add_predictions if self._variants else lambda predictions: None
        for tokens in measure_splices(self._model, self._sae, self._predicted, sums.mean, splices, observe):
            yield from self._advance(READINGS * tokens, "predicting with the reconstruction")

    def _look_for_concepts(
        self, concepts: ConceptQuality, folder: ExperimentFolder
    ) -> Generator[Progress, None, dict[str, Any]]:
        looking = concepts.run(folder)
        while True:
            try:
                yield from self._advance(0, next(looking))
            except StopIteration as end:
                found: dict[str, Any] = end.value
                return found

    def _advance(self, tokens: int, note: str) -> Generator[Progress, None, None]:
        self._pace.advance(tokens, steps=tokens)
        if self._pace.due:
            yield self._pace.report(note)
