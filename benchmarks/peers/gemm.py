"""No peer but the limit of the machine: the encoder's matrix product alone, in float32 or bfloat16."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from benchmarks.peers.serving import Side, serve
from benchmarks.spec import Spec

FEWEST_PRODUCTS = 3


class Gemm(Side):
    """[batch, d_in] times [d_in, d_sae] into memory that is kept; the spec's variant is the dtype."""

    def __init__(self, spec: Spec) -> None:
        torch.set_num_threads(spec.threads)
        dtype = getattr(torch, spec.variant)
        self._states = torch.randn(spec.batch, spec.d_in).to(dtype)
        self._encoder = torch.randn(spec.d_sae, spec.d_in).to(dtype)
        self._product = torch.empty(spec.batch, spec.d_sae, dtype=dtype)
        self._spec = spec

    def run(self, steps: int) -> dict[str, Any]:
        times = []
        for _ in range(max(steps, FEWEST_PRODUCTS)):
            started = time.perf_counter()
            torch.mm(self._states, self._encoder.T, out=self._product)
            times.append(time.perf_counter() - started)
        seconds = statistics.median(times)
        gflops = self._spec.batch * self._spec.encoder_operations / seconds / 1e9
        return {"tokens": self._spec.batch, "seconds": seconds, "gflops": gflops}


if __name__ == "__main__":
    serve(Gemm)
