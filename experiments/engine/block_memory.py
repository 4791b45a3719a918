"""Forwards that begin in the middle: what the first blocks of a model returned is kept, and given again.

Other hidden states put in at one block change nothing in the blocks before it, so that a text that is read several
times, each time with something else put in, needs those blocks only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn


class BlockMemory:
    """What `blocks`, the first ones of a model, return for one batch of tokens. Without blocks it does nothing."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self._blocks = tuple(blocks)
        self._returned: Any = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The first forward inside is remembered; in later ones, of the same tokens, the blocks compute nothing."""
        with ExitStack() as changes:
            if self._blocks and self._returned is None:
                changes.callback(self._blocks[-1].register_forward_hook(self._keep).remove)
            else:
                for block in self._blocks:
                    changes.enter_context(_computing_nothing(block, self._give_again))
            yield

    def _keep(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        self._returned = _copied(output)

    def _give_again(self, *_: Any, **__: Any) -> Any:
        """What the last of them returned: what the others return goes to none but the next of them."""
        return _copied(self._returned)


@contextmanager
def _computing_nothing(block: nn.Module, forward: Any) -> Iterator[None]:
    """While open, `block` answers with `forward`; hooks on it are called as ever."""
    own = block.__dict__.get("forward")
    block.forward = forward
    try:
        yield
    finally:
        if own is None:
            del block.forward
        else:
            block.forward = own


def _copied(output: Any) -> Any:
    """A copy, as some families add to the stream in place."""
    if isinstance(output, Tensor):
        return output.clone()
    return type(output)(_copied(part) for part in output) if type(output) in (tuple, list) else output
