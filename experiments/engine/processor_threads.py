"""How work is shared out among the threads of a processor (torch's intra-op threads).

Threads that share out every tensor operation wait for each other after each one, and those that wait sleep (see
`OMP_WAIT_POLICY` in docs/operations.md). So pieces of a batch are better worked on side by side, each in one thread,
and little work is better done by one thread alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")

# Bounds the memory of the tensors in use.
PIECES_AT_ONCE = 4
# Up to so many multiplications in its largest matrix product a training step is faster in one thread than in two: 6.1
# instead of 12.0 ms at 105 million, alike at 540 million (two threads of one AVX2 core, best of two).
WORK_OF_ONE_THREAD = 2**28


def side_by_side(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """work(piece) of each piece, in order, without gradients. Raises what the first piece that fails raises.

    Each has an equal share of the threads, so that where threads are no more than pieces, their number changes no bit.
    """
    threads = torch.get_num_threads()
    at_once = min(threads, len(pieces), PIECES_AT_ONCE)
    if at_once <= 1:
        return [_without_gradients(work, piece) for piece in pieces]
    pool = _pool(at_once, threads // at_once)
    jobs = [pool.submit(_without_gradients, work, piece) for piece in pieces]
    wait(jobs)
    torch.set_num_threads(threads)  # a thread that begins has set it for those that begin after it
    return [job.result() for job in jobs]


@contextmanager
def one_thread_for_little(multiplications: int) -> Iterator[None]:
    """Inside, torch and the kernels use one thread if the largest matrix product is as small as that."""
    threads = torch.get_num_threads()
    if threads == 1 or multiplications > WORK_OF_ONE_THREAD:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _without_gradients(work: Callable[[Piece], Result], piece: Piece) -> Result:
    return work(piece)


_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
# The threads of a process do not live on in its fork.
os.register_at_fork(after_in_child=_pools.clear)


def _pool(workers: int, threads_each: int) -> ThreadPoolExecutor:
    """Kept from batch to batch; `threads_each` holds in the threads of the pool alone."""
    key = workers, threads_each
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(workers, "pieces", torch.set_num_threads, (threads_each,))
    return _pools[key]
