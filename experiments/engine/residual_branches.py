"""Finding the sites inside a block: what its attention and its MLP add to the residual stream, and what they are given.

Families differ in where they add and normalise: before the branch (GPT-2, Llama), after it (BERT), around it (Gemma 2),
inside the attention module (Bloom), or both branches at once (GPT-NeoX, Falcon). What they share is the sum. So the
tensors that appear inside one block on a few tokens are compared: `attn_out` is the output that, added to the block's
input, gives a tensor seen later; `mlp_out` is the one that is added to the stream after that. From these two, the calls
of the block's modules are known to be those of one branch or the other: `attn_heads` is what the last projection of the
attention is given, `mlp_in` what the first projections of the MLP are given. A block whose sums cannot be found
(because its branches are scaled on the way, say) has no such site, rather than a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine.block_list import Tap, given_hidden_state, returned_hidden_state

# A sum counts as found when it is met to this share of what was added, beside the rounding of the model's dtype.
SUM_TOLERANCE = 1e-3
ROUNDINGS = 2


@dataclass(frozen=True)
class Site:
    """Where a block's hidden states at one site are, and how many numbers each has.

    `writer` is the module that takes them to the residual stream where they are not added to it as they are; it is None
    too where `written` says that nothing linear takes them there.
    """

    tap: Tap
    width: int
    written: bool = True
    writer: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class _Call:
    """A module inside the block with what it was given and what it returned.

    Both are flat [tokens * width of the stream], or None where they are no such tensor; the widths say what they were.
    """

    path: str
    module: nn.Module
    given: Tensor | None
    returned: Tensor | None
    given_width: int | None
    returned_width: int | None

    @property
    def is_projection(self) -> bool:
        """Whether the module multiplies by one matrix, whichever way round it keeps it (nn.Linear, Conv1D)."""
        weight = getattr(self.module, "weight", None)
        if not isinstance(weight, Tensor) or weight.ndim != 2 or self.given_width is None:
            return False
        return {self.given_width, self.returned_width} == set(weight.shape)

    def holds(self, other: _Call) -> bool:
        return other.path == self.path or other.path.startswith(f"{self.path}.")


def find_sites(block: nn.Module, forward: Callable[[], Any]) -> dict[str, Site]:
    """Finds the sites inside `block`, which `forward` runs once on a few tokens; what cannot be told is not there."""
    *calls, whole = _watch(block, forward)
    assert whole.given is not None, "the block list was found by the hidden state that each block is given"
    assert whole.returned is not None, "and by the one that it returns"
    rounding = torch.finfo(next(block.parameters()).dtype).eps
    sums = _Sums([call for call in calls if call.returned is not None], rounding)
    found = _in_sequence(sums, calls, whole.given, whole.returned) or _in_parallel(sums, whole.given, whole.returned)
    if found is None:
        return {}
    first_end, second_end = (calls.index(sums.calls[position]) + 1 for position in found)
    first, second = _Branch(calls[:first_end]), _Branch(calls[first_end:second_end])
    assert whole.given_width is not None, "a hidden state has a width"
    return _sites(first, second, whole.given_width)


def _sites(first: _Branch, second: _Branch, width: int) -> dict[str, Site]:
    """The sites of two branches, of which attention is the one that a name says; almost always it is the first."""
    attention, mlp = (first, second) if first.is_attention or not second.computes_attention else (second, first)
    sites = {
        "attn_out": Site(Tap(attention.addend.module), width) if attention.is_attention else None,
        "attn_heads": attention.heads() if attention.is_attention else None,
        "mlp_in": mlp.input(width),
        "mlp_out": Site(Tap(mlp.addend.module), width),
    }
    return {name: site for name, site in sites.items() if site is not None}


class _Branch:
    """The calls of one branch in the order they ended; the output of the last is what it adds to the stream."""

    def __init__(self, calls: Sequence[_Call]) -> None:
        self._calls, self.addend = calls, calls[-1]
        uses = Counter(call.path for call in calls)
        self._once = [call for call in calls if uses[call.path] == 1]
        self._projections = [call for call in calls if call.is_projection]

    @property
    def is_attention(self) -> bool:
        return any(_names_attention(call) for call in self._calls)

    @property
    def computes_attention(self) -> bool:
        """Stricter: in many families the norm before the MLP is called after the attention that it follows."""
        return any(_names_attention(call) for call in self._projections)

    def heads(self) -> Site | None:
        """What the output projection is given; None where the last projection does not lead to what is added."""
        last = next((call for call in reversed(self._projections) if call in self._once), None)
        if last is None or last.returned is None or last.given_width is None:
            return None
        added, tap = self.addend.returned, Tap(last.module, of_input=True)
        if _same(last.returned, added):
            return Site(tap, last.given_width, writer=last.module)
        normed = any(_same(call.given, last.returned) and _same(call.returned, added) for call in self._calls)
        return Site(tap, last.given_width, written=False) if normed else None

    def input(self, width: int) -> Site | None:
        """What the first projection is given, where one module holds all the projections that are given it."""
        first = next(iter(self._projections), None)
        if first is None or first.given is None:
            return None
        given_it = [call for call in self._calls if _same(call.given, first.given)]
        all_of_them = [call for call in self._projections if call in given_it]
        for reader in sorted(given_it, key=lambda call: len(call.path)):
            if reader in self._once and all(reader.holds(call) for call in all_of_them):
                return Site(Tap(reader.module, of_input=True), width, written=False)
        return None


def _names_attention(call: _Call) -> bool:
    return "att" in call.path.lower()


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


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
            calls.append(_Call(path, module, _flat(given), _flat(returned), _width(given), _width(returned)))

        return record

    with ExitStack() as hooks:
        for path, module in block.named_modules():
            handle = module.register_forward_hook(recorder(path), with_kwargs=True)
            hooks.callback(handle.remove)
        with torch.no_grad():
            forward()
    size = None if calls[-1].given is None else calls[-1].given.numel()
    return [replace(c, given=_of_size(c.given, size), returned=_of_size(c.returned, size)) for c in calls]


def _width(state: Tensor | None) -> int | None:
    return None if state is None or state.ndim == 0 else state.shape[-1]


def _flat(state: Tensor | None) -> Tensor | None:
    # A copy: some families add the residual in place, into the very tensor that a branch returned.
    return None if state is None else state.detach().float().flatten().clone()


def _of_size(state: Tensor | None, size: int | None) -> Tensor | None:
    return state if state is not None and state.numel() == size else None
