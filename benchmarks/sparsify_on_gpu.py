"""sparsify (EleutherAI) with its own kernels on the shape that the argument says; run by `benchmarks.gpu`.

Runs in the environment of the peer, so it imports nothing of Latent Lens. The order of a step is that of its
`Trainer.fit`; the optimiser is Adam, as ours, in torch's fused form where there is a GPU.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

import torch
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

BATCHES = 4


class Steps:
    """The training step of sparsify's trainer on hidden states in memory."""

    def __init__(self, shape: dict, first: torch.Tensor) -> None:
        device = shape["device"]
        config = SparseCoderConfig(num_latents=shape["n_features"], k=shape["k"], activation="topk")
        self.sae = SparseCoder(shape["width"], config, device=device, dtype=torch.float32)
        self.sae.b_dec.data = first.mean(0)
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=1e-4, fused=device.startswith("cuda"))
        self.tokens_since_fired = torch.zeros(shape["n_features"], dtype=torch.long, device=device)
        self.fired = torch.zeros(shape["n_features"], dtype=torch.bool, device=device)

    def step(self, states: torch.Tensor) -> None:
        self.sae.set_decoder_norm_to_unit_norm()
        # Its trainer computes under autocast where the GPU has bfloat16.
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=states.is_cuda):
            out = self.sae(x=states, y=states, dead_mask=None)
            self.fired[out.latent_indices.flatten()] = True
            loss = out.fvu + 0.0 * out.auxk_loss + out.multi_topk_fvu / 8
        loss.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tokens_since_fired += len(states)
        self.tokens_since_fired[self.fired] = 0
        self.fired.zero_()


def seconds_of_a_step(shape: dict) -> float:
    """The median over the rounds, each without a wait inside; the first one warms up."""
    device = shape["device"]
    random = torch.Generator(device).manual_seed(0)
    states = torch.randn(BATCHES, shape["tokens"], shape["width"], generator=random, device=device)
    steps, rounds = Steps(shape, states[0]), []
    for _ in range(shape["rounds"] + 1):
        started = time.perf_counter()
        for number in range(shape["steps"]):
            steps.step(states[number % BATCHES])
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        rounds.append((time.perf_counter() - started) / shape["steps"])
    return statistics.median(rounds[1:])


def main(shape: dict) -> None:
    seconds = seconds_of_a_step(shape)
    on_gpu = shape["device"].startswith("cuda")
    memory = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_second": shape["tokens"] / seconds, "memory_bytes": memory}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
