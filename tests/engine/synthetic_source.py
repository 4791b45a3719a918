"""Hidden states with a known sparse structure, in segments, without any language model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig

WIDTH, DIRECTIONS, ACTIVE = 16, 24, 2


def planted_directions() -> Tensor:
    directions = torch.randn(DIRECTIONS, WIDTH, generator=torch.Generator().manual_seed(99))
    return directions / directions.norm(dim=1, keepdim=True)


def planted_states(count: int, seed: int) -> Tensor:
    """Sums of two of the planted directions with random strengths, around an offset, with a little noise."""
    random = torch.Generator().manual_seed(seed)
    chosen = torch.rand(count, DIRECTIONS, generator=random).topk(ACTIVE, dim=1).indices
    strengths = 1 + torch.rand(count, ACTIVE, generator=random)
    noise = 0.01 * torch.randn(count, WIDTH, generator=random)
    return 3.0 + torch.einsum("ta,taw->tw", strengths, planted_directions()[chosen]) + noise


@dataclass
class SyntheticSource:
    """A few small segments; each is made again from its number, as capture would."""

    segments: int = 3
    states_per_segment: int = 700
    norm_limit: float = 1e9
    captured: int | None = None
    further: tuple[Tensor, ...] = ()

    def text_tokens(self, segment: int) -> int:
        return self.states_per_segment + 10 * segment

    def capture(self, segment: int) -> Iterator[int]:
        self.captured = segment
        yield self.states_per_segment

    def capture_ahead(self, segment: int) -> None:
        """Nothing to gain: making one takes no time."""

    @property
    def hidden_states(self) -> Tensor:
        assert self.captured is not None
        return planted_states(self.text_tokens(self.captured), seed=self.captured)


def small_config(tokens: int = 6_400, seed: int = 3, **training: float | str) -> ExperimentConfig:
    return ExperimentConfig(
        model=ModelConfig("builtin", "builtin"),
        corpus=CorpusConfig("builtin", "builtin"),
        layer=0,
        sae=SaeConfig(n_features=32, k=ACTIVE),
        training=TrainingConfig(
            **{"tokens": tokens, "batch_tokens": 128, "learning_rate": 5e-3, "metric_every": 5, **training}  # type: ignore[arg-type]
        ),
        seed=seed,
    )
