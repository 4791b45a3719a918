"""Where the files of an import come from: an upload that is kept until it is used, or a folder below IMPORTS_DIR."""

from __future__ import annotations

import hashlib
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core import signing

from experiments.engine.formats import is_sae_folder
from experiments.services.uploads import KEPT_SECONDS, UploadedBytes, store_bytes
from latentlens.lib.problems import refused_field

# Folders of IMPORTS_DIR are looked for so deep: groups of runs, a run, its hook points.
DEEPEST_FOLDER = 3
MOST_FOLDERS = 500
CONFIG, WEIGHTS = "cfg.json", "weights.safetensors"
SALT = "kept-import"


@dataclass(frozen=True)
class ImportFolder:
    """A folder below IMPORTS_DIR that holds an SAE, by the id that stands for it."""

    id: str
    name: str
    path: Path


def import_folders() -> list[ImportFolder]:
    """Every folder below IMPORTS_DIR that looks like an SAE of a known tool, by name."""
    root = Path(settings.IMPORTS_DIR)
    found = (folder for folder in _folders_below(root, DEEPEST_FOLDER) if is_sae_folder(folder))
    names = [folder.relative_to(root).as_posix() for folder, _ in zip(found, range(MOST_FOLDERS), strict=False)]
    return [ImportFolder(hashlib.sha256(name.encode()).hexdigest()[:16], name, root / name) for name in names]


def import_folder(folder_id: str) -> Path:
    """The folder with this id. Raises Refused."""
    for folder in import_folders():
        if folder.id == folder_id:
            return folder.path
    raise refused_field("folder", "There is no such folder among those of IMPORTS_DIR (any more): choose another.")


class KeptImport:
    """The files of an upload. They survive a form that has to be sent again, as signed text, for a day."""

    def __init__(self, token: str) -> None:
        self.token = token

    @classmethod
    def from_signed(cls, text: str) -> KeptImport:
        """Raises Refused when the text was not signed here, or its files have gone."""
        try:
            kept = cls(uuid.UUID(signing.loads(text, salt=SALT, max_age=KEPT_SECONDS)).hex)
        except (signing.BadSignature, TypeError, ValueError, AttributeError):
            raise refused_field("files", "The uploaded files are no longer here: choose them again.") from None
        if not kept.folder.is_dir():
            raise refused_field("files", "The uploaded files are no longer here: choose them again.")
        return kept

    @property
    def folder(self) -> Path:
        return _uploads() / self.token

    @property
    def is_whole(self) -> bool:
        return all((self.folder / name).is_file() for name in (CONFIG, WEIGHTS))

    def signed(self) -> str:
        return signing.dumps(self.token, salt=SALT)

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def keep_import(
    config: UploadedBytes | None, weights: UploadedBytes | None, earlier: KeptImport | None = None
) -> KeptImport:
    """Keeps what came of the two files, beside what came before. Raises TooLarge."""
    kept = earlier or KeptImport(uuid.uuid4().hex)
    _remove_old(_uploads())
    kept.folder.mkdir(parents=True, exist_ok=True)
    for file, name in ((config, CONFIG), (weights, WEIGHTS)):
        if file is not None:
            store_bytes(file, kept.folder / name)
    return kept


def _uploads() -> Path:
    return Path(settings.ARTIFACTS_DIR) / "import-uploads"


def _remove_old(uploads: Path) -> None:
    """Files that never became an experiment, a day after they came."""
    for folder in uploads.glob("*"):
        if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    if depth == 0 or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield path
            yield from _folders_below(path, depth - 1)
