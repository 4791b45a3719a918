"""Memory for tensors that come and go: kept by the process instead of given back to the system after each use."""

from __future__ import annotations

import ctypes
import sys

# Names of glibc's mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**30
_MOST = 2**31 - 1


def keep_large_blocks() -> bool:
    """Lets malloc take blocks up to 1 GiB from its heap and keep what is freed; says whether it does.

    By default every larger block is mapped anew, and the system clears each of its pages at the first touch: a training
    step, which makes the same tensors again and again, loses a good part of its time to that. For a process that
    computes one thing and ends: the heap does not shrink. Linux with glibc; elsewhere nothing changes.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_M_TRIM_THRESHOLD, _MOST))
