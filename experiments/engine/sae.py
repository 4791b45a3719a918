"""A trained sparse autoencoder: encode hidden states, decode features, save and load."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, verify_sha256, write_atomically, write_json
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


@dataclass(frozen=True)
class Sae:
    """TopK: f = TopK(ReLU((x - b_dec) W_enc^T + b_enc)), x^ = f W_dec + b_dec (Gao et al. 2024, arXiv:2406.04093).

    x is a hidden state as the model has it: the scale used in training is folded into the biases. Rows of W_dec have
    length one, so an activation is in the units of the hidden state. At most k features fire on a token.
    """

    weights: Weights
    description: SaeDescription

    @property
    def device(self) -> torch.device:
        return self.weights.decoder.device

    @torch.no_grad()
    def encode(self, hidden_states: Tensor) -> SparseCode:
        """The k strongest features of every hidden state: [T, width] -> indices and activations [T, k]."""
        rows = max(1, ENCODE_NUMBERS // self.description.n_features)
        inputs = hidden_states.to(self.device, torch.float32)
        parts = [
            kernels.select_top_k(kernels.pre_activations(chunk, self.weights), self.description.k)
            for chunk in torch.split(inputs, rows)
        ]
        return SparseCode(torch.cat([part.indices for part in parts]), torch.cat([part.activations for part in parts]))

    @torch.no_grad()
    def decode(self, code: SparseCode) -> Tensor:
        """The hidden states that the features describe: [T, k] -> [T, width]."""
        return kernels.decode(code, self.weights)

    def reconstruct(self, hidden_states: Tensor) -> Tensor:
        """decode(encode(x)): [T, width] -> [T, width]."""
        return self.decode(self.encode(hidden_states))


def save_sae(sae: Sae, folder: ExperimentFolder) -> None:
    """Writes weights.safetensors and sae.json into `folder`, each atomically."""
    tensors = {name: weight.cpu().contiguous() for name, weight in sae.weights._asdict().items()}
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
