"""Files that may be packed with gzip, unpacked piece by piece while they are read, and never without an end. No torch.

A few kilobytes of gzip can unpack to a thousand times as much, so both the size and the ratio are bounded.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from experiments.engine.corpus_errors import CorpusError

GZIP = ".gz"
LARGEST_UNPACKED_BYTES = 64 * 2**30
LARGEST_RATIO = 200  # ordinary text is packed to a third, repetitive tables to a thirtieth; gzip's own limit is 1,032
SMALL_BYTES = 64 * 2**20  # below this the ratio is nobody's concern
BUFFER_BYTES = 256 * 2**10


def is_packed(path: Path) -> bool:
    return path.suffix.lower() == GZIP


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of the file, unpacked where it ends in .gz. Reading raises CorpusError for damage and for a bomb."""
    if not is_packed(path):
        return path.open("rb")
    return cast(BinaryIO, io.BufferedReader(_Unpacking(path), BUFFER_BYTES))


def open_seekable(path: Path) -> BinaryIO:
    """As `open_bytes`, for readers that jump: what is packed goes into a nameless temporary file beside it first."""
    if not is_packed(path):
        return path.open("rb")
    # Beside the upload, where there is room for uploads: the usual temporary folder may be memory.
    unpacked = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - handed to the caller
    try:
        with open_bytes(path) as packed:
            shutil.copyfileobj(packed, unpacked, BUFFER_BYTES)
    except BaseException:
        unpacked.close()
        raise
    unpacked.seek(0)
    return cast(BinaryIO, unpacked)


class _Unpacking(io.RawIOBase):
    """The unpacked bytes of a gzip file, up to the bounds."""

    def __init__(self, path: Path) -> None:
        self._packed = gzip.open(path, "rb")  # noqa: SIM115 - closed with this stream
        self._given = 0
        self._most = min(LARGEST_UNPACKED_BYTES, max(SMALL_BYTES, LARGEST_RATIO * path.stat().st_size))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = self._packed.readinto(buffer)
        except EOFError:
            raise CorpusError("The gzip file ends in the middle; it was cut off, so upload it again whole.") from None
        except (OSError, zlib.error):
            raise CorpusError("The file ends in .gz and is not a readable gzip file; it may be damaged.") from None
        self._given += count
        if self._given > self._most:
            raise CorpusError(
                f"The gzip file unpacks to more than {self._most / 2**30:,.1f} GiB, which is the limit for a file of "
                "its size; cut it into parts."
            )
        return count

    def close(self) -> None:
        self._packed.close()
        super().close()
