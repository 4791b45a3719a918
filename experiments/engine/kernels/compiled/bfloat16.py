"""bfloat16 inside kernels: the upper half of the bits of a float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from experiments.engine.kernels.compiled.ranges import compiled


def widened(number: Any) -> Any:
    """A number of an array as float32; only inside kernels."""
    raise NotImplementedError("numba puts this into kernels")


@overload(widened, inline="always")
def _widened(number: Any) -> Any:
    def of_bits(number: Any) -> Any:
        return np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)

    def unchanged(number: Any) -> Any:
        return number

    return of_bits if number == types.uint16 else unchanged


@compiled
def rounded(number: Any) -> Any:
    """The bits of the bfloat16 that is nearest to a finite float32; of two, the even one."""
    bits = np.float32(number).view(np.uint32)
    even = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + even) >> np.uint32(16))
