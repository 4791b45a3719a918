"""An SAE as another tool has written it: what it is, and how its numbers differ from those of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.tensor_files import TensorFile


@dataclass(frozen=True)
class Origin:
    """Where the SAE was trained, as far as its files tell: `model` as the hub or we call it, the site in our words."""

    model: str | None = None
    layer: int | None = None
    site: str | None = None
    output_site: str | None = None
    context_length: int | None = None


@dataclass(frozen=True)
class Conventions:
    """What is done to the weights before they are ours.

    `scales_by_row_norm`: the tool multiplies every activation by the norm of its decoder row and divides it again
    before decoding, which is an SAE with unit rows. `subtracts_decoder_bias`: b_dec is taken from what is read, as we
    do but for a transcoder.
    """

    scales_by_row_norm: bool = False
    subtracts_decoder_bias: bool = True


@dataclass(frozen=True)
class ForeignSae:
    """What the config and the headers of the weights say; no number of the weights has been read yet.

    `architecture` is one of `config.ARCHITECTURES`; `k` is None where the files do not tell it, `config` is the tool's
    own, and `notes` are sentences about what is not as the tool has it.
    """

    tool: str
    version: str
    config: Mapping[str, Any]
    architecture: str
    n_features: int
    width: int
    output_width: int
    k: int | None = None
    is_transcoder: bool = False
    skip: bool = False
    origin: Origin = field(default_factory=Origin)
    conventions: Conventions = field(default_factory=Conventions)
    notes: tuple[str, ...] = ()


def check_shapes(file: TensorFile, expected: Mapping[str, tuple[int, ...]], optional: tuple[str, ...] = ()) -> None:
    """Raises FormatError unless `file` has exactly the `expected` tensors; those of `optional` may be left out."""
    found = file.shapes
    if missing := sorted(expected.keys() - found.keys() - set(optional)):
        raise FormatError(f"{file.path.name} lacks the tensor {missing[0]}, which an SAE of this kind has.")
    if unknown := sorted(found.keys() - expected.keys()):
        raise FormatError(f"{file.path.name} has a tensor {unknown[0][:80]}, which an SAE of this kind does not have.")
    for name, shape in found.items():
        if shape != expected[name]:
            raise FormatError(
                f"The tensor {name} of {file.path.name} has the shape {list(shape)}; by its config it should have "
                f"{list(expected[name])}."
            )


def whole_number(config: Mapping[str, Any], name: str) -> int:
    """A number above zero of a config. Raises FormatError."""
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FormatError(f"The config does not say how large {name} is: it must be a whole number above zero.")
    return value


def text_of(config: Mapping[str, Any], name: str) -> str:
    """A short text of a config; empty where it has none."""
    value = config.get(name)
    return value[:200] if isinstance(value, str) else ""


def refuse_unknown(what: str, name: object, supported: tuple[str, ...]) -> FormatError:
    """The refusal of an architecture or the like, with those that can be read."""
    return FormatError(f"The {what} {str(name)[:60]!r} cannot be read; supported are {', '.join(supported)}.")
