"""SHA-256 of large files, remembered for as long as nobody has touched them. No torch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from experiments.engine.artifacts import sha256_of, write_json

# The clock of a file system may stand still for so long: a file written since could change again unseen.
SETTLED_SECONDS = 2.0


class FileHashes:
    """Hashes by path in a JSON file, each with what the system says of the file: size, times, where it lies.

    Every change of a file sets its change time, which nobody can set back, so a remembered hash is that of what is
    there. Processes may share the JSON file; one that loses to another computes a hash again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def sha256(self, file: Path) -> str:
        """The hash of the file's content in hexadecimal. Raises OSError for one that cannot be read."""
        name, marks = str(file.resolve()), _marks_of(file)
        known = self._known()
        remembered = known.get(name)
        if isinstance(remembered, dict) and remembered.get("marks") == marks:
            return str(remembered["sha256"])
        began = time.time()
        found = sha256_of(file)
        if _marks_of(file) == marks and began - file.stat().st_ctime > SETTLED_SECONDS:
            there = {other: entry for other, entry in known.items() if Path(other).exists()}
            write_json(self._path, there | {name: {"marks": marks, "sha256": found}})
        return found

    def _known(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _marks_of(file: Path) -> list[int]:
    """What changes with any change of the file."""
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
