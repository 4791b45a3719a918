"""In which numbers a training step is computed. The weights themselves, their gradients and Adam's are float32 always.

`Float32` computes with the weights. `Bfloat16` computes with copies of encoder and decoder rounded to bfloat16: the one
large matrix product, the encoder's, then takes a quarter of the time (a seventh with AMX), and whatever reads
pre-activations or decoder rows reads half as much. `OnCuda` rounds for that product alone.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from experiments.engine.kernels import cuda
from experiments.engine.kernels.selection import pre_activations
from experiments.engine.kernels.weights import Weights

Precision: TypeAlias = Literal["auto", "float32"]

# Matrix units take numbers in groups of so many, so there is room beside most widths for the two columns of a bias.
COLUMNS = 32


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def arithmetic_of(weights: Weights, precision: str) -> Float32:
    """The fastest that this processor or GPU has for `weights`, or float32 where that is asked for."""
    if precision != "auto" or weights.encoder.dtype != torch.float32:
        return Float32(weights)
    device = weights.encoder.device.type
    if device == "cuda":
        return OnCuda(weights)
    return Bfloat16(weights) if device == "cpu" and multiplies_bfloat16() else Float32(weights)


class Float32:
    """Computes with the weights as they are."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    @property
    def weights(self) -> Weights:
        """The weights that a step computes with."""
        return self._weights

    @property
    def copies(self) -> tuple[Tensor | None, Tensor | None]:
        """Rounded copies of encoder and decoder, which the optimiser keeps up to date."""
        return None, None

    def read(self, inputs: Tensor) -> Tensor:
        """What the encoder reads: [T, W] -> [T, W or more]. A step begins with it."""
        return inputs

    def pre_activations(self, read: Tensor, out: Tensor | None = None) -> Tensor:
        """Those of what `read` gave: [T, N]; written into `out` where that fits."""
        return pre_activations(read, self._weights.encoder, self._weights.encoder_bias, out)


class OnCuda(Float32):
    """Computes with the weights, but for the encoder's product: of bfloat16, with float32 sums and results."""

    def pre_activations(self, read: Tensor, out: Tensor | None = None) -> Tensor:
        return cuda.pre_activations(read, self._weights.encoder, self._weights.encoder_bias, out)


class Bfloat16(Float32):
    """Computes with rounded copies of encoder and decoder; all sums are in float32.

    The bias rides in two spare columns of the encoder, what it rounds to and what is left of it, that meet a one in
    what is read: the product then needs no second pass over the pre-activations.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        features, width = weights.encoder.shape
        columns = -(-(width + 2) // COLUMNS) * COLUMNS
        self._encoder = torch.zeros(features, columns, dtype=torch.bfloat16)
        self._decoder = torch.empty_like(weights.decoder, dtype=torch.bfloat16)
        self._width = width
        self._rounded = weights._replace(encoder=self._encoder[:, :width], decoder=self._decoder)
        self._read = torch.empty(0, columns, dtype=torch.bfloat16)
        self._changes: tuple[int, ...] = ()

    @property
    def weights(self) -> Weights:
        return self._rounded

    @property
    def copies(self) -> tuple[Tensor | None, Tensor | None]:
        return self._rounded.encoder, self._decoder

    def _follow_changes(self) -> None:
        """Rounds the bias, and the matrices where anything but the optimiser, which rounds them too, changed them."""
        changes = (self._weights.encoder._version, self._weights.decoder._version)
        if changes != self._changes:
            self._rounded.encoder.copy_(self._weights.encoder)
            self._decoder.copy_(self._weights.decoder)
            self._changes = changes
        bias = self._weights.encoder_bias
        self._encoder[:, self._width] = bias
        self._encoder[:, self._width + 1] = bias - self._encoder[:, self._width].float()

    def read(self, inputs: Tensor) -> Tensor:
        self._follow_changes()
        if len(self._read) != len(inputs):
            self._read = torch.zeros(len(inputs), self._encoder.shape[1], dtype=torch.bfloat16)
            self._read[:, self._width : self._width + 2] = 1
        self._read[:, : self._width] = inputs
        return self._read

    def pre_activations(self, read: Tensor, out: Tensor | None = None) -> Tensor:
        return torch.mm(read, self._encoder.T, out=out)
