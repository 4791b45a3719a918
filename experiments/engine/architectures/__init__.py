"""The kinds of SAE: one module and one equation each, all trained by the one `Trainer`."""

from experiments.engine.architectures.architecture import Architecture, Batch, StepResult
from experiments.engine.architectures.batchtopk import BatchTopK
from experiments.engine.architectures.gated import Gated
from experiments.engine.architectures.jumprelu import JumpReLU
from experiments.engine.architectures.matryoshka import Matryoshka
from experiments.engine.architectures.relu import ReLU
from experiments.engine.architectures.topk import TopK
from experiments.engine.config import SaeConfig

__all__ = ["Architecture", "Batch", "StepResult", "architecture_of"]

_BY_NAME: dict[str, type[Architecture]] = {
    "topk": TopK,
    "batchtopk": BatchTopK,
    "matryoshka": Matryoshka,
    "jumprelu": JumpReLU,
    "relu": ReLU,
    "gated": Gated,
}


def architecture_of(sae: SaeConfig) -> Architecture:
    """The architecture that `sae` names. Raises KeyError for a name that `config.ARCHITECTURES` does not have."""
    return _BY_NAME[sae.architecture](sae)
