"""Codes: which features take part in each token and how strongly, with the sums that training needs of them.

Sums of weighted rows decode, token by token, and over the entries grouped by feature they are the gradients of both
weight matrices; the gathered rows are never written to memory. On the processor compiled kernels do that; elsewhere,
and in float64, `embedding_bag`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from experiments.engine.kernels.compiled import rows as compiled_rows
from experiments.engine.kernels.compiled.ranges import computes


@dataclass(frozen=True)
class SparseCode:
    """Entries token after token; those of token t are starts[t] to starts[t + 1]. Activation 0 is not firing."""

    features: Tensor  # [E] int64
    activations: Tensor  # [E] >= 0
    starts: Tensor  # [T + 1] int64
    n_features: int

    @cached_property
    def tokens(self) -> Tensor:
        """The token of every entry: [E]."""
        return torch.arange(len(self), device=self.starts.device).repeat_interleave(
            self.starts.diff(), output_size=len(self.features)
        )

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.starts) - 1

    def with_activations(self, activations: Tensor) -> SparseCode:
        """The same entries with other activations [E]."""
        changed = replace(self, activations=activations)
        known = {name: value for name, value in self.__dict__.items() if name in ("tokens", "_by_feature")}
        changed.__dict__.update(known)  # what has been worked out about the entries still holds
        return changed

    def firing(self) -> SparseCode:
        """Without the entries that do not fire."""
        fires = self.activations > 0
        if bool(fires.all()):
            return self
        ends = functional.pad(fires.cumsum(0), (1, 0))[self.starts]
        return SparseCode(self.features[fires], self.activations[fires], ends, self.n_features)

    def spread(self, by_feature: Tensor) -> Tensor:
        """What `by_feature` [N] says about the feature of every entry: [E]."""
        return by_feature[self.features]

    def taking_part(self, values: Tensor) -> Tensor:
        """`values` of the entries, and 0 for whatever is none; here all of them."""
        return values

    def decode(self, decoder: Tensor) -> Tensor:
        """The sum of activation times decoder row [N, W] for every token: [T, W]."""
        if computes(self.activations, decoder):
            return compiled_rows.weighted_sums(decoder, self.features, self.activations, self.starts, None)
        return functional.embedding_bag(
            self.features,
            decoder,
            self.starts,
            mode="sum",
            per_sample_weights=self.activations.to(decoder.dtype),
            include_last_offset=True,
        )

    def pulls(self, decoder: Tensor, error: Tensor) -> Tensor:
        """error [T, W] . decoder row of every entry, the gradient of its activation: [E]; gathers no rows."""
        if computes(self.activations, decoder, error):
            return compiled_rows.products(error, decoder, self.features, self.starts)
        activations = self.activations.detach().requires_grad_()
        with torch.enable_grad():
            rows = self.with_activations(activations).decode(decoder)
            (pulls,) = torch.autograd.grad(rows, activations, error)
        return pulls

    def fit(self, decoder: Tensor, bias: Tensor, targets: Tensor, factor: Tensor | float) -> tuple[Tensor, Tensor]:
        """decode + bias - targets [T, W], and the pulls of `factor` times that: both while the rows are at hand."""
        if computes(self.activations, decoder, bias, targets):
            entries = (self.features, self.activations, self.starts)
            return compiled_rows.fits(decoder, *entries, bias, targets, factor)
        return _fit(self, decoder, bias, targets, factor)

    def sum_by_feature(self, rows: Tensor, values: Tensor, onto: Tensor | None = None) -> Tensor:
        """The sum of value [E] times row [T, W] of its token for every feature: [N, W]; added to `onto`, in place,
        where that is given."""
        order, tokens, starts = self._by_feature
        if computes(rows, values):
            return compiled_rows.weighted_sums(rows, tokens, values[order], starts, onto)
        sums = functional.embedding_bag(
            tokens, rows, starts, mode="sum", per_sample_weights=values[order].to(rows.dtype), include_last_offset=True
        )
        return sums if onto is None else onto.add_(sums)

    def total_by_feature(self, values: Tensor) -> Tensor:
        """The sum of the values [E] of every feature: [N]; in a fixed order, so that it is always the same."""
        return self.sum_by_feature(values.new_ones(len(self), 1), values).squeeze(1)

    @cached_property
    def firings(self) -> Tensor:
        """On how many tokens each feature fires: [N] int64."""
        counts = torch.zeros(self.n_features, dtype=torch.int64, device=self.features.device)
        return counts.scatter_add_(0, self.features, (self.activations > 0).long())

    def to_numpy(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Feature, token and activation of every entry, token after token."""
        return self.features.cpu().numpy(), self.tokens.cpu().numpy(), self.activations.cpu().numpy()

    def per_token(self) -> Tensor:
        """How many entries each token has: [T]."""
        return self.starts.diff()

    @cached_property
    def _by_feature(self) -> tuple[Tensor, Tensor, Tensor]:
        """The order that groups the entries by feature, tokens in order; their tokens; where each feature starts."""
        if self.features.device.type == "cpu":
            order, starts = compiled_rows.grouped(self.features, self.n_features)
            return order, self.tokens[order], starts
        features, order = torch.sort(self.features.to(torch.int32), stable=True)  # half as wide sorts twice as fast
        bounds = torch.arange(self.n_features + 1, device=features.device, dtype=torch.int32)
        return order, self.tokens[order], torch.searchsorted(features, bounds)


