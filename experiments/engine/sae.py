"""A trained sparse autoencoder: encode hidden states, decode features, save and load."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures import Architecture, architecture_of
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, verify_sha256, write_atomically, write_json
from experiments.engine.capture import Reading
from experiments.engine.config import Place, SaeConfig
from experiments.engine.kernels import SparseCode, Weights

# Pre-activations held at once while encoding: 32 MiB of float32 stay in or near the cache and bound the memory.
ENCODE_NUMBERS = 2**23


@dataclass(frozen=True)
class SaeDescription:
    """What sae.json says: enough to use the weights without the experiment's config."""

    architecture: str
    n_features: int
    width: int
    k: int
    model: str
    layer: int
    site: str
    norm_limit: float  # hidden states with a larger norm were left out of training
    output_site: str | None = None  # what a transcoder reconstructs
    expected_l0: float = 0.0  # features per token in the last step of training

    @property
    def place(self) -> Place:
        """Where the hidden states are read."""
        return Place(self.layer, self.site)

    @property
    def is_transcoder(self) -> bool:
        return self.output_site is not None

    @property
    def output_place(self) -> Place:
        """Where the hidden states are that come out."""
        return Place(self.layer, self.output_site or self.site)


@dataclass(frozen=True)
class Sae:
    """A trained SAE of any architecture; the equation is in the docstring of its class in `architectures`.

    x is a hidden state as the model has it: the scale used in training is folded into the weights. Rows of W_dec have
    length one, so an activation is in the units of what is reconstructed.
    """

    weights: Weights
    description: SaeDescription

    @cached_property
    def architecture(self) -> Architecture:
        about = self.description
        return architecture_of(SaeConfig(about.architecture, about.n_features, about.k, output_site=about.output_site))

    def reading(self) -> Reading:
        """What has to be captured for it: its inputs, without outliers, and the targets of a transcoder."""
        about = self.description
        further = (about.output_place,) if about.output_site else ()
        return Reading(about.place, further, about.norm_limit)

    @property
    def device(self) -> torch.device:
        return self.weights.decoder.device

    @property
    def output_width(self) -> int:
        return self.weights.decoder.shape[1]

    @torch.no_grad()
    def encode(self, hidden_states: Tensor) -> SparseCode:
        """The features that fire on every hidden state [T, width], whatever other hidden states come with it."""
        rows = max(1, ENCODE_NUMBERS // self.description.n_features)
        inputs = hidden_states.to(self.device, torch.float32)
        return kernels.concatenated([self._encode(chunk) for chunk in torch.split(inputs, rows)])

    @torch.no_grad()
    def decode(self, code: SparseCode, hidden_states: Tensor) -> Tensor:
        """What the features of `hidden_states` [T, width] describe (a skip connection looks at them): [T, W']."""
        return self.architecture.reconstruct(hidden_states.to(self.device, torch.float32), code, self.weights)

    def reconstruct(self, hidden_states: Tensor) -> Tensor:
        """decode(encode(x)): [T, width] -> [T, W']."""
        return self.decode(self.encode(hidden_states), hidden_states)

    def _encode(self, inputs: Tensor) -> SparseCode:
        pre = self.architecture.pre_activations(inputs, self.weights)
        return self.architecture.features_of(pre, self.weights)


def save_sae(sae: Sae, folder: ExperimentFolder) -> None:
    """Writes weights.safetensors and sae.json into `folder`, each atomically."""
    tensors = {name: weight.cpu().contiguous() for name, weight in sae.weights.present().items()}
    write_atomically(folder.weights, lambda partial: save_file(tensors, partial))
    write_json(folder.sae_config, asdict(sae.description))


def load_sae(folder: ExperimentFolder, device: str = "cpu", sha256: str | None = None) -> Sae:
    """Reads the SAE of `folder`. Raises ArtifactError when a file is missing or unreadable, or not of hash `sha256`."""
    verify_sha256(folder.weights, sha256)
    try:
        description = SaeDescription(**json.loads(folder.sae_config.read_text(encoding="utf-8")))
        weights = Weights(**read_tensors(folder.weights, device))
    except (OSError, ValueError, TypeError, SafetensorError):
        raise ArtifactError("The weights of this experiment cannot be read; start the experiment again.") from None
    return Sae(weights, description)


def read_tensors(path: Path, device: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in torch's own aligned memory: at the file's odd addresses kernels round
    differently, and then the same weights would not give the same bits."""
    return {name: tensor.clone() for name, tensor in load_file(path, device=device).items()}
