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
from experiments.engine.document_sums import DocumentSums, intervals_of, numbers_of
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
    "kl_zero",
    "kl_mean",
    "kl_recovered_zero",
    "kl_recovered_mean",
    "identity_gap",
    "ce_tokens",
)
READINGS = 4  # of every window: clean, spliced, zero and mean
# What is summed over the predictions of each document.
_SUMS = ("predictions", "clean", "spliced", "zero", "mean", "kl_spliced", "kl_zero", "kl_mean")


@dataclass
class SpliceSums:
    """Sums in nats over the predictions of every document, float64."""

    documents: DocumentSums = field(default_factory=lambda: DocumentSums(len(_SUMS)))
    predictions: int = 0
    identity_gap: float = 0.0

    def quality(self) -> dict[str, float | None]:
        """Cross-entropies, the shares recovered against both ablations, and KL(clean || spliced), in nats per token."""
        if not self.predictions:
            return dict.fromkeys(SPLICE_NUMBERS)
        numbers = numbers_of(self.documents.total, _formulas)
        return numbers | {"identity_gap": self.identity_gap, "ce_tokens": self.predictions}

    def intervals(self) -> dict[str, list[float]]:
        """95% intervals of the same numbers over the documents."""
        return intervals_of(self.documents.rows, _formulas)


def measure_splices(
    model: LanguageModel,
    sae: Sae,
    windows: Windows,
    mean_state: Tensor,
    sums: SpliceSums,
    observe: Callable[[Predictions], None] = lambda predictions: None,
) -> Iterator[int]:
    """Adds all `windows` to `sums` and shows every batch to `observe`; yields the tokens of every batch done."""
    size = windows_per_batch(model, windows.tokens.shape[1], with_logits=True)
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        predictions = Predictions(model, sae, batch)
        _add_batch(predictions, mean_state, sums)
        observe(predictions)
        yield batch.tokens.size


class Predictions:
    """What the model predicts from the text of some windows, with hidden states replaced or not."""

    def __init__(self, model: LanguageModel, sae: Sae, windows: Windows) -> None:
        self._model, self._sae, self._windows = model, sae, windows
        about = sae.description
        self._memory = model.memory_before(about.place, about.output_place)  # what comes before is read once
        self._text = torch.from_numpy(~windows.special)
        self._read = torch.from_numpy(windows.documents != NO_DOCUMENT)
        self._counted = (self._text[:, :-1] & self._read[:, 1:]).to(model.device)
        self.documents = windows.documents[:, :-1][self._counted.cpu().numpy()]  # [predictions]
        following = torch.from_numpy(windows.tokens[:, 1:].astype(np.int64)).to(model.device)
        self._targets = following[self._counted][:, None]

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def is_autoencoder(self) -> bool:
        return self._sae.description.output_site is None

    def of(self, replace: Replacement | None = None) -> Tensor:
        """Log-probabilities [predictions, vocabulary] with the hidden states of text replaced, outliers left alone."""
        if replace is None:
            return self._log_probabilities(None)
        kept = _keeping_outliers(replace, self._sae.description.norm_limit)
        return self._log_probabilities(self._splice(kept, self._text))

    def everywhere(self, replace: Replacement) -> Tensor:
        """The same with the hidden states of all positions replaced, special tokens and outliers included."""
        return self._log_probabilities(self._splice(replace, self._read))

    def reconstructed(self) -> Tensor:
        """A transcoder reads another site than it replaces, and there is no outlier among what it does not read."""
        about = self._sae.description
        if about.output_site is None:
            return self.of(self.reconstruction)
        splice = Splice(about.layer, about.output_site, self.reconstruction, self._text, about.site)
        return self._log_probabilities(splice)

    def losses(self, log_probabilities: Tensor) -> Tensor:
        """The cross-entropy of every prediction: [predictions]."""
        return -log_probabilities.gather(1, self._targets).squeeze(1)

    def reconstruction(self, states: Tensor) -> Tensor:
        return self._sae.reconstruct(states.flatten(0, 1)).view(*states.shape[:2], -1)

    def _splice(self, replace: Replacement, where: Tensor) -> Splice:
        place = self._sae.description.output_place
        return Splice(place.layer, place.site, replace, where)

    def _log_probabilities(self, splice: Splice | None) -> Tensor:
        logits = self._model.logits(self._windows.tokens, splice, self._windows.attention_mask, self._memory)
        return logits[:, :-1][self._counted].log_softmax(-1)


def _add_batch(predictions: Predictions, mean_state: Tensor, sums: SpliceSums) -> None:
    clean = predictions.of()
    if not sums.predictions:  # a check of the machinery, so one batch is enough
        identity = predictions.losses(predictions.of(lambda states: states)) - predictions.losses(clean)
        sums.identity_gap = abs(float(identity.cpu().double().sum())) / max(1, len(predictions))
    probabilities = clean.exp()
    losses, divergences = [predictions.losses(clean)], []
    for reading in (
        predictions.reconstructed,
        lambda: predictions.of(torch.zeros_like),
        lambda: predictions.of(lambda states: mean_state.to(states).expand_as(states)),
    ):
        replaced = reading()
        losses.append(predictions.losses(replaced))
        divergences.append(torch.linalg.vecdot(probabilities, clean - replaced))
    sums.predictions += len(predictions)
    columns = torch.stack([torch.ones_like(losses[0]), *losses, *divergences], 1)
    sums.documents.add(predictions.documents, columns)


def _keeping_outliers(replace: Replacement, norm_limit: float) -> Replacement:
    """Hidden states that the SAE was never shown keep their own value."""

    def replaced(states: Tensor) -> Tensor:
        outlier = states.norm(dim=-1, keepdim=True) > norm_limit
        return torch.where(outlier, states, replace(states))

    return replaced


def _formulas(sums: Tensor) -> dict[str, Tensor]:
    """The numbers that follow from sums [..., sums], in nats per prediction."""
    predictions, *others = sums.unbind(-1)
    clean, spliced, zero, mean, kl, kl_zero, kl_mean = (one / predictions for one in others)
    return {
        "ce_clean": clean,
        "ce_spliced": spliced,
        "ce_zero": zero,
        "ce_mean": mean,
        "ce_recovered_zero": _recovered(clean, spliced, zero),
        "ce_recovered_mean": _recovered(clean, spliced, mean),
        "ce_gap": spliced - clean,
        "kl": kl,
        "kl_zero": kl_zero,
        "kl_mean": kl_mean,
        "kl_recovered_zero": _recovered(torch.zeros_like(kl), kl, kl_zero),
        "kl_recovered_mean": _recovered(torch.zeros_like(kl), kl, kl_mean),
    }


def _recovered(clean: Tensor, spliced: Tensor, ablated: Tensor) -> Tensor:
    """(ablated - spliced) / (ablated - clean); NaN where the ablation does no harm that could be undone."""
    return torch.where(ablated > clean, (ablated - spliced) / (ablated - clean), torch.nan)
