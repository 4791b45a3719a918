"""From a corpus to windows of tokens on disk, made once and kept for the next experiment.

Windows are cached under a name that is the hash of everything they depend on (corpus, tokenizer, length, packing,
amounts), so experiments that read the same text share them. What is being made lies in a folder whose name follows
from the same hash, so that an interrupted preparation is found again; one process at a time works on it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.engine.config import ExperimentConfig
from experiments.engine.config.choices import FITS_THRESHOLD
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.document_sources import open_source
from experiments.engine.folder_claims import claimed
from experiments.engine.records import Progress, StageFinished
from experiments.engine.segment_cache import mark_used
from experiments.engine.text_tokenizer import TextTokenizer
from experiments.engine.window_making import HELD_OUT, MANIFEST, TRAINING, Recipe, make_windows
from experiments.engine.windows import Windows, read_windows

LAYOUT_VERSION = 2
WINDOWS = "windows"  # the folder below that of all caches
UNFINISHED = ".unfinished-"
ABANDONED_AFTER_SECONDS = 7 * 24 * 60 * 60
LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class TextRead:
    """What was read for the windows, and what was left out: blank documents, duplicates, and tokens that were cut off
    because a document was longer than its window."""

    training_documents: int
    held_out_documents: int
    blank_documents: int
    duplicate_documents: int
    cut_tokens: int


@dataclass(frozen=True)
class WindowSet:
    """The windows of an experiment: those trained on, and those only measured on.

    `key` is the name under which they are cached. `split` says how the two were kept apart ("document", or "window"
    where a corpus has too few documents), `kinds` are the kinds of the built-in corpus' training documents by number,
    `concepts` the names of its planted concepts.
    """

    training: Windows
    held_out: Windows
    split: str
    concepts: tuple[str, ...]
    kinds: tuple[str, ...]
    read: TextRead
    key: str


def recipe_for(config: ExperimentConfig, tokenizer: TextTokenizer, corpus_path: Path | None) -> Recipe:
    """What the windows of `config` are made from. Raises as `open_source`, and ModelRefused for want of a template."""
    training, corpus = config.training, config.corpus
    trained_on = 0 if config.imported else training.tokens
    if corpus.chat_template:
        tokenizer.check_chat_template()
    return Recipe(
        source=open_source(corpus, training.held_out_share, corpus_path),
        tokenizer=tokenizer,
        context_length=config.context_length,
        packing=config.packing,
        chat=corpus.chat_template,
        deduplicate=corpus.deduplicate,
        training_tokens=max(trained_on, config.harvested_tokens),
        held_out_tokens=max(1, config.evaluation_tokens, _threshold_tokens(config)),
        held_out_share=training.held_out_share,
    )


def prepare_windows(
    config: ExperimentConfig, tokenizer: TextTokenizer, corpus_path: Path | None, cache_folder: Path
) -> Generator[Progress, None, WindowSet]:
    """Returns the windows for `config`, from the cache or else made now; yields Progress in tokens meanwhile.

    `corpus_path` is the file of an uploaded corpus. Closing the generator, or killing its process, keeps what was made
    so far for the next call. Raises CorpusError when the corpus cannot be read or holds less than two windows, and
    ModelRefused for conversations and a model without a chat template; HubError when the hub fails.
    """
    recipe = recipe_for(config, tokenizer, corpus_path)
    folder = cache_folder / WINDOWS / _cache_key(recipe)
    if not (folder / MANIFEST).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        yield from _make_once(folder, recipe)
    mark_used(folder / MANIFEST)
    return _open_windows(folder)


def capture_finished(windows: WindowSet, segments: int, outliers_left_out: int, norm_limit: float) -> StageFinished:
    """What was read, and what of it was left out."""
    return StageFinished(
        "capture",
        {
            "training_tokens": windows.training.text_tokens,
            "held_out_tokens": windows.held_out.text_tokens,
            "split": windows.split,
            **asdict(windows.read),
            "segments": segments,
            "outliers_left_out": outliers_left_out,
            "norm_limit": norm_limit,
        },
    )


def _threshold_tokens(config: ExperimentConfig) -> int:
    """Held-out text for the fit of a threshold; no larger a share of the training than is held out of the documents."""
    if config.imported or config.sae.architecture not in FITS_THRESHOLD:
        return 0
    return min(config.training.threshold_tokens, round(config.training.tokens * config.training.held_out_share))


def _make_once(folder: Path, recipe: Recipe) -> Generator[Progress, None, None]:
    """Makes the windows unless another process does; then it is waited for."""
    unfinished = folder.with_name(UNFINISHED + folder.name)
    while not (folder / MANIFEST).exists():
        with claimed(unfinished) as mine:
            if mine and not (folder / MANIFEST).exists():
                yield from _make_here(unfinished, folder, recipe)
            if mine:
                shutil.rmtree(unfinished, ignore_errors=True)
                return
        yield Progress("capture", 0, 0, note="waiting for another worker, which reads the same corpus")
        time.sleep(LOOK_AGAIN_SECONDS)


def _make_here(unfinished: Path, folder: Path, recipe: Recipe) -> Generator[Progress, None, None]:
    made = unfinished / "windows"
    made.mkdir(exist_ok=True)
    try:
        yield from make_windows(made, recipe)
    except CorpusError:  # it will be no better next time, unlike a hub that cannot be reached
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    made.rename(folder)


def _cache_key(recipe: Recipe) -> str:
    key = {
        "layout": LAYOUT_VERSION,
        "corpus": recipe.source.identity,
        "tokenizer": recipe.tokenizer.fingerprint,
        "chat": recipe.tokenizer.chat_fingerprint if recipe.chat else None,
        "packing": [recipe.packing, recipe.deduplicate],
        "amounts": [recipe.context_length, recipe.training_tokens, recipe.held_out_tokens],
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def _open_windows(folder: Path) -> WindowSet:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    read = manifest["read"]
    return WindowSet(
        training=read_windows(folder / TRAINING),
        held_out=read_windows(folder / HELD_OUT),
        split=manifest["split"],
        concepts=tuple(manifest["concepts"]),
        kinds=tuple(manifest["kinds"]),
        read=TextRead(
            training_documents=read["documents"][TRAINING],
            held_out_documents=read["documents"][HELD_OUT],
            blank_documents=read["blank"],
            duplicate_documents=sum(read["duplicates"].values()),
            cut_tokens=read["cut_tokens"],
        ),
        key=folder.name,
    )


def _remove_abandoned(folder: Path) -> None:
    """What was never gone on with; every save changes a time in the folder of whoever still works there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        times = [path.stat().st_mtime, *(inner.stat().st_mtime for inner in path.glob("windows"))]
        if time.time() - max(times) > ABANDONED_AFTER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
