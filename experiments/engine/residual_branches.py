"""Finding what a block's attention and its MLP add to the residual stream, by watching the additions themselves.

Families differ in where they add and normalise: before the branch (GPT-2, Llama), after it (BERT), around it (Gemma 2),
inside the attention module (Bloom), or both branches at once (GPT-NeoX, Falcon). What they share is the sum. So the
tensors that appear inside one block on a few tokens are compared: `attn_out` is the output that, added to the block's
input, gives a tensor seen later; `mlp_out` is the one that is added to the stream after that. A block whose sums cannot
be found (because its branches are scaled on the way, say) has no such site, rather than a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine.block_list import given_hidden_state, returned_hidden_state

# A sum counts as found when it is met to this share of what was added, beside the rounding of the model's dtype.
SUM_TOLERANCE = 1e-3
ROUNDINGS = 2


@dataclass(frozen=True)
class Branches:
    """The modules whose outputs are added to the residual stream; None where the block has no such addition."""

    attention: nn.Module | None
    mlp: nn.Module | None


@dataclass(frozen=True)
class _Call:
    """A module inside the block with what it was given and what it returned, each flat [tokens * width] or None."""

    path: str
    module: nn.Module
    given: Tensor | None
    returned: Tensor | None


def find_branches(block: nn.Module, forward: Callable[[], Any]) -> Branches:
    """Finds the two branches of `block`, which `forward` runs once on a few tokens."""
    *calls, whole = _watch(block, forward)
    assert whole.given is not None, "the block list was found by the hidden state that each block is given"
    assert whole.returned is not None, "and by the one that it returns"
    rounding = torch.finfo(next(block.parameters()).dtype).eps
    sums = _Sums([call for call in calls if call.returned is not None], rounding)
    found = _in_sequence(sums, calls, whole.given, whole.returned) or _in_parallel(sums, whole.given, whole.returned)
    if found is None:
        return Branches(None, None)
    attention, mlp = found
    has_attention = any("att" in call.path.lower() for call in sums.calls[: attention + 1])
    return Branches(sums.calls[attention].module if has_attention else None, sums.calls[mlp].module)


class _Sums:
    """Answers which module's output, added to a start, gives one of some results."""

    def __init__(self, calls: Sequence[_Call], rounding: float) -> None:
        self.calls = calls
        self._rounding = rounding
        self._outputs = torch.stack([call.returned for call in calls if call.returned is not None])  # [calls, n]
        # A module that runs twice (one dropout for both branches, say) is no place to tell the branches apart.
        uses = Counter(call.path for call in calls)
        self._usable = torch.tensor([uses[call.path] == 1 for call in calls])

    def last_addend(self, start: Tensor, results: Sequence[Tensor], first: int = 0) -> int | None:
        """The position of the last output from `first` on that takes `start` [n] to one of `results` (each [n]).

        The last, because a branch's output passes unchanged through modules such as dropout before it is added.
        """
        differences = torch.stack(list(results)) - start  # [results, n]
        errors = torch.cdist(self._outputs, differences, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
        sizes = self._outputs.norm(dim=1)
        allowed = SUM_TOLERANCE * sizes + ROUNDINGS * self._rounding * (start.norm() + sizes)
        met = (errors <= allowed) & (sizes > allowed) & self._usable
        met[:first] = False
        return int(met.nonzero().max()) if met.any() else None

    def output(self, position: int) -> Tensor:
        return self._outputs[position]

    def usable(self) -> list[int]:
        return [int(position) for position in self._usable.nonzero()]


def _in_sequence(sums: _Sums, calls: Sequence[_Call], before: Tensor, after: Tensor) -> tuple[int, int] | None:
    """Attention first: `before` + attention is seen; then that sum, or its norm, + MLP is seen or leaves the block."""
    seen = [state for call in calls for state in (call.given, call.returned) if state is not None]
    attention = sums.last_addend(before, seen)
    if attention is None:
        return None
    stream = before + sums.output(attention)
    of_stream = [call for call in calls if call.given is not None and torch.allclose(call.given, stream, rtol=1e-2)]
    for start in (stream, *(call.returned for call in of_stream if call.returned is not None)):
        mlp = sums.last_addend(start, [*seen, after], first=attention + 1)
        if mlp is not None:
            return attention, mlp
    return None


def _in_parallel(sums: _Sums, before: Tensor, after: Tensor) -> tuple[int, int] | None:
    """Both at once: `before` + attention + MLP leaves the block."""
    for position in reversed(sums.usable()):
        mlp = sums.last_addend(before + sums.output(position), [after], first=position + 1)
        if mlp is not None:
            return position, mlp
    return None


def _watch(block: nn.Module, forward: Callable[[], Any]) -> list[_Call]:
    """All calls of modules in `block`, in the order they end; the block's own is the last."""
    calls: list[_Call] = []

    def recorder(path: str) -> Callable[..., None]:
        def record(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            given, returned = given_hidden_state(arguments, keywords), returned_hidden_state(output)
            calls.append(_Call(path, module, _flat(given), _flat(returned)))

        return record

    with ExitStack() as hooks:
        for path, module in block.named_modules():
            handle = module.register_forward_hook(recorder(path), with_kwargs=True)
            hooks.callback(handle.remove)
        with torch.no_grad():
            forward()
    size = None if calls[-1].given is None else calls[-1].given.numel()
    return [_Call(c.path, c.module, _of_size(c.given, size), _of_size(c.returned, size)) for c in calls]


def _flat(state: Tensor | None) -> Tensor | None:
    # A copy: some families add the residual in place, into the very tensor that a branch returned.
    return None if state is None else state.detach().float().flatten().clone()


def _of_size(state: Tensor | None, size: int | None) -> Tensor | None:
    return state if state is not None and state.numel() == size else None
