"""By which arithmetic this machine computes, in one line: where two lines differ, last bits may differ too."""

from __future__ import annotations

import torch

from experiments.engine.kernels import multiplies_bfloat16

# As torch calls the instructions it found, and as people do.
INSTRUCTIONS = {"AVX512": "AVX-512", "AVX2": "AVX2", "NO AVX": "no AVX", "DEFAULT": "no vector instructions"}


def compute_path(device: str, precision: str = "float32") -> str:
    """Such as "float32 · 2 threads · CPU with AVX-512" or "bfloat16 encoder products · NVIDIA H100".

    `precision` is that of the training step; whatever else is computed is float32.
    """
    if device.startswith("cuda"):
        numbers = "bfloat16 encoder products" if precision == "auto" else "float32"
        return f"{numbers} · {torch.cuda.get_device_name(device)}"
    if device != "cpu":
        return f"float32 · {device}"
    found, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    instructions, plural = INSTRUCTIONS.get(found, found), "" if threads == 1 else "s"
    numbers = "float32"
    if precision == "auto" and multiplies_bfloat16():
        numbers, instructions = "bfloat16 products", "AMX" if torch.cpu._is_amx_tile_supported() else "AVX-512 BF16"
    return f"{numbers} · {threads} thread{plural} · CPU with {instructions}"
