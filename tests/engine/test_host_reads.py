"""What a training step asks of a GPU: how often the host waits for it, and what matrices [tokens, features] it makes.

Seen on a processor, from the operations that are dispatched: those that return a number, or a tensor whose size depends
on numbers, are the ones that make the host of a GPU wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.engine.kernels import arithmetic, codes, optimiser, selection
from tests.engine.synthetic_source import small_config
from tests.engine.test_trainer import STATES, begin, config_of, learn

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "unique_dim", "_unique2"}
# Beside the one transfer of every step: how many entries are chosen, and how many may be.
READS = {"topk": 0, "jumprelu": 1, "batchtopk": 2, "matryoshka": 2}
TOKENS, MANY = 128, 1_024


class DispatchedOperations(TorchDispatchMode):
    """Counts the operations that wait, and the tensors of so many entries that are made, by their type."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.waits, self.dense, self._entries = 0, list[torch.dtype](), entries

    def __torch_dispatch__(self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        masked = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        self.waits += name in WAITING or masked
        mine = {id(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        known = {tensor.data_ptr() for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and id(made) not in mine and made.data_ptr() not in known:
                self.dense += [made.dtype] * (made.numel() >= self._entries)
        return result


class Transfers(TorchFunctionMode):
    """Counts `tolist`, which is no operation of its own on a processor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: object, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += getattr(func, "__name__", "") == "tolist"
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed by the compiled kernels of processors, or in bfloat16."""
    for module in (codes, optimiser, selection):
        monkeypatch.setattr(module, "computes", lambda *_: False)
    monkeypatch.setattr(arithmetic, "multiplies_bfloat16", lambda: False)


@pytest.mark.parametrize("kind", READS)
def test_a_step_waits_for_the_gpu_no_oftener_than_it_must(kind: str) -> None:
    trainer = begin(config_of(kind))
    learn(trainer, 1)
    with Transfers() as transfers, DispatchedOperations(32 * TOKENS) as seen:
        trainer.train_on(STATES[:TOKENS])
    assert (transfers.count, seen.waits) == (1, READS[kind])


@pytest.mark.parametrize("kind", READS)
def test_a_step_makes_no_second_matrix_of_tokens_and_features(kind: str) -> None:
    """The pre-activations are written into memory that is kept; beside them there are masks of one byte an entry."""
    config = config_of(kind)
    trainer = begin(replace(config, sae=replace(config.sae, n_features=MANY)))
    learn(trainer, 1)
    with DispatchedOperations(MANY * TOKENS) as seen:
        trainer.train_on(STATES[:TOKENS])
    assert set(seen.dense) <= {torch.bool}


def test_dead_features_are_looked_for_only_when_there_can_be_some() -> None:
    config = small_config(dead_after_tokens=3 * TOKENS)
    trainer = begin(config)
    trainer.weights.encoder_bias[:8] = -5.0  # never fire
    auxiliary, waits = [], []
    for outcome_of in range(6):
        with DispatchedOperations(32 * TOKENS) as seen:
            outcome = trainer.train_on(STATES[outcome_of * TOKENS : (outcome_of + 1) * TOKENS])
        auxiliary.append(outcome.auxiliary_loss > 0)
        waits.append(seen.waits > 0)
    assert auxiliary == [False, False, False, True, True, True]
    assert waits == [True, False, False, True, True, True]  # a trainer that was just made does not know yet
