"""SAEDashboard over some features of a large SAE, with what is needed to say how long all of them would take.

It takes features in batches; for each batch it encodes the whole corpus again (of a TopK SAE with all features), and
then draws every feature. The forward of the model is kept from batch to batch (`cache_dir`), which is its best case.
Three runs tell the parts apart: a batch of n features, one of 2n, and two batches of n.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

from benchmarks.peers.saelens import hooked_gpt2
from benchmarks.peers.serving import Side, serve
from benchmarks.spec import Spec

FEATURES = 16  # n
BATCH_OF_FEATURES = 256  # its default


class Dashboard(Side):
    def __init__(self, spec: Spec) -> None:
        torch.set_num_threads(spec.threads)
        torch.manual_seed(0)
        self._spec = spec
        self._tokens = torch.from_numpy(np.load(spec.tokens).astype(np.int64))
        self._model = hooked_gpt2()
        size: dict[str, Any] = {"d_in": spec.d_in, "d_sae": spec.d_sae, "device": "cpu", "dtype": "float32"}
        config = TopKSAEConfig(k=spec.k, rescale_acts_by_decoder_norm=True, **size)  # it folds them in at the start
        config.metadata.hook_name = f"blocks.{spec.layer}.hook_resid_post"
        self._sae = TopKSAE(config)
        with torch.no_grad():
            rows = torch.nn.functional.normalize(torch.randn(spec.d_sae, spec.d_in), dim=1)
            self._sae.W_dec.copy_(rows)
            self._sae.W_enc.copy_(rows.T)

    def run(self, steps: int) -> dict[str, Any]:
        """Seconds for all features, extrapolated; the parts are told too."""
        cache = Path(tempfile.mkdtemp(prefix="sae-dashboard-"))
        try:
            first = self._seconds(FEATURES, FEATURES, cache)  # with the forward, which is cached then
            single = self._seconds(FEATURES, FEATURES, cache)
            double = self._seconds(2 * FEATURES, 2 * FEATURES, cache)
            batches = self._seconds(2 * FEATURES, FEATURES, cache)
        finally:
            shutil.rmtree(cache)
        forward = max(0.0, first - single)
        feature = max(0.0, (double - single) / FEATURES)
        batch = max(0.0, batches - double)
        all_batches = math.ceil(self._spec.d_sae / BATCH_OF_FEATURES)
        total = forward + all_batches * batch + self._spec.d_sae * feature
        parts = {"forward_s": forward, "batch_s": batch, "feature_s": feature, "timed_features": 2 * FEATURES}
        return {"tokens": steps * self._tokens.numel(), "seconds": steps * total} | parts

    def _seconds(self, features: int, at_once: int, cache: Path) -> float:
        config = SaeVisConfig(
            hook_point=f"blocks.{self._spec.layer}.hook_resid_post",
            features=list(range(features)),
            minibatch_size_features=at_once,
            minibatch_size_tokens=self._spec.batch // self._spec.seq,
            cache_dir=cache,
        )
        started = time.perf_counter()
        SaeVisRunner(config).run(encoder=self._sae, model=self._model, tokens=self._tokens)
        return time.perf_counter() - started


if __name__ == "__main__":
    serve(Dashboard)
