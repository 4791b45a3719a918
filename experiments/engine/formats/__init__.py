"""SAEs of other tools: one module for each tool, which alone knows its names. No torch, so that pages can look too.

`look_into` says what a folder holds, from its config and the header of its weights; `read_weights` reads the numbers;
`export` writes a finished SAE of ours as another tool would. Only safetensors and JSON are opened.
"""

from experiments.engine.formats.foreign_sae import Conventions, ForeignSae, Origin
from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.front import (
    EXPORTS,
    export,
    files_of,
    is_sae_folder,
    look_into,
    read_weights,
    tool_names,
    weights_file,
)

__all__ = [
    "EXPORTS",
    "Conventions",
    "ForeignSae",
    "FormatError",
    "Origin",
    "export",
    "files_of",
    "is_sae_folder",
    "look_into",
    "read_weights",
    "tool_names",
    "weights_file",
]
