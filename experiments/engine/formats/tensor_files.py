"""Safetensors files read and written with numpy alone: the web process does, which has no torch.

The format is 8 bytes of length, a JSON header (name to dtype, shape and byte range), and the numbers themselves. A file
is believed only where its header and its size agree to the byte, so that one that was not written whole is found out
before any number of it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.formats.format_errors import FormatError

# The format allows no longer header; one for an SAE has a few hundred bytes.
LONGEST_HEADER_BYTES = 1_000_000
LENGTH_BYTES = 8
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
ROWS_AT_ONCE = 4_096

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Stored:
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize


class TensorFile:
    """The tensors of one file. Raises FormatError when it is no safetensors file, or not the whole of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored = _read_header(path)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        return {name: stored.shape for name, stored in self._stored.items()}

    def read(self, name: str) -> Floats:
        """One tensor as float32 in memory of its own. Raises FormatError when a number is not finite."""
        stored = self._stored[name]
        mapped = np.memmap(self.path, DTYPES[stored.dtype], "r", stored.begin, stored.shape) if stored.bytes else None
        if mapped is None:
            return np.zeros(stored.shape, np.float32)
        if stored.dtype == "BF16":  # the upper half of a float32
            values = (np.asarray(mapped, np.uint32) << 16).view(np.float32)
        else:
            with np.errstate(over="ignore"):  # what does not fit is infinite, and refused below
                values = np.array(mapped, np.float32)
        if not all(np.isfinite(rows).all() for rows in _rows(values)):
            raise FormatError(f"The tensor {name} of {self.path.name} holds numbers that are not finite.")
        return values


def write_tensors(path: Path, tensors: Mapping[str, Floats]) -> None:
    """Writes float32 `tensors` under their names, as any reader of safetensors expects them."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)  # numbers begin at a multiple of eight
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for tensor in tensors.values():
            for rows in _rows(tensor):
                file.write(np.ascontiguousarray(rows, "<f4").tobytes())


def _rows(tensor: Floats) -> Iterator[Floats]:
    """Parts of a tensor, so that what is made of one stays small."""
    if tensor.ndim == 0:
        yield tensor
    else:
        yield from (tensor[start : start + ROWS_AT_ONCE] for start in range(0, len(tensor), ROWS_AT_ONCE))


def _read_header(path: Path) -> dict[str, _Stored]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if not 0 < length <= LONGEST_HEADER_BYTES:
            raise FormatError(
                f"{path.name} is not a safetensors file; pickled weights (.pt, .bin) are never opened: convert them."
            )
        if LENGTH_BYTES + length > size:
            raise _cut_short(path)
        header = _parsed(file.read(length), path)
    header.pop("__metadata__", None)
    begin = LENGTH_BYTES + length
    ranges = {name: _stored(path, name, entry, begin) for name, entry in header.items()}
    expected = begin
    for stored in sorted(ranges.values(), key=lambda stored: (stored.begin, stored.bytes)):
        if stored.begin != expected:
            raise FormatError(f"{path.name} is damaged: its tensors overlap or leave gaps.")
        expected += stored.bytes
    if expected > size:
        raise _cut_short(path)
    if expected < size:
        raise FormatError(f"{path.name} is damaged: it is longer than its tensors.")
    return ranges


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise FormatError(f"{path.name} is not a safetensors file: its header is no JSON object.")
    return header


def _stored(path: Path, name: str, entry: Any, begin: int) -> _Stored:
    """What the header says of one tensor, if its dtype, shape and byte range go together."""
    try:
        shape, (first, stop) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, first, stop)):
            raise ValueError(name)
        dtype = str(entry["dtype"])
    except (TypeError, KeyError, ValueError):
        raise FormatError(f"{path.name} is damaged: its header does not describe the tensor {name[:80]}.") from None
    if dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise FormatError(f"The tensor {name[:80]} of {path.name} has the dtype {dtype[:20]}; read are {known}.")
    stored = _Stored(dtype, shape, begin + first)
    if stop - first != stored.bytes:
        raise FormatError(f"{path.name} is damaged: the size of the tensor {name[:80]} does not fit its shape.")
    return stored


def _cut_short(path: Path) -> FormatError:
    return FormatError(f"{path.name} ends too early: it was not written or uploaded whole.")
