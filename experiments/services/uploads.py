"""Bytes that come as an upload, written to disk and counted while they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from latentlens.lib.problems import TooLarge

LARGEST_UPLOAD_BYTES = 4 * 2**30
KEPT_SECONDS = 24 * 3600  # how long a stored file waits for its form to be sent again


class UploadedBytes(Protocol):
    """What Django and the API call an uploaded file."""

    name: str | None

    def chunks(self) -> Iterable[bytes]: ...


def store_bytes(file: UploadedBytes, path: Path) -> str:
    """Writes the file and returns its SHA-256; raises TooLarge as soon as there is too much of it."""
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as stored:
        for chunk in file.chunks():
            size += len(chunk)
            if size > LARGEST_UPLOAD_BYTES:
                raise TooLarge(f"The file has more than {LARGEST_UPLOAD_BYTES / 2**30:.0f} GiB, which is the limit.")
            digest.update(chunk)
            stored.write(chunk)
    return digest.hexdigest()
