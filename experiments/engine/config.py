"""What an experiment is told to do: frozen dataclasses that are their own documentation, and the rules they keep.

Forms, API schemas, the command line and the admin read choices and bounds from here. No torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from experiments.engine.model_card import ModelCard

# How many activations the harvest sorts at a time, about: 32 MB that take a fraction of a second.
ACTIVATIONS_AT_ONCE = 2_000_000

SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")

Config = TypeVar("Config")


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one sentence for the person who wrote it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Choice:
    """One value of a closed list, with the words that a form shows for it."""

    name: str
    title: str
    description: str


@dataclass(frozen=True)
class Bound:
    """The range of a number; whole numbers have whole limits. `default` is None where it follows from the model."""

    minimum: float
    maximum: float
    default: float | None
    unit: str
    help: str

    @property
    def whole(self) -> bool:
        return isinstance(self.minimum, int)

    def check(self, name: str, value: float) -> None:
        """Raises ConfigError when `value` is not a finite number of this range."""
        words = name.replace("_", " ")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(name, f"The {words} must be a finite number.")
        if self.whole and value != int(value):
            raise ConfigError(name, f"The {words} must be a whole number.")
        if not self.minimum <= value <= self.maximum:
            raise ConfigError(
                name, f"The {words} must be between {self.minimum:,} and {self.maximum:,}, not {value:,}."
            )


def _by_name(*choices: Choice) -> dict[str, Choice]:
    return {choice.name: choice for choice in choices}


SITES = _by_name(
    Choice("resid_pre", "Residual stream before the block", "The hidden state that enters the block."),
    Choice(
        "resid_post", "Residual stream after the block", "The hidden state that leaves the block; the usual choice."
    ),
    Choice("attn_heads", "Attention heads", "The attention heads' outputs side by side, before the output projection."),
    Choice("attn_out", "Attention output", "What the block's attention adds to the residual stream."),
    Choice("mlp_in", "MLP input", "What the block's MLP is given; what a transcoder reads."),
    Choice("mlp_out", "MLP output", "What the block's MLP adds to the residual stream."),
)
ARCHITECTURES = _by_name(
    Choice("topk", "TopK", "Keeps the k strongest features of every token (Gao et al. 2024, arXiv:2406.04093)."),
)

BOUNDS: dict[str, Bound] = {
    "layer": Bound(
        0, 1_000, None, "block", "The block whose hidden states are read, counted from 0; by default the middle."
    ),
    "n_features": Bound(
        2, 1_048_576, 4_096, "features", "How many features the SAE may learn; 4 to 32 times the width."
    ),
    "k": Bound(1, 8_192, 32, "features per token", "How many features may fire on one token; at most n_features."),
    "sparsity_coefficient": Bound(
        0.0, 1_000.0, 0.01, "", "Weight of the sparsity penalty; TopK has none and ignores it."
    ),
    "training_tokens": Bound(1_024, 100_000_000_000, 2_000_000, "tokens", "Hidden states the SAE is trained on."),
    "seed": Bound(0, 2**63 - 1, 0, "", "The same seed on the same machine gives the same weights, bit for bit."),
    "context_length": Bound(8, 131_072, 128, "tokens", "Length of the windows the model reads."),
    "batch_tokens": Bound(16, 1_048_576, 4_096, "tokens", "Hidden states per optimiser step."),
}


@dataclass(frozen=True)
class Place:
    """Where hidden states are read or replaced: a site of one block."""

    layer: int
    site: str


@dataclass(frozen=True)
class ModelConfig:
    """Which language model is read. A `revision` is the commit of a hub model; local models have none."""

    source: Literal["builtin", "local", "hub"]
    name: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    @property
    def canonical(self) -> str:
        """The one string by which the model is known: `builtin`, `local:NAME` or `hub:ID`."""
        return "builtin" if self.source == "builtin" else f"{self.source}:{self.name}"


@dataclass(frozen=True)
class CorpusConfig:
    """Which text is read. `column`, `configuration` and `split` apply to tables and hub data sets."""

    source: Literal["builtin", "upload", "hub"]
    name: str
    column: str | None = None
    configuration: str | None = None
    split: str | None = None
    revision: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class SaeConfig:
    """The sparse autoencoder: `n_features` directions of which at most `k` fire on a token."""

    architecture: str = "topk"
    n_features: int = 4_096
    k: int = 32
    sparsity_coefficient: float = 0.01


@dataclass(frozen=True)
class TrainingConfig:
    """How the SAE is trained. Shares are of the whole training; tokens count hidden states.

    The recipe is that of Gao et al. 2024 (arXiv:2406.04093) for short training: see each field.
    """

    tokens: int = 2_000_000
    batch_tokens: int = 4_096
    learning_rate: float | None = None  # None: 2e-4 / sqrt(n_features / 16384), their scaling law
    warmup_share: float = 0.05  # linear warm-up from zero
    decay_share: float = 0.2  # linear decay to zero at the end
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 6.25e-10  # small: inputs have unit mean square, so gradients of rare features are tiny
    clip_norm: float = 1.0  # of the gradient over all weights
    aux_k: int | None = None  # dead features that explain the residual; None: half the width
    aux_k_coefficient: float = 1 / 32
    dead_after_tokens: int | None = None  # None: min(10 million, 3% of the training tokens)
    segment_tokens: int = 2**18  # hidden states captured and shuffled together
    checkpoint_seconds: float = 20.0
    metric_every: int = 10  # steps
    held_out_share: float = 0.1  # of the documents, never trained on

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.batch_tokens)

    @property
    def dead_after(self) -> int:
        """Tokens without firing after which a feature counts as dead."""
        return self.dead_after_tokens or max(self.batch_tokens, min(10_000_000, self.tokens * 3 // 100))


def default_batch_tokens(training_tokens: int) -> int:
    """The largest of 512, 1,024, 2,048 and 4,096 that leaves 1,500 steps: few steps cost a short run more than noise.

    On the built-in model, 1 million tokens: 250 steps explain 0.89 of the variance, 1,000 steps 0.95 (docs/builtin.md).
    """
    fitting = [size for size in (512, 1_024, 2_048, 4_096) if training_tokens // size >= 1_500]
    return max(fitting, default=512)


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment: model, layer, site, corpus, SAE and training; with the seed it determines the weights."""

    model: ModelConfig
    corpus: CorpusConfig
    layer: int
    site: str = "resid_post"
    sae: SaeConfig = field(default_factory=SaeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    context_length: int = 128
    seed: int = 0
    evaluation_tokens: int = 100_000  # held-out, for every quality number but the next
    splice_tokens: int = 32_768  # held-out, for cross-entropies: each is read whole by the model four times
    harvest_tokens: int = 500_000

    @property
    def place(self) -> Place:
        """Where the hidden states are read that the SAE is trained on."""
        return Place(self.layer, self.site)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ExperimentConfig:
        """The inverse of `as_json`. Raises ConfigError for an unknown key, a missing key or a wrong type."""
        return _read(cls, document, "config")


def as_json(config: ExperimentConfig) -> dict[str, Any]:
    """Plain JSON values from which `ExperimentConfig.from_json` makes the same config again."""
    return dataclasses.asdict(config)


def _read(kind: type[Config], document: Any, path: str) -> Config:
    if not isinstance(document, dict):
        raise ConfigError(path, f"{path} must be an object.")
    hints = get_type_hints(kind)
    if unknown := sorted(set(document) - set(hints)):
        raise ConfigError(unknown[0], f"{path} has an unknown field “{unknown[0]}”.")
    values = {name: _value(hints[name], value, name) for name, value in document.items()}
    try:
        return kind(**values)
    except TypeError:
        required = [f.name for f in dataclasses.fields(kind) if _is_required(f)]  # type: ignore[arg-type]
        missing = next(name for name in required if name not in values)
        raise ConfigError(missing, f"{path} lacks the field “{missing}”.") from None


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, name)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        accepted = value in get_args(hint)
    else:
        kinds = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
        accepted = isinstance(value, (*kinds, int) if float in kinds else kinds) and not isinstance(value, bool)
    if not accepted:
        raise ConfigError(name, f"“{name}” has a value of the wrong kind.")
    return value


