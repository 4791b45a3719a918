"""An array on disk that grows row by row, in numpy's own format. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """An .npy file to which rows are appended; its header leaves room for the final number of rows.

    One that an earlier writer left keeps its first `rows` rows, without any it begins anew.
    """

    def __init__(self, path: Path, row: NDArray[Any], rows: int = 0) -> None:
        self._file: BinaryIO = path.open("r+b" if rows else "wb")
        self._row_shape, self._dtype = row.shape, row.dtype
        self._rows = rows
        self._write_header()
        self._file.truncate(self._file.seek(rows * row.nbytes, os.SEEK_CUR))

    def append(self, row: NDArray[Any]) -> None:
        self._file.write(row.tobytes())
        self._rows += 1

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        shape = (self._rows, *self._row_shape)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
