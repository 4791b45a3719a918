"""Tensors as arrays, and ranges of work for the threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Array: TypeAlias = NDArray[Any]
Kernel: TypeAlias = Callable[..., None]

# Each thread gets so many ranges, because features and tokens are not equally much work.
RANGES_PER_THREAD = 4
# A range of less work (in numbers touched) is not worth waking a thread for.
WORTH_A_THREAD = 2**16

# Sums may be reordered into lanes and products fused with sums; nothing is assumed about infinities and NaN.
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


def computes(*tensors: Tensor) -> bool:
    """Whether the compiled kernels can take these: float32 or bfloat16 on the processor."""
    return all(tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.bfloat16) for tensor in tensors)


def array_of(tensor: Tensor) -> Array:
    """The numbers of `tensor` in row-major order, in its own memory where they are so already."""
    tensor = tensor.detach().contiguous()
    array: Array = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def rows_of(matrix: Tensor) -> Array:
    """The same for a kernel that knows the width: rows that begin longer ones are given as these, and not copied."""
    length = matrix.stride(0)
    held = matrix.untyped_storage().nbytes() // matrix.element_size() - matrix.storage_offset()
    if matrix.stride(1) == 1 and length > matrix.shape[1] and len(matrix) * length <= held:
        return array_of(matrix.detach().as_strided((len(matrix), length), (length, 1)))
    return array_of(matrix)


def shared_out(kernel: Kernel, count: int, work: int, *arguments: object) -> None:
    """kernel(first, last, *arguments) over the ranges of 0 to `count`, each item touching about `work` numbers."""
    threads = torch.get_num_threads()
    ranges = min(count, threads * RANGES_PER_THREAD, max(1, count * work // WORTH_A_THREAD))
    if threads == 1 or ranges <= 1:
        kernel(0, count, *arguments)
        return
    bounds = [count * number // ranges for number in range(ranges + 1)]
    jobs = [_pool(threads).submit(kernel, *bound, *arguments) for bound in pairwise(bounds)]
    for job in jobs:
        job.result()


_pools: dict[int, ThreadPoolExecutor] = {}
# The threads of a process do not live on in its fork.
os.register_at_fork(after_in_child=_pools.clear)


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="kernels")
    return _pools[threads]
