"""The learning rate of every step."""

from __future__ import annotations

import math

from experiments.engine.config import TrainingConfig, published_learning_rate


def scheduled_learning_rate(config: TrainingConfig, n_features: int, step: int) -> float:
    """The rate of `step` (from 0): linear warm-up over the first share of the steps, then as `config.schedule` says."""
    peak = config.learning_rate or published_learning_rate(n_features)
    warmup_steps = config.warmup_share * config.steps
    warmup = min(1.0, (step + 1) / max(1.0, warmup_steps))
    return peak * warmup * _decay(config, step, warmup_steps)


def _decay(config: TrainingConfig, step: int, warmup_steps: float) -> float:
    left = config.steps - step
    after_warmup = max(1.0, config.steps - warmup_steps)
    match config.schedule:
        case "constant":
            return 1.0
        case "linear":
            return min(1.0, left / after_warmup)
        case "cosine":
            return 0.5 * (1 - math.cos(math.pi * min(1.0, left / after_warmup)))
        case _:
            return min(1.0, left / max(1.0, config.decay_share * config.steps))
