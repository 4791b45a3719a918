"""Secrets that are made on the first start and kept beside the data, readable by their owner only."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def read_or_create_secret(path: Path, prefix: str = "") -> str:
    """The secret in `path`; made there (mode 600, folder mode 700) if there is none yet.

    Several processes may start at once: the file appears complete, by a hard link that only one of them can make, and
    the others read what the winner wrote.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path, prefix + secrets.token_urlsafe(32))
    return path.read_text("utf-8").strip()


def _create(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