@dataclass(frozen=True)
class DenseCode:
    """Every feature of every token; `part` says which entries take part (of a ReLU: those above zero)."""

    activations: Tensor  # [T, N] >= 0
    part: Tensor  # [T, N] bool

    @property
    def n_features(self) -> int:
        return self.activations.shape[1]

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.activations)

    def with_activations(self, activations: Tensor) -> DenseCode:
        """The same entries with other activations [T, N]."""
        return DenseCode(activations, self.part)

    def firing(self) -> SparseCode:
        """The entries that fire."""
        tokens, features = (self.activations > 0).nonzero(as_tuple=True)
        starts = torch.searchsorted(tokens, torch.arange(len(self) + 1, device=tokens.device))
        return SparseCode(features, _wide(self.activations[tokens, features]), starts, self.n_features)

    def spread(self, by_feature: Tensor) -> Tensor:
        """What `by_feature` [N] says about the feature of every entry: [1, N]."""
        return by_feature[None]

    def taking_part(self, values: Tensor) -> Tensor:
        """`values` [T, N] of the entries that take part, and 0 for the others."""
        return values * self.part

    def decode(self, decoder: Tensor) -> Tensor:
        """activations @ decoder [N, W]: [T, W]."""
        return _product(self.activations, decoder)

    def pulls(self, decoder: Tensor, error: Tensor) -> Tensor:
        """error [T, W] @ decoder^T, the gradients of the activations that take part: [T, N]."""
        return (error.to(decoder.dtype) @ decoder.T).mul_(self.part)

    def fit(self, decoder: Tensor, bias: Tensor, targets: Tensor, factor: Tensor | float) -> tuple[Tensor, Tensor]:
        """decode + bias - targets [T, W], and the pulls of `factor` times that."""
        return _fit(self, decoder, bias, targets, factor)

    def sum_by_feature(self, rows: Tensor, values: Tensor) -> Tensor:
        """values^T [N, T] @ rows [T, W]: [N, W]."""
        return _product(values.T, rows)

    def total_by_feature(self, values: Tensor) -> Tensor:
        """The sum of the values [T, N] over the tokens: [N]."""
        return _wide(values.sum(0))

    @cached_property
    def firings(self) -> Tensor:
        """On how many tokens each feature fires: [N] int64."""
        return (self.activations > 0).sum(0)


Code: TypeAlias = SparseCode | DenseCode


def weighted_total(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of value [n] times row [n, W]: [W]."""
    return compiled_rows.weighted_total(rows, values) if computes(rows, values) else values @ rows


def _fit(code: Code, decoder: Tensor, bias: Tensor, targets: Tensor, factor: Tensor | float) -> tuple[Tensor, Tensor]:
    miss = code.decode(decoder).add_(bias).sub_(targets)
    return miss, code.pulls(decoder, miss * factor)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, in bfloat16 where one of them is: sums are float32 inside, and so is what comes next."""
    if torch.bfloat16 in (left.dtype, right.dtype):
        return (left.bfloat16() @ right.bfloat16()).float()
    return left @ right


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values


def concatenated(codes: Sequence[SparseCode]) -> SparseCode:
    """The codes of consecutive tokens as one."""
    if len(codes) == 1:
        return codes[0]
    ends = torch.cat([code.starts.diff() for code in codes]).cumsum(0)
    return SparseCode(
        torch.cat([code.features for code in codes]),
        torch.cat([code.activations for code in codes]),
        functional.pad(ends, (1, 0)),
        codes[0].n_features,
    )
