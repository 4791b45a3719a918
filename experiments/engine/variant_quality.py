"""The same numbers as other tools define them, beside ours, each named after whose it is.

They depend on the batch (ours does not), and some on what happens at special tokens; docs/metrics says how they differ.
A batch here is one of the capture. Numbers of other versions of these tools may differ again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from experiments.engine.splice_quality import Predictions


@dataclass
class VariantSums:
    """Collects batches: for each number the sum over batches, or over tokens where that is what is averaged."""

    batches: int = 0
    tokens: int = 0
    predictions: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, states: Tensor, reconstruction: Tensor) -> None:
        """Takes hidden states and their reconstructions [T, width]; T is at least 2."""
        if len(states) < 2:
            return
        states, error = states.cpu().double(), (states - reconstruction).cpu().double()
        squared, centred = error.square().sum(1), (states - states.mean(0)).square().sum(1)
        self.batches += 1
        self.tokens += len(states)
        self._count("squared_norm", states.square().sum(1).mean())
        self._count("scalar_mean", states.mean())
        self._count("error", squared.mean())
        self._count("legacy", (1 - squared / centred).sum())
        self._count("sparsify_fvu", squared.sum() / centred.sum())
        self._count("explained_of_difference", 1 - error.var(0).sum() / states.var(0).sum())
        self._count("openai_nmse", (squared / states.square().sum(1)).sum())
        self._count("error_by_batch", squared.mean() / len(states))

    def add_predictions(self, predictions: Predictions) -> None:
        """Reads the windows twice more, with every position replaced, special tokens and outliers included."""
        self.predictions += len(predictions)
        zero = predictions.losses(predictions.everywhere(torch.zeros_like))
        self._count("zero_everywhere", zero.cpu().double().sum())
        if predictions.is_autoencoder:
            spliced = predictions.losses(predictions.everywhere(predictions.reconstruction))
            self._count("spliced_everywhere", spliced.cpu().double().sum())

    def quality(self, clean: float | None, spliced: float | None) -> dict[str, float]:
        """The variants; `clean` and `spliced` are our cross-entropies, None without predictions."""
        found = self._reconstruction() if self.batches else {}
        if self.predictions and clean is not None and spliced is not None:
            found |= self._cross_entropies(clean, spliced)
        return found

    def _reconstruction(self) -> dict[str, float]:
        batches = {name: total / self.batches for name, total in self.sums.items()}
        return {
            "saelens_6_18_explained_variance": 1
            - batches["error"] / (batches["squared_norm"] - batches["scalar_mean"] ** 2),
            "saebench_paper_explained_variance": self.sums["legacy"] / self.tokens,
            "sparsify_fvu": batches["sparsify_fvu"],
            "dictionary_learning_variance_explained": batches["explained_of_difference"],
            "openai_nmse": self.sums["openai_nmse"] / self.tokens,
            "saebench_mse": batches["error_by_batch"],
        }

    def _cross_entropies(self, clean: float, spliced: float) -> dict[str, float]:
        zero = self.sums["zero_everywhere"] / self.predictions
        found = {"saelens_ce_zero": zero, "saelens_ce_recovered": (zero - spliced) / (zero - clean)}
        if "spliced_everywhere" in self.sums:
            everywhere = self.sums["spliced_everywhere"] / self.predictions
            found["saebench_default_ce_spliced"] = everywhere
            found["saebench_default_ce_recovered"] = (zero - everywhere) / (zero - clean)
        return found

    def _count(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(value)
