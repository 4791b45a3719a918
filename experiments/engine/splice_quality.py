"""What the model can still predict when its hidden states at one site are replaced.

The same text is read with the hidden states untouched (clean), replaced by the SAE's reconstruction (spliced), by
zeros, and by their mean. Special tokens and outliers keep their own hidden state in all of them, so that BOS is never
ablated; a prediction counts when the token it is made from is text, whatever the token it is of, but not padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from experiments.engine.capture import windows_per_batch
from experiments.engine.language_model import LanguageModel, Splice
from experiments.engine.sae import Sae
from experiments.engine.windows import NO_DOCUMENT, Windows

Replacement = Callable[[Tensor], Tensor]

# Names of the numbers, all None for a model that predicts no next token.
SPLICE_NUMBERS = (
    "ce_clean",
    "ce_spliced",
    "ce_zero",
    "ce_mean",
    "ce_recovered_zero",
    "ce_recovered_mean",
    "ce_gap",
    "kl",
    "identity_gap",
    "ce_tokens",
)
READINGS = 4  # of every window: clean, spliced, zero and mean


@dataclass
class SpliceSums:
    """Sums in nats over all predictions, float64."""

    predictions: int = 0
    losses: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("clean", "spliced", "zero", "mean"), 0.0))
    divergence: float = 0.0
    identity_gap: float = 0.0

    def quality(self) -> dict[str, float | None]:
        """Cross-entropies, the shares recovered against both ablations, and KL(clean || spliced), in nats per token."""
        if not self.predictions:
            return dict.fromkeys(SPLICE_NUMBERS)
        clean, spliced, zero, mean = (self.losses[name] / self.predictions for name in self.losses)
        return {
            "ce_clean": clean,
            "ce_spliced": spliced,
            "ce_zero": zero,
            "ce_mean": mean,
            "ce_recovered_zero": _recovered(clean, spliced, zero),
            "ce_recovered_mean": _recovered(clean, spliced, mean),
            "ce_gap": spliced - clean,
            "kl": self.divergence / self.predictions,
            "identity_gap": self.identity_gap,
            "ce_tokens": self.predictions,
        }


def measure_splices(
    model: LanguageModel, sae: Sae, windows: Windows, mean_state: Tensor, sums: SpliceSums
) -> Iterator[int]:
    """Adds all `windows` to `sums`; yields the tokens of every batch that is done."""
    size = windows_per_batch(model, windows.tokens.shape[1], with_logits=True)
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        _add_batch(model, sae, batch, mean_state, sums)
        yield batch.tokens.size


def _add_batch(model: LanguageModel, sae: Sae, batch: Windows, mean_state: Tensor, sums: SpliceSums) -> None:
    text = torch.from_numpy(~batch.special)
    followed = torch.from_numpy(batch.documents[:, 1:] != NO_DOCUMENT)
    counted = (text[:, :-1] & followed).to(model.device)
    targets = torch.from_numpy(batch.tokens[:, 1:].astype(np.int64)).to(model.device)[counted][:, None]
    about = sae.description
    average = mean_state.to(model.device, torch.float32)

    def predictions(replace: Replacement | None) -> Tensor:
        """Log-probabilities [predictions, vocabulary]."""
        splice = None
        if replace is not None:
            kept = _keeping_outliers(replace, about.norm_limit)
            splice = Splice(about.layer, about.output_place.site, kept, text)
        return model.logits(batch.tokens, splice, batch.attention_mask)[:, :-1][counted].log_softmax(-1)

    def reconstructed() -> Tensor:
        """A transcoder reads another site than it replaces, and there is no outlier among what it does not read."""
        if about.output_site is None:
            return predictions(lambda states: _reconstruct(sae, states))
        splice = Splice(about.layer, about.output_site, lambda states: _reconstruct(sae, states), text, about.site)
        return model.logits(batch.tokens, splice, batch.attention_mask)[:, :-1][counted].log_softmax(-1)

    def loss_of(log_probabilities: Tensor) -> float:
        return -float(log_probabilities.gather(1, targets).cpu().double().sum())

    clean, spliced = predictions(None), reconstructed()
    if not sums.predictions:  # a check of the machinery, so one batch is enough
        sums.identity_gap = abs(loss_of(predictions(lambda states: states)) - loss_of(clean)) / max(1, len(targets))
    sums.predictions += len(targets)
    sums.divergence += float((clean.exp() * (clean - spliced)).sum(-1).cpu().double().sum())
    sums.losses["clean"] += loss_of(clean)
    sums.losses["spliced"] += loss_of(spliced)
    sums.losses["zero"] += loss_of(predictions(torch.zeros_like))
    sums.losses["mean"] += loss_of(predictions(lambda states: average.expand_as(states)))


def _reconstruct(sae: Sae, states: Tensor) -> Tensor:
    return sae.reconstruct(states.flatten(0, 1)).view(*states.shape[:2], -1)


def _keeping_outliers(replace: Replacement, norm_limit: float) -> Replacement:
    """Hidden states that the SAE was never shown keep their own value."""

    def replaced(states: Tensor) -> Tensor:
        outlier = states.norm(dim=-1, keepdim=True) > norm_limit
        return torch.where(outlier, states, replace(states))

    return replaced


def _recovered(clean: float, spliced: float, ablated: float) -> float | None:
    """(ablated - spliced) / (ablated - clean); None where the ablation does no harm that could be undone."""
    return (ablated - spliced) / (ablated - clean) if ablated > clean else None
