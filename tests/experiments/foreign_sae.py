"""SAEs of other tools for the tests of the workbench, for hidden states of any width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.formats.foreign_folders import normal, write_folder

FEATURES, K = 24, 3


def write_saelens(folder: Path, width: int, *, architecture: str = "topk", **changes: Any) -> Path:
    """A folder of SAELens with a few features; `changes` are of its config."""
    metadata = {"sae_lens_version": "6.54.12", "hook_name": "blocks.1.hook_resid_post", "context_size": 32}
    config = {"architecture": architecture, "d_in": width, "d_sae": FEATURES, "dtype": "float32", "metadata": metadata}
    config |= {"k": K} if architecture == "topk" else {}
    directions = normal(FEATURES, width) / np.linalg.norm(normal(FEATURES, width), axis=1, keepdims=True)
    tensors = {
        "W_enc": directions.T * 0.3,
        "W_dec": directions * np.linspace(0.5, 2, FEATURES, dtype=np.float32)[:, None],
        "b_enc": normal(FEATURES, seed=2) * 0.001,
        "b_dec": normal(width, seed=3) * 0.001,
    }
    return write_folder(folder, "sae_weights.safetensors", config | changes, tensors)
