"""Finding a model's blocks by what they do, not by the name of its class.

The blocks of a transformer are the one list of modules that hands a hidden state [batch, seq, width] from each member
to the next. A forward pass over a few tokens shows which list that is, whatever the family calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Visitor: TypeAlias = Callable[[Tensor], Tensor | None]


class ModelRefused(ValueError):  # noqa: N818 - named for what happened, as it reads where it is caught
    """A model that cannot be read or hooked; the message is one sentence that says why."""


@dataclass(frozen=True)
class Tap:
    """A place in the forward pass: what a module is given, or the first tensor that it returns."""

    module: nn.Module
    of_input: bool = False

    @contextmanager
    def visited_by(self, visit: Visitor) -> Iterator[None]:
        """While open, `visit` sees the tensor of every forward; a tensor that it returns takes that one's place."""

        def before(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
            state = given_hidden_state(arguments, keywords)
            replacement = None if state is None else visit(state)
            return None if replacement is None else _exchanged(arguments, keywords, state, replacement)

        def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
            state = returned_hidden_state(output)
            replacement = None if state is None else visit(state)
            if replacement is None or isinstance(output, Tensor):
                return replacement
            return (replacement, *output[1:])

        if self.of_input:
            handle = self.module.register_forward_pre_hook(before, with_kwargs=True)
        else:
            handle = self.module.register_forward_hook(after)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class BlockList:
    """The blocks of a model in the order they run, where the model keeps them, and the width of its hidden states."""

    path: str
    blocks: tuple[nn.Module, ...]
    width: int


@dataclass(frozen=True)
class _Call:
    """One call of a list's member during the trial forward."""

    index: int
    given: Tensor | None
    returned: Tensor | None


def given_hidden_state(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Tensor | None:
    """The first floating-point tensor among a module's arguments, or None."""
    return _first_tensor([*arguments, *keywords.values()])


def returned_hidden_state(output: Any) -> Tensor | None:
    """The tensor a module returns, or the first one of a tuple, or None."""
    return _first_tensor(output if isinstance(output, tuple | list) else [output])


def find_blocks(model: nn.Module, forward: Callable[[], Any], expected: int) -> BlockList:
    """Finds the list of `expected` blocks that `forward`, a call of `model` on a few tokens, runs in sequence.

    Raises ModelRefused when no list of that length hands a hidden state from each member to the next.
    """
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    calls = _record_calls(lists, forward)
    for path, blocks in lists.items():
        if len(blocks) == expected and (width := _chained_width(calls[path], expected)):
            return BlockList(path, tuple(blocks), width)
    raise ModelRefused(
        f"This model has no list of {expected} blocks that hand a hidden state from one to the next, "
        "so there is no place to read it."
    )


def _record_calls(lists: Mapping[str, nn.ModuleList], forward: Callable[[], Any]) -> dict[str, list[_Call]]:
    calls: dict[str, list[_Call]] = {path: [] for path in lists}

    def recorder(path: str, index: int) -> Callable[..., None]:
        def record(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            calls[path].append(_Call(index, given_hidden_state(arguments, keywords), returned_hidden_state(output)))

        return record

    with ExitStack() as hooks:
        for path, members in lists.items():
            for index, member in enumerate(members):
                handle = member.register_forward_hook(recorder(path, index), with_kwargs=True)
                hooks.callback(handle.remove)
        with torch.no_grad():
            forward()
    return calls


def _chained_width(calls: Sequence[_Call], expected: int) -> int | None:
    """The width of the hidden state that runs through all the calls, or None where the chain is broken."""
    if [call.index for call in calls] != list(range(expected)):
        return None
    stream = calls[0].given
    for call in calls:
        if stream is None or call.given is None or call.returned is None or call.returned.shape != stream.shape:
            return None
        if not torch.equal(call.given, stream):
            return None
        stream = call.returned
    return stream.shape[-1] if stream is not None and stream.ndim == 3 else None


def _first_tensor(values: Sequence[Any]) -> Tensor | None:
    return next((value for value in values if isinstance(value, Tensor) and value.is_floating_point()), None)


def _exchanged(
    arguments: tuple[Any, ...], keywords: dict[str, Any], old: Tensor | None, new: Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a module with `new` in the place of its hidden state `old`."""
    positional = tuple(new if value is old else value for value in arguments)
    return positional, {key: new if value is old else value for key, value in keywords.items()}
