"""Matryoshka BatchTopK: every prefix of the features is an SAE, so that the first ones stay general."""

from __future__ import annotations

from dataclasses import replace

import torch

from experiments.engine.architectures.architecture import Batch, StepResult
from experiments.engine.architectures.batchtopk import BatchTopK
from experiments.engine.config import SaeConfig
from experiments.engine.kernels import Code, SparseCode, Weights

# Of the features, for each group; the loss of a prefix is that of the groups up to it.
GROUP_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32)


class Matryoshka(BatchTopK):
    """x^_m = f_{<m} W_dec_{<m} + b_dec, loss sum over m of E|x - x^_m|^2 (Bussmann et al. 2025, arXiv:2503.17547).

    f is that of BatchTopK over all features; the prefixes m end after 1/32, 3/32, 7/32, 15/32 and all of them.
    """

    def __init__(self, sae: SaeConfig) -> None:
        super().__init__(sae)
        self._starts = torch.tensor(prefixes(sae.n_features)[:-1])  # of each group but the first

    def step(self, batch: Batch, code: Code, weights: Weights) -> StepResult:
        """A step is that of a BatchTopK on one copy of the tokens per group: an entry lives in its group's copy.

        The error that reaches a group's features is the sum of those of all prefixes that contain the group.
        """
        assert isinstance(code, SparseCode), "BatchTopK selects sparsely"
        groups, tokens = len(GROUP_SHARES), len(code)
        copies = self._one_copy_per_group(code)
        parts = copies.decode(weights.decoder).view(groups, tokens, -1)  # what each group adds
        misses = parts.cumsum(0).add_(weights.decoder_bias).sub_(batch.targets)  # of every prefix
        errors = misses * (2 / batch.tokens)
        reaching = errors.flip(0).cumsum(0).flip(0)  # [groups, T, W]
        pulls = copies.pulls(weights.decoder, reaching.flatten(0, 1))
        copied = replace(batch, read=batch.read.repeat(groups, 1))
        gradients = self.gradients(copied, copies, pulls, reaching.flatten(0, 1), weights)
        gradients.decoder_bias.add_(errors.sum((0, 1)) - reaching.sum((0, 1)))  # b_dec is in every prefix once
        penalty = misses[:-1].square().sum() / batch.tokens
        return StepResult(gradients, misses[-1], code, penalty)

    def _one_copy_per_group(self, code: SparseCode) -> SparseCode:
        """The code over groups x tokens: the entries of the first group token by token, then those of the next."""
        groups = torch.bucketize(code.features, self._starts.to(code.features.device), right=True)
        rows = groups * len(code) + code.tokens
        order = torch.argsort(rows, stable=True)
        bounds = torch.arange(len(GROUP_SHARES) * len(code) + 1, device=rows.device)
        starts = torch.searchsorted(rows[order], bounds)
        return SparseCode(code.features[order], code.activations[order], starts, code.n_features)


def prefixes(n_features: int) -> tuple[int, ...]:
    """The sizes of the nested SAEs, each at least one feature."""
    shares = torch.tensor(GROUP_SHARES, dtype=torch.float64).cumsum(0)
    return (*(max(1, round(float(share) * n_features)) for share in shares[:-1]), n_features)
