"""SAELens: its own training step, and its own way from tokens to batches. Variants: float32 (its default), autocast,
sparse (COO activations, which on a processor need the decoder's norms left out)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

from benchmarks.peers.serving import Side, StepSide, serve
from benchmarks.spec import Spec

NEVER_ENDING = 10**9  # training samples announced, so that nothing that depends on them sets in
REFILL_BATCHES = 16  # of the model, for one refill of its mixing buffer


def sae_of(spec: Spec) -> Any:
    """The SAE in training that a spec asks for."""
    size: dict[str, Any] = {"d_in": spec.d_in, "d_sae": spec.d_sae, "device": "cpu", "dtype": "float32"}
    if spec.arch == "topk":
        sparse = spec.variant == "sparse"
        size |= {"use_sparse_activations": sparse, "rescale_acts_by_decoder_norm": not sparse}
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=spec.k, **size))
    if spec.arch == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=spec.k, **size))
    return StandardTrainingSAE(StandardTrainingSAEConfig(l1_coefficient=spec.l1, **size))


def trainer_of(spec: Spec, sae: Any, batches: Iterator[Any]) -> SAETrainer:
    config = SAETrainerConfig(
        total_training_samples=spec.steps * spec.batch if spec.decay else NEVER_ENDING,
        train_batch_size_samples=spec.batch,
        lr=spec.lr,
        lr_end=spec.lr,
        lr_decay_steps=spec.decay,
        device="cpu",
        autocast=spec.variant == "autocast",
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(config, sae, batches)


class Steps(StepSide):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.sae = sae_of(spec)
        with torch.no_grad():
            self.sae.b_dec.copy_(self.states[: spec.batch].mean(0))
            if spec.init:
                self._begin_with(np.load(spec.init))
        self.trainer = trainer_of(spec, self.sae, iter(()))

    def step(self, states: torch.Tensor) -> None:
        self.trainer._train_step(sae=self.sae, sae_in=states)
        self.trainer.n_training_steps += 1

    def reconstruct(self, states: torch.Tensor) -> torch.Tensor:
        reconstruction: torch.Tensor = self.sae(states)
        return reconstruction

    def _begin_with(self, init: Any) -> None:
        """Weights as ours are stored: encoder and decoder [d_sae, d_in]."""
        self.sae.W_enc.copy_(torch.from_numpy(init["encoder"].T))
        self.sae.b_enc.copy_(torch.from_numpy(init["encoder_bias"]))
        self.sae.W_dec.copy_(torch.from_numpy(init["decoder"]))
        self.sae.b_dec.copy_(torch.from_numpy(init["decoder_bias"]))


class EndToEnd(Side):
    """A language model of the shape of GPT-2 small with random weights, ActivationsStore, training step."""

    def __init__(self, spec: Spec) -> None:
        torch.set_num_threads(spec.threads)
        torch.manual_seed(0)
        self.spec, self.sae = spec, sae_of(spec)
        self._batches = iter(self._store())
        self._trainer = trainer_of(spec, self.sae, self._batches)

    def run(self, steps: int) -> dict[str, Any]:
        started = time.perf_counter()
        for _ in range(steps):
            self._trainer._train_step(sae=self.sae, sae_in=next(self._batches))
            self._trainer.n_training_steps += 1
        return {"tokens": steps * self.spec.batch, "seconds": time.perf_counter() - started}

    def _store(self) -> Any:
        from datasets import Dataset
        from sae_lens.training.activations_store import ActivationsStore

        spec = self.spec
        tokens = np.load(spec.tokens)
        windows_at_once = max(1, 2 * spec.batch // (REFILL_BATCHES * spec.seq))
        return ActivationsStore(
            model=hooked_gpt2(),
            dataset=Dataset.from_dict({"tokens": tokens.tolist()}),
            streaming=False,
            hook_name=f"blocks.{spec.layer}.hook_resid_post",
            hook_head_index=None,
            context_size=spec.seq,
            d_in=spec.d_in,
            n_batches_in_buffer=2 * REFILL_BATCHES,
            total_training_tokens=tokens.size,
            store_batch_size_prompts=windows_at_once,
            train_batch_size_tokens=spec.batch,
            prepend_bos=False,
            normalize_activations="none",
            device="cpu",
            dtype="float32",
        )


def hooked_gpt2() -> Any:
    """GPT-2 small's shape as transformer_lens has it, with random weights."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=12,
        d_model=768,
        n_ctx=1024,
        d_head=64,
        n_heads=12,
        d_mlp=3072,
        d_vocab=50257,
        act_fn="gelu_new",
        normalization_type="LNPre",
        device="cpu",
    )
    return HookedTransformer(config).eval()


if __name__ == "__main__":
    serve(lambda spec: Steps(spec) if spec.mode == "sae" else EndToEnd(spec))
