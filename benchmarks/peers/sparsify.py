"""sparsify (EleutherAI): TopK, with Adam. Its kernels need a GPU; on a processor it decodes with embedding_bag."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # read when sparsify is imported

import numpy as np
import torch
from sparsify.config import SparseCoderConfig, TrainConfig
from sparsify.sparse_coder import SparseCoder

from benchmarks.peers.serving import Side, StepSide, serve
from benchmarks.spec import Spec


def config_of(spec: Spec) -> SparseCoderConfig:
    return SparseCoderConfig(num_latents=spec.d_sae, k=spec.k, activation="topk")


class Steps(StepSide):
    """The order of `Trainer.fit`, which cannot be given hidden states."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.sae = SparseCoder(spec.d_in, config_of(spec), device="cpu", dtype=torch.float32)
        self.sae.b_dec.data = self.states[: spec.batch].mean(0)
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=spec.lr)
        self.tokens_since_fired = torch.zeros(spec.d_sae, dtype=torch.long)
        self.fired = torch.zeros(spec.d_sae, dtype=torch.bool)

    def step(self, states: torch.Tensor) -> None:
        self.sae.set_decoder_norm_to_unit_norm()
        out = self.sae(x=states, y=states, dead_mask=None)
        self.fired[out.latent_indices.flatten()] = True
        float(out.fvu.detach())  # it is logged
        (out.fvu + 0.0 * out.auxk_loss + out.multi_topk_fvu / 8).backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tokens_since_fired += len(states)
        self.tokens_since_fired[self.fired] = 0
        self.fired.zero_()

    def reconstruct(self, states: torch.Tensor) -> torch.Tensor:
        reconstruction: torch.Tensor = self.sae(states).sae_out
        return reconstruction


class EndToEnd(Side):
    """`Trainer.fit` on a language model of the shape of GPT-2 small; it runs all blocks, also those behind the hook."""

    def __init__(self, spec: Spec) -> None:
        from datasets import Dataset
        from sparsify.trainer import Trainer
        from transformers import GPT2Config, GPT2Model

        torch.set_num_threads(spec.threads)
        torch.manual_seed(0)
        tokens = np.load(spec.tokens)
        self.spec = spec
        self.texts = Dataset.from_dict({"input_ids": tokens.tolist()}).with_format("torch")
        config = TrainConfig(
            config_of(spec),
            batch_size=spec.batch // spec.seq,
            optimizer="adam",
            lr=spec.lr,
            layers=[spec.layer],
            log_to_wandb=False,
            lr_warmup_steps=0,
            save_dir=tempfile.mkdtemp(prefix="sparsify-"),
        )
        self.trainer = Trainer(config, self.texts, GPT2Model(GPT2Config()))
        self.trainer.save = lambda: None

    def run(self, steps: int) -> dict[str, Any]:
        self.trainer.dataset = self.texts.select(range(steps * self.spec.batch // self.spec.seq))
        self.trainer.global_step = 0
        started = time.perf_counter()
        self.trainer.fit()
        return {"tokens": steps * self.spec.batch, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    serve(lambda spec: Steps(spec) if spec.mode == "sae" else EndToEnd(spec))
