"""Ours of all features' examples, counts and histograms: one pass, every activation kept."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ours.running import as_in_a_worker, finished
from benchmarks.peers.serving import Side, serve
from benchmarks.spec import Spec
from experiments.engine import kernels
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.corpus import TextRead, WindowSet
from experiments.engine.harvest import harvest
from experiments.engine.kernels import Weights
from experiments.engine.model_loading import load_language_model
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.windows import Windows

NO_OUTLIERS = 1e9  # a norm that no hidden state has


class Harvest(Side):
    """An SAE with random weights reads all windows of the spec; the index is written as for an experiment."""

    def __init__(self, spec: Spec) -> None:
        as_in_a_worker(spec.threads)
        self._model = load_language_model(Path(spec.model))
        self._sae = random_sae(spec)
        self._windows = window_set(np.load(spec.tokens))
        self._tokens = self._windows.training.text_tokens

    def run(self, steps: int) -> dict[str, Any]:
        seconds = 0.0
        for _ in range(steps):
            with tempfile.TemporaryDirectory() as name:
                folder = ExperimentFolder(Path(name))
                save_sae(self._sae, folder)
                work = harvest(self._model, self._sae, self._windows, self._tokens, folder)
                started = time.perf_counter()
                found = finished(work)
                seconds += time.perf_counter() - started
        return {"tokens": steps * self._tokens, "seconds": seconds, "activations": found["activations"]}


def random_sae(spec: Spec) -> Sae:
    """TopK with random unit rows, encoder and decoder alike."""
    torch.manual_seed(0)
    rows = torch.randn(spec.d_sae, spec.d_in)
    kernels.normalise_rows_(rows)
    weights = Weights(rows, torch.zeros(spec.d_sae), rows.clone(), torch.zeros(spec.d_in))
    about = SaeDescription(
        "topk", spec.d_sae, spec.d_in, spec.k, "local:benchmark", spec.layer, "resid_post", NO_OUTLIERS
    )
    return Sae(weights, about)


def window_set(tokens: np.ndarray[Any, np.dtype[np.int32]]) -> WindowSet:
    """Windows [windows, seq] of token ids, each a document of its own; the same for both parts."""
    documents = np.repeat(np.arange(len(tokens), dtype=np.int32)[:, None], tokens.shape[1], axis=1)
    windows = Windows(tokens, documents, np.zeros(tokens.shape, bool))
    kinds = ("text",) * len(tokens)
    return WindowSet(windows, windows, "window", (), kinds, TextRead(len(tokens), 0, 0, 0, 0), "benchmark")


if __name__ == "__main__":
    serve(Harvest)