def validate(config: ExperimentConfig, model_card: ModelCard) -> None:
    """Raises ConfigError with one clear sentence when `config` cannot be run on the model of `model_card`."""
    _validate_names(config)
    numbers = {
        "layer": config.layer,
        "n_features": config.sae.n_features,
        "k": config.sae.k,
        "sparsity_coefficient": config.sae.sparsity_coefficient,
        "training_tokens": config.training.tokens,
        "seed": config.seed,
        "context_length": config.context_length,
        "batch_tokens": config.training.batch_tokens,
    }
    for name, number in numbers.items():
        BOUNDS[name].check(name, number)
    _validate_against_model(config, model_card)
    _validate_training(config.training)


def _validate_names(config: ExperimentConfig) -> None:
    if config.site not in SITES:
        raise ConfigError("site", f"The site must be one of {', '.join(SITES)}.")
    if config.sae.architecture not in ARCHITECTURES:
        raise ConfigError("architecture", f"The architecture must be one of {', '.join(ARCHITECTURES)}.")
    parts = config.model.name.split("/")
    longest = 2 if config.model.source == "hub" else 1
    if len(parts) > longest or not all(SAFE_NAME.match(part) and ".." not in part for part in parts):
        raise ConfigError("model", "The model must be a plain name or a hub id such as org/name, not a path or a URL.")


def _validate_against_model(config: ExperimentConfig, card: ModelCard) -> None:
    if config.layer >= card.layers:
        raise ConfigError(
            "layer", f"The model has layers 0 to {card.layers - 1}, so layer {config.layer} does not exist."
        )
    if config.sae.k > config.sae.n_features:
        raise ConfigError(
            "k", f"k ({config.sae.k:,}) cannot exceed the number of features ({config.sae.n_features:,})."
        )
    if config.context_length > card.context_length:
        raise ConfigError(
            "context_length",
            f"The model reads at most {card.context_length:,} tokens; windows of {config.context_length:,} do not fit.",
        )


def _validate_training(training: TrainingConfig) -> None:
    if training.learning_rate is not None and not 0 < training.learning_rate < 1:
        raise ConfigError("learning_rate", "The learning rate must be between 0 and 1; leave it out for the default.")
    if min(training.warmup_share, training.decay_share) < 0 or training.warmup_share + training.decay_share > 1:
        raise ConfigError("warmup_share", "Warm-up and decay must be shares that add up to at most 1.")
    if not 0 < training.held_out_share < 1:
        raise ConfigError("held_out_share", "The held-out share must be between 0 and 1.")
    for name in ("segment_tokens", "metric_every", "checkpoint_seconds", "clip_norm"):
        if not 0 < getattr(training, name) < math.inf:
            raise ConfigError(name, f"The {name.replace('_', ' ')} must be a positive number.")
