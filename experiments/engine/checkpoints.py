"""Everything that a training needs to go on bit for bit, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from experiments.engine.artifacts import (
    ArtifactError,
    ExperimentFolder,
    checkpoint_name,
    sha256_of,
    verify_sha256,
    write_atomically,
)
from experiments.engine.config import ExperimentConfig, as_json
from experiments.engine.input_statistics import Scales
from experiments.engine.kernels import Weights
from experiments.engine.records import Checkpointed
from experiments.engine.sae import read_tensors
from experiments.engine.segments import Position
from experiments.engine.trainer import Trainer

MOMENTS = ("first_moment", "second_moment")


@dataclass(frozen=True)
class TrainingState:
    """A trainer and where in the stream of batches it stands."""

    trainer: Trainer
    position: Position
    norm_limit: float


def fingerprint(config: ExperimentConfig) -> str:
    """A hash of all that determines the weights; a checkpoint of another config must not be continued.

    The revision is left out: a hub model has none until it is loaded, and is then held to the commit that was found.
    """
    settled = replace(config, model=replace(config.model, revision=None))
    return hashlib.sha256(json.dumps(as_json(settled), sort_keys=True).encode()).hexdigest()


def save_checkpoint(state: TrainingState, config: ExperimentConfig, folder: ExperimentFolder) -> Checkpointed:
    """Writes the state and syncs it to disk. The checkpoint before it stays until the caller lets go of it."""
    name = checkpoint_name(state.position.step)
    path = folder.checkpoint(name)
    facts = {
        "position": asdict(state.position),
        "scales": asdict(state.trainer.scales),
        "parts": state.trainer.parts,
        "last_l0": state.trainer.last_l0,
        "norm_limit": state.norm_limit,
    }
    metadata = {"fingerprint": fingerprint(config), "facts": json.dumps(facts)}
    tensors = _tensors_of(state.trainer)
    write_atomically(path, lambda partial: save_file(tensors, partial, metadata=metadata))
    return Checkpointed(name, sha256_of(path), state.position.step)


def load_checkpoint(
    name: str, sha256: str | None, config: ExperimentConfig, folder: ExperimentFolder, device: str
) -> TrainingState:
    """Reads a checkpoint back. Raises ArtifactError when it is missing, damaged or of another configuration."""
    path = folder.checkpoint(name)
    verify_sha256(path, sha256)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = read_tensors(path, device)
    except (OSError, SafetensorError):
        raise ArtifactError(f"The checkpoint {name} cannot be read; start the experiment again.") from None
    if metadata.get("fingerprint") != fingerprint(config):
        raise ArtifactError(f"The checkpoint {name} is of another configuration; start the experiment again.")
    facts = json.loads(metadata["facts"])
    position = Position(**facts["position"])
    trainer = _trainer_from(tensors, config, Scales(**facts["scales"]), position.step)
    trainer.parts, trainer.last_l0 = facts["parts"], facts["last_l0"]
    return TrainingState(trainer, position, facts["norm_limit"])


def _tensors_of(trainer: Trainer) -> dict[str, Tensor]:
    groups = {
        "": trainer.weights,
        "first_moment.": trainer.adam.first_moments,
        "second_moment.": trainer.adam.second_moments,
    }
    named = {f"{prefix}{name}": tensor for prefix, group in groups.items() for name, tensor in group.present().items()}
    named["tokens_since_fired"] = trainer.tokens_since_fired
    return {name: tensor.cpu().contiguous() for name, tensor in named.items()}


def _trainer_from(tensors: dict[str, Tensor], config: ExperimentConfig, scales: Scales, step: int) -> Trainer:
    def group(prefix: str) -> Weights:
        names = (name for name in Weights._fields if prefix + name in tensors)
        return Weights(**{name: tensors[prefix + name] for name in names})

    trainer = Trainer(config.sae, config.training, group(""), scales, step=step, seed=config.seed)
    trainer.adam.restore(step, group("first_moment."), group("second_moment."))
    trainer.tokens_since_fired.copy_(tensors["tokens_since_fired"].to(torch.int64))
    return trainer
