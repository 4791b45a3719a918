"""Which tool a folder is of, and what is asked of its module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.formats import dictionary_learning, saelens, sparsify
from experiments.engine.formats.foreign_sae import ForeignSae
from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.native_sae import NativeSae, read_native
from experiments.engine.formats.tensor_files import Floats, TensorFile

CONFIG_FILES = ("cfg.json", "config.json")
LONGEST_CONFIG_BYTES = 65_536
DEEPEST_CONFIG = 20
# Beside the weights, and none.
NO_WEIGHTS = ("sparsity.safetensors", "activation_whitening.safetensors", "activations_store_state.safetensors")


class _Reader(Protocol):
    """What the module of a tool has."""

    TOOL: str
    WEIGHTS_FILE: str
    SIDE_FILES: tuple[str, ...]

    def recognises(self, config: Mapping[str, Any]) -> bool: ...

    def describe(self, config: Mapping[str, Any], file: TensorFile) -> ForeignSae: ...

    def weights(self, config: Mapping[str, Any], file: TensorFile) -> dict[str, Floats]: ...


class _Writer(Protocol):
    """What the module of a tool has whose format is also written."""

    TOOL: str
    CONFIG_FILE: str
    WEIGHTS_FILE: str

    def holds(self, architecture: str, *, is_transcoder: bool) -> bool: ...

    def write(self, sae: NativeSae, folder: Path) -> None: ...


TOOLS: tuple[_Reader, ...] = (saelens, sparsify, dictionary_learning)
# By the name that commands and addresses use.
EXPORTS: dict[str, _Writer] = {"saelens": saelens, "sparsify": sparsify}


def tool_names() -> tuple[str, ...]:
    """The tools whose SAEs can be read, by their own names."""
    return tuple(tool.TOOL for tool in TOOLS)


def look_into(folder: Path) -> ForeignSae:
    """What the SAE in `folder` is. Raises FormatError when it is none that can be read."""
    config, tool = _config_of(folder)
    return tool.describe(config, TensorFile(weights_file(folder)))


def read_weights(folder: Path) -> dict[str, Floats]:
    """The weights of the SAE in `folder`, float32, by the names of `kernels.Weights`; see its `conventions`."""
    config, tool = _config_of(folder)
    file = TensorFile(weights_file(folder))
    tool.describe(config, file)  # refuses shapes that do not fit
    return tool.weights(config, file)


def export(name: str, source: ExperimentFolder, target: Path, provenance: dict[str, Any]) -> tuple[Path, ...]:
    """Writes the SAE of `source` into the folder `target` in the format `name` of `EXPORTS`; returns the files.

    `provenance` is kept in the config. Raises FormatError when the format cannot hold it, ArtifactError without files.
    """
    writer = EXPORTS[name]
    writer.write(read_native(source, provenance), target)
    return (target / writer.CONFIG_FILE, target / writer.WEIGHTS_FILE)


def is_sae_folder(folder: Path) -> bool:
    """Whether `folder` has a config of a known tool beside weights: cheap enough to ask of many."""
    try:
        _config_of(folder)
        weights_file(folder)
    except FormatError:
        return False
    return True


def weights_file(folder: Path) -> Path:
    """The file that holds the weights. Raises FormatError when there is none, or more than one may be meant."""
    for tool in TOOLS:
        if (folder / tool.WEIGHTS_FILE).is_file():
            return folder / tool.WEIGHTS_FILE
    found = sorted(path for path in folder.glob("*.safetensors") if path.name not in NO_WEIGHTS)
    if len(found) == 1:
        return found[0]
    if found:
        raise FormatError(f"Which file holds the weights? There are {found[0].name}, {found[1].name} and maybe more.")
    if pickled := sorted([*folder.glob("*.pt"), *folder.glob("*.bin"), *folder.glob("*.pth")]):
        raise FormatError(
            f"{pickled[0].name} is a pickle, which is never opened: save its tensors as a safetensors file."
        )
    raise FormatError("There are no weights here: a .safetensors file is expected beside the config.")


def files_of(folder: Path) -> tuple[Path, ...]:
    """The files that make up the SAE in `folder`, the weights first. Raises FormatError."""
    _, tool = _config_of(folder)
    beside = (folder / name for name in tool.SIDE_FILES)
    return (weights_file(folder), _config_file(folder), *(path for path in beside if path.is_file()))


def _config_file(folder: Path) -> Path:
    for name in CONFIG_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FormatError(f"There is no config here: one of {', '.join(CONFIG_FILES)} is expected.")


def _config_of(folder: Path) -> tuple[dict[str, Any], _Reader]:
    path = _config_file(folder)
    if path.stat().st_size > LONGEST_CONFIG_BYTES:
        raise FormatError(f"{path.name} has more than {LONGEST_CONFIG_BYTES:,} bytes; that is no config of an SAE.")
    config = _parsed(path)
    for tool in TOOLS:
        if tool.recognises(config):
            return config, tool
    raise FormatError(f"{path.name} is not the config of a known tool; supported are {', '.join(tool_names())}.")


def _parsed(path: Path) -> dict[str, Any]:
    """The config, if it is one that databases can keep: numbers as JSON has them, whole characters and no NUL."""
    try:
        config = json.loads(path.read_bytes(), parse_constant=lambda _: None)
        json.dumps(config, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or _is_unfit(config, DEEPEST_CONFIG):
        raise FormatError(f"{path.name} is not a JSON object that can be kept.")
    return config


def _is_unfit(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth == 0 or any("\0" in name or _is_unfit(item, depth - 1) for name, item in value.items())
    if isinstance(value, list):
        return depth == 0 or any(_is_unfit(item, depth - 1) for item in value)
    return isinstance(value, str) and "\0" in value
