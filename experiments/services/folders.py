"""Where files lie: addressed by an experiment's id or a content hash, never by text that a person typed."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from experiments.engine.artifacts import ExperimentFolder
from experiments.models import Corpus


def experiment_folder(experiment_id: int) -> ExperimentFolder:
    """The artifacts of one experiment; the folder appears when something is written."""
    return ExperimentFolder(Path(settings.ARTIFACTS_DIR) / "experiments" / str(experiment_id))


def cache_folder() -> Path:
    """Where token windows and hidden states are kept that several experiments share."""
    return Path(settings.ARTIFACTS_DIR) / "cache"


def upload_path(file: str) -> Path:
    """A stored upload by its stored name (`<sha256>.<ending>`)."""
    return Path(settings.UPLOADS_DIR) / Path(file).name


def corpus_path(corpus: Corpus) -> Path | None:
    """The file of an uploaded corpus; None for the others, which are not one file."""
    return upload_path(corpus.file) if corpus.source == Corpus.Source.UPLOAD else None
