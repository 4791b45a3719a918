"""What a harvest costs beside reading the text with the model: time, and bytes per activation.

    python -m benchmarks.harvest                     # 1 million tokens, 4,096 features, the built-in model

Prints the time of the model's own forward over the text (all blocks and the logits), of the forward to the layer that
the SAE reads, of that with the SAE's encoder, and of the whole harvest; the SAE has random weights. Target: a harvest
within 1.25 times the model's own forward, in at most 8 bytes per activation. Nothing else should use the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import tell
from experiments.engine import builtin
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.capture import Reading, capture_batches
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, Place, SaeConfig, TrainingConfig
from experiments.engine.corpus import prepare_windows
from experiments.engine.harvest import harvest
from experiments.engine.kernels import Weights
from experiments.engine.model_loading import load_language_model
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.windows import first_windows

PLACE = Place(2, "resid_post")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a harvest against the model's own forward.")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=4_096)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(ExperimentFolder(Path(folder)), chosen.tokens, random_sae(chosen.features, chosen.k))


def random_sae(features: int, k: int) -> Sae:
    width = load_language_model(Path(builtin.__file__).parent / "model").width_of(PLACE)
    rows = torch.randn(features, width, generator=torch.Generator().manual_seed(0))
    decoder = torch.nn.functional.normalize(rows, dim=1)
    weights = Weights(decoder.clone(), torch.zeros(features), decoder, torch.zeros(width))
    return Sae(weights, SaeDescription("topk", features, width, k, "builtin", PLACE.layer, PLACE.site, 1e9))


def measure(folder: ExperimentFolder, tokens: int, sae: Sae) -> None:
    model = load_language_model(Path(builtin.__file__).parent / "model")
    config = ExperimentConfig(
        ModelConfig("builtin", "builtin"), CorpusConfig("builtin", "builtin"), PLACE.layer,
        sae=SaeConfig("topk", sae.description.n_features, sae.description.k), training=TrainingConfig(tokens=tokens),
        evaluation_tokens=1_000, splice_tokens=1_000,
    )  # fmt: skip
    windows = result_of(prepare_windows(config, model.tokenizer, None, folder.path / "cache"))
    text = first_windows(windows.training, tokens)
    last = Place(model.card.layers - 1, "resid_post")
    unembedding = model.unembedding(last)
    assert unembedding is not None, "the built-in model predicts tokens"
    save_sae(sae, folder)

    def read_all() -> None:
        for (batch,) in capture_batches(model, text, [Reading(last)]):
            _ = batch.states @ unembedding.T

    def read(*, encode: bool) -> None:
        for (batch,) in capture_batches(model, text, [sae.reading()]):
            _ = sae.encode(batch.states).to_numpy() if encode else None

    own = timed("the model's own forward", read_all)
    timed("forward to the layer", lambda: read(encode=False))
    timed("forward to the layer, and encoder", lambda: read(encode=True))
    harvested: dict[str, Any] = {}
    whole = timed("harvest", lambda: harvested.update(result_of(harvest(model, sae, windows, tokens, folder))))
    size = sum(path.stat().st_size for path in folder.index.iterdir())
    tell("harvest / own forward", whole / own)
    tell("bytes per activation", size / harvested["activations"])


def timed(name: str, work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    tell(name, seconds, "s")
    return seconds


def result_of(work: Generator[Any, None, Any]) -> Any:
    """What a generator returns, without what it tells meanwhile."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        return end.value


if __name__ == "__main__":
    main()
