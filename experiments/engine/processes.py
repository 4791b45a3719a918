"""Several processes that train one SAE: each takes a share of every batch, and what is summed is summed over all.

The batches are those of a single process, in the same order, so the weights are the same up to the order of float sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import functional


@dataclass(frozen=True)
class Processes:
    """This process among `count`; `rank` counts from 0. One process alone has nobody to talk to."""

    rank: int = 0
    count: int = 1

    def share(self, tokens: int) -> slice:
        """The rows of a batch that are this process's."""
        return slice(tokens * self.rank // self.count, tokens * (self.rank + 1) // self.count)

    @property
    def is_first(self) -> bool:
        """The one that writes files."""
        return self.rank == 0

    def take_first_(self, tensor: Tensor) -> None:
        """Replaces `tensor` by that of the first process."""
        if self.count > 1:
            distributed.broadcast(tensor, 0)

    def all_have(self, text: str) -> bool:
        """Whether all processes have the same text."""
        if self.count == 1:
            return True
        texts: list[str] = [""] * self.count
        distributed.all_gather_object(texts, text)
        return set(texts) == {text}

    def sum_(self, tensor: Tensor) -> None:
        """Replaces `tensor` by its sum over all processes."""
        if self.count > 1:
            distributed.all_reduce(tensor)

    def gathered(self, values: Tensor) -> Tensor:
        """The values [n] of all processes, whose numbers n may differ, one after another."""
        if self.count == 1:
            return values
        lengths = [torch.empty(1, dtype=torch.int64, device=values.device) for _ in range(self.count)]
        distributed.all_gather(lengths, torch.tensor([len(values)], device=values.device))
        longest = max(int(length) for length in lengths)
        rest = [0] * (2 * (values.dim() - 1))
        padded = functional.pad(values, (*rest, 0, longest - len(values))).contiguous()
        pieces = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(pieces, padded)
        return torch.cat([piece[: int(length)] for piece, length in zip(pieces, lengths, strict=True)])

    def spread(self, rows: Tensor, tokens: int) -> Tensor:
        """E|e - E e|^2 over the rows e [T, W] of all processes, `tokens` in all."""
        total = rows.sum(0)
        self.sum_(total)
        squares = (rows - total / tokens).square().sum()
        self.sum_(squares)
        return squares / tokens


ALONE = Processes()


def joined_processes() -> Processes:
    """The processes that `torchrun` started, connected; this one alone where it did not.

    nccl connects GPUs, gloo connects processors.
    """
    if not distributed.is_torchelastic_launched():
        return ALONE
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Processes(distributed.get_rank(), distributed.get_world_size())
