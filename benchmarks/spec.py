"""What one side of a benchmark is asked to do. Standard library only: peers read it in environments of their own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Architecture = Literal["topk", "batchtopk", "relu"]
# Peers pay a third to a half of their time for pages that the allocator hands back and fetches again; these three
# variables spare them that, without a change of code.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "THP_MEM_ALLOC_ENABLE": "1",
}
# What a worker of ours has by itself (latentlens/settings.py, latentlens/lib/large_blocks.py).
OF_OUR_WORKERS = ALLOCATOR | {"OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class Spec:
    """The work, the same for every side of a comparison; the names are those of the BENCH_SPEC protocol.

    `acts` is an .npy file of hidden states [tokens, d_in], whose last `heldout` rows are only measured on. `init` is an
    .npz file with the weights to begin with, for sides that can. `model` is the folder of a language model and `tokens`
    an .npy file of token ids [windows, seq]. In the last `decay` of `steps` steps the learning rate falls linearly to
    zero. `variant` names one of the ways in which a side can do the work.
    """

    mode: Literal["sae", "e2e"] = "sae"
    arch: Architecture = "topk"
    d_in: int = 768
    d_sae: int = 4_096
    k: int = 32
    l1: float = 0.1
    batch: int = 4_096
    lr: float = 3e-4
    steps: int = 2
    decay: int = 0
    warmup: int = 1
    seq: int = 128
    layer: int = 6
    threads: int = 2
    heldout: int = 4_096
    acts: str = ""
    init: str = ""
    model: str = ""
    tokens: str = ""
    variant: str = ""

    @classmethod
    def from_text(cls, text: str) -> Spec:
        """The inverse of `as_text`."""
        return cls(**json.loads(text))

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    def but(self, **changes: Any) -> Spec:
        return replace(self, **changes)

    @property
    def encoder_operations(self) -> int:
        """Floating-point operations of one token's encoder product, the floor of a sparse step."""
        return 2 * self.d_in * self.d_sae

    @property
    def dense_operations(self) -> int:
        """Those of a step in which all five matrix products are dense."""
        return 5 * self.encoder_operations
