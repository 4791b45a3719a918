"""An SAE of ours as its files hold it, for those who write it in the formats of others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from experiments.engine.artifacts import ArtifactError, ExperimentFolder
from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.tensor_files import TensorFile


@dataclass(frozen=True)
class NativeSae:
    """What is written: the facts of sae.json, and the tensors under our names. `provenance` says where it is from."""

    architecture: str
    n_features: int
    width: int
    output_width: int
    k: int
    model: str
    layer: int
    site: str
    output_site: str | None
    skip: bool
    context_length: int | None
    l0: float | None
    tensors: TensorFile
    provenance: dict[str, Any]

    @property
    def is_transcoder(self) -> bool:
        return self.output_site is not None


def read_native(folder: ExperimentFolder, provenance: dict[str, Any]) -> NativeSae:
    """The finished SAE in `folder`. Raises ArtifactError when its files are missing or unreadable."""
    try:
        about = json.loads(folder.sae_config.read_text("utf-8"))
        config = json.loads(folder.config.read_text("utf-8"))
        tensors = TensorFile(folder.weights)
        output_width = tensors.shapes["decoder"][1]
    except (OSError, ValueError, KeyError, FormatError):
        raise ArtifactError("The weights of this experiment cannot be read; start the experiment again.") from None
    return NativeSae(
        architecture=about["architecture"],
        n_features=about["n_features"],
        width=about["width"],
        output_width=output_width,
        k=about["k"],
        model=about["model"].partition(":")[2] or about["model"],
        layer=about["layer"],
        site=about["site"],
        output_site=about.get("output_site"),
        skip="skip" in tensors.shapes,
        context_length=config.get("context_length"),
        l0=about.get("expected_l0"),
        tensors=tensors,
        provenance=provenance,
    )
