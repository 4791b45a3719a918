"""Which sides are compared on which work. Each group is measured in rounds of its own and gives rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import inputs
from benchmarks.environments import DICTIONARY_LEARNING, SAE_DASHBOARD, SAELENS, SPARSIFY, Environment
from benchmarks.rounds import Contender
from benchmarks.spec import Architecture, Spec

OURS = "ours"
OURS_FLOAT32, OURS_WITH_DEAD = "ours, float32 path", "ours, auxiliary loss active"
GEMM_FLOAT32, GEMM_BFLOAT16 = "GEMM float32", "GEMM bfloat16"
SAELENS_FLOAT32 = "SAELens float32"
PARTS = ("step", "e2e", "harvest", "quality", "sweep")
STOCK, TUNED = "stock", "tuned"
SIZES = (24_576, 4_096)

E2E_STEPS, E2E_ROUNDS = 2, 2  # SAELens refills its buffer for two steps at a time; ours does eight
QUALITY_STEPS, QUALITY_BATCH, QUALITY_RATE = 160, 2_048, 1e-3
QUALITY_RATES = (QUALITY_RATE, 3e-3, 1e-2, 3e-2)
FALLING_RATES, FALLING_SHARE = (3e-3, 1e-2), 0.2  # the share of the steps in which every experiment's rate falls
QUALITY_HELD_OUT = 8_192
HARVEST_WINDOWS, HARVEST_ROUNDS = 128, 2  # of 128 tokens, which SAEDashboard encodes for every batch of features
SWEEP_STEPS, SWEEP_FEATURES, SWEEP_MEMBERS = 8, 1_024, 8


@dataclass(frozen=True)
class Scale:
    """How much is done; the tests make it tiny."""

    batch: int = 4_096
    sizes: tuple[int, ...] = SIZES
    d_in: int = 768
    k: int = 32
    threads: int = 2
    bfloat16: bool = True  # whether the processor multiplies it; where not, no side does
    architectures: tuple[Architecture, ...] = ("topk", "batchtopk", "relu")
    quality_steps: int = QUALITY_STEPS
    quality_rates: tuple[float, ...] = QUALITY_RATES
    falling_rates: tuple[float, ...] = FALLING_RATES
    harvest_windows: int = HARVEST_WINDOWS


@dataclass(frozen=True)
class Group:
    """Sides that are measured in the same rounds, and how many steps each does in one (None: two seconds' worth).

    `most_rounds` are enough where a round is long.
    """

    name: str
    spec: Spec
    contenders: list[Contender]
    steps: int | None = None
    most_rounds: int = 1_000


def groups(parts: set[str], scale: Scale) -> Iterator[Group]:
    """The groups of these parts, in order; what they read is made when it is asked for."""
    if "step" in parts:
        yield from _steps(scale)
    if "e2e" in parts:
        yield from _end_to_end(scale)
    if "harvest" in parts:
        yield _harvest(scale)
    if "quality" in parts:
        yield _quality(scale)
    if "sweep" in parts:
        yield _sweep(scale)


def at_rate(side: str, rate: float) -> str:
    """The name of a side of the comparison of quality, where each is trained at several learning rates."""
    return side if rate == QUALITY_RATE else f"{side} at {rate:g}"


def falling_from(side: str, rate: float) -> str:
    """The same where the rate falls to zero at the end."""
    return f"{side} at {rate:g}, falling at the end"


def step_group(architecture: Architecture, size: int, baseline: str) -> str:
    return f"step/{architecture}/{size}/{baseline}"


def _steps(scale: Scale) -> Iterator[Group]:
    for size in scale.sizes:
        for architecture in scale.architectures:
            for baseline in (STOCK, TUNED) if architecture == "topk" else (STOCK,):
                yield _step_group(architecture, size, baseline, scale)


def _step_group(architecture: Architecture, size: int, baseline: str, scale: Scale) -> Group:
    states = inputs.synthetic_states(scale.d_in, scale.batch, scale.batch)
    spec = Spec(
        arch=architecture,
        d_in=scale.d_in,
        d_sae=size,
        k=scale.k,
        batch=scale.batch,
        heldout=scale.batch,
        threads=scale.threads,
        acts=str(states),
    )
    contenders: list[Contender] = [_ours(OURS, spec)]
    if architecture == "topk" and baseline == STOCK and size == max(scale.sizes):
        contenders += [
            _ours(OURS_FLOAT32, spec, "float32"),
            _ours(OURS_WITH_DEAD, spec, "dead"),
        ]
    contenders += [*_gemms(spec, scale), *_step_peers(spec, scale, tuned=baseline == TUNED)]
    return Group(step_group(architecture, size, baseline), spec, contenders)


def _ours(name: str, spec: Spec, variant: str = "") -> Contender:
    return Contender(name, "benchmarks.ours.steps", spec.but(variant=variant))


def _step_peers(spec: Spec, scale: Scale, *, tuned: bool) -> list[Contender]:
    """The peers that have the architecture, in their defaults and in what is faster; tuned, those that are fastest."""
    peer, fastest = partial(_peer, tuned=tuned), "autocast" if scale.bfloat16 else "float32"
    variants = {"topk": ("float32", "autocast", "sparse"), "batchtopk": ("float32",), "relu": ("float32", "autocast")}
    sides: list[Contender] = [
        peer(f"SAELens {variant}", "saelens", spec.but(variant=variant), SAELENS)
        for variant in variants[spec.arch]
        if (variant == fastest if tuned else scale.bfloat16 or variant != "autocast")
    ]
    if spec.arch == "topk":
        sides.append(peer("sparsify", "sparsify", spec, SPARSIFY))
    if not tuned:
        sides.append(peer("dictionary_learning", "dictionary_learning", spec, DICTIONARY_LEARNING))
    return sides


def _end_to_end(scale: Scale) -> Iterator[Group]:
    model = inputs.language_model()
    for size in scale.sizes:
        spec = Spec(
            mode="e2e",
            d_sae=size,
            k=scale.k,
            batch=scale.batch,
            threads=scale.threads,
            model=str(model),
            tokens=str(inputs.TOKENS),
        )
        sides: list[Contender] = [
            Contender(OURS, "benchmarks.ours.end_to_end", spec),
            *_gemms(spec, scale),
            _peer("sparsify", "sparsify", spec, SPARSIFY),
            _peer(SAELENS_FLOAT32, "saelens", spec.but(variant="float32"), SAELENS),
        ]
        yield Group(f"e2e/{size}", spec, sides, steps=E2E_STEPS, most_rounds=E2E_ROUNDS)


def _harvest(scale: Scale) -> Group:
    model = inputs.language_model()
    tokens = inputs.INPUTS / f"tokens-{scale.harvest_windows}.npy"
    np.save(tokens, np.load(inputs.TOKENS)[: scale.harvest_windows])
    spec = Spec(
        mode="e2e",
        d_sae=scale.sizes[0],
        k=scale.k,
        threads=scale.threads,
        model=str(model),
        tokens=str(tokens),
        warmup=0,
    )
    sides: list[Contender] = [
        Contender(OURS, "benchmarks.ours.harvest", spec.but(warmup=1)),
        _peer("SAEDashboard", "sae_dashboard", spec, SAE_DASHBOARD),
    ]
    return Group("harvest", spec, sides, steps=1, most_rounds=HARVEST_ROUNDS)


def _quality(scale: Scale) -> Group:
    """All sides begin with the same weights and see the same batches, once each round: one round is the training.

    Two trainers of different recipes take different steps at the same learning rate, so each has several, constant and
    falling to zero at the end.
    """
    states = inputs.builtin_states()
    width = np.load(states, mmap_mode="r").shape[1]
    spec = Spec(
        d_in=width,
        d_sae=min(scale.sizes),
        k=scale.k,
        batch=QUALITY_BATCH,
        lr=QUALITY_RATE,
        heldout=QUALITY_HELD_OUT,
        threads=scale.threads,
        acts=str(states),
        warmup=0,
        steps=scale.quality_steps,
    )
    spec = spec.but(init=str(_starting_weights(spec)))
    sides: list[Contender] = [Contender(OURS_FLOAT32, "benchmarks.ours.quality", spec.but(variant="float32"))]
    for rate in scale.quality_rates:
        sides += _both_sides(spec.but(lr=rate), partial(at_rate, rate=rate))
    for rate in scale.falling_rates:
        falling = spec.but(lr=rate, decay=round(FALLING_SHARE * spec.steps))
        sides += _both_sides(falling, partial(falling_from, rate=rate))
    return Group("quality", spec, sides, steps=scale.quality_steps, most_rounds=1)


def _both_sides(spec: Spec, name: Callable[[str], str]) -> list[Contender]:
    return [
        Contender(name(OURS), "benchmarks.ours.quality", spec),
        _peer(name(SAELENS_FLOAT32), "saelens", spec.but(variant="float32"), SAELENS),
    ]


def _starting_weights(spec: Spec) -> str:
    """Random unit decoder rows, the encoder alike, no encoder bias, b_dec at the mean."""
    rows = np.random.default_rng(0).standard_normal((spec.d_sae, spec.d_in), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean = np.load(spec.acts, mmap_mode="r")[: spec.batch].mean(0, dtype=np.float64).astype(np.float32)
    path = inputs.INPUTS / f"start-{spec.d_in}-{spec.d_sae}.npz"
    np.savez(path, encoder=rows, encoder_bias=np.zeros(spec.d_sae, np.float32), decoder=rows, decoder_bias=mean)
    return str(path)


def _sweep(scale: Scale) -> Group:
    spec = Spec(
        mode="e2e",
        d_sae=SWEEP_FEATURES,
        k=scale.k,
        batch=scale.batch,
        threads=scale.threads,
        model=str(inputs.language_model()),
        warmup=0,
    )
    sides: list[Contender] = [
        Contender(f"{members} of a sweep", "benchmarks.ours.sweep", spec.but(variant=str(members)))
        for members in (1, SWEEP_MEMBERS)
    ]
    return Group("sweep", spec, sides, steps=SWEEP_STEPS)


def _gemms(spec: Spec, scale: Scale) -> list[Contender]:
    """The encoder's product alone, in each number format that the processor multiplies."""
    formats = {GEMM_FLOAT32: "float32"} | ({GEMM_BFLOAT16: "bfloat16"} if scale.bfloat16 else {})
    return [Contender(name, "benchmarks.peers.gemm", spec.but(variant=dtype)) for name, dtype in formats.items()]


def _peer(name: str, module: str, spec: Spec, environment: Environment, *, tuned: bool = False) -> Contender:
    return Contender(name, f"benchmarks.peers.{module}", spec, environment, tuned=tuned)
