"""How this process computes on a device: with how many threads, and so that the same work gives the same bits again."""

from __future__ import annotations

import os

import torch


def prepare(device: str, threads: int) -> None:
    """To be called before anything is computed; it holds for the whole process.

    On CUDA everything that we compute has a deterministic kernel; a foreign language model may have operations without
    one, and then torch warns. Products of bfloat16 are summed in float32 throughout.
    """
    torch.set_num_threads(threads)
    if not device.startswith("cuda"):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first product
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nobody reads it
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
