"""The weights of an SAE."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Weights(NamedTuple):
    """The weights of an SAE, or (with the same shapes) their gradients or Adam's moments.

    The first four are those of every architecture; the others are None where an architecture has no such weight.
    W' is the width of what is reconstructed, which for a transcoder is another hidden state than the one read.
    """

    encoder: Tensor  # [N, W]
    encoder_bias: Tensor  # [N]; of a gated SAE the gate's
    decoder: Tensor  # [N, W'], unit rows
    decoder_bias: Tensor  # [W']
    threshold: Tensor | None = None  # [N] > 0: BatchTopK and Matryoshka once fitted, JumpReLU
    magnitude_log_scale: Tensor | None = None  # [N] gated: r_mag
    magnitude_bias: Tensor | None = None  # [N] gated: b_mag
    skip: Tensor | None = None  # [W', W] transcoder with a skip connection

    def present(self) -> dict[str, Tensor]:
        """The weights that there are, by name."""
        return {name: weight for name, weight in self._asdict().items() if weight is not None}

    def map(self, change: Callable[[Tensor], Tensor]) -> Weights:
        """The same weights after `change` of each."""
        return Weights(**{name: change(weight) for name, weight in self.present().items()})

    @property
    def n_features(self) -> int:
        return len(self.decoder)
