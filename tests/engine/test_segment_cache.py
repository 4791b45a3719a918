"""Hidden states that are kept: the same weights, read again, within a quota, and never half."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.engine import corpus_source, pipeline
from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.config import ARCHITECTURES
from experiments.engine.job import Job, ResumePoint
from experiments.engine.records import Checkpointed, StageFinished
from experiments.engine.segment_cache import SEGMENTS, SegmentCache, Stream, segment_path, weights_hash
from tests.engine.test_pipeline import always, job_in, write_corpus
from tests.engine.tiny_models import save_tiny_model

QUOTA = 10**8
STREAM = Stream("builtin", "ab", "float32", ((1, "resid_post"),), "builtin", "cd", 128, 1_000, 0, "float32 · tests")


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model", "llama")
    write_corpus(tmp_path / "corpus.txt")
    return tmp_path


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of readings of every segment that the model really reads."""
    counted: list[int] = []
    real = corpus_source.capture_segment

    def counting(model: object, windows: object, readings: list[object]) -> object:
        counted.append(len(readings))
        return real(model, windows, readings)  # type: ignore[arg-type]

    monkeypatch.setattr(corpus_source, "capture_segment", counting)
    return counted


def job_with(workplace: Path, name: str, *, cached: bool, quota: int = QUOTA, **sae: object) -> Job:
    """Two epochs of three segments."""
    job = job_in(workplace, workplace / name, cache_quota_bytes=quota, user=name)
    training = replace(job.config.training, tokens=8_000, dead_after_tokens=256, threshold_tokens=200)
    config = replace(job.config, training=training, sae=replace(job.config.sae, **sae), cache_hidden_states=cached)  # type: ignore[arg-type]
    return replace(job, config=config)


def weights_of(job: Job, resume: ResumePoint | None = None) -> str:
    for record in pipeline.run(job, resume):
        if isinstance(record, StageFinished) and record.stage == "training":
            return sha256_of(ExperimentFolder(job.folder).weights)
    raise AssertionError("training did not end")


def cache_of(workplace: Path, quota: int = QUOTA) -> SegmentCache:
    return SegmentCache(workplace / "cache" / SEGMENTS, quota)


@pytest.mark.parametrize(
    "sae", [*({"architecture": name} for name in ARCHITECTURES), {"output_site": "mlp_out"}], ids=str
)
def test_cached_and_streaming_training_give_the_same_weights(
    workplace: Path, captures: list[int], sae: dict[str, object]
) -> None:
    streaming = weights_of(job_with(workplace, "streaming", cached=False, **sae))
    read = len(captures)
    assert weights_of(job_with(workplace, "first", cached=True, **sae)) == streaming
    segments = len(captures) - read
    assert 1 < segments < read  # the second epoch of it reads nothing again
    assert weights_of(job_with(workplace, "second", cached=True, **sae)) == streaming
    assert len(captures) == read + segments
    (stream,) = cache_of(workplace).streams()
    assert (set(stream.used_by), stream.segments, stream.is_open) == ({"first", "second"}, segments, False)


def test_a_cached_training_that_was_interrupted_ends_the_same(workplace: Path) -> None:
    streaming = weights_of(job_with(workplace, "streaming", cached=False))
    job = job_with(workplace, "cached", cached=True)
    records = pipeline.run(job, should_checkpoint=always)
    saved = next(record for record in records if isinstance(record, Checkpointed) and record.step == 20)
    records.close()  # type: ignore[attr-defined]
    assert weights_of(job, ResumePoint("training", saved.name, saved.sha256)) == streaming


def test_other_hidden_states_are_another_stream(workplace: Path) -> None:
    others = [
        replace(STREAM, weights="ef"),
        replace(STREAM, dtype="bfloat16"),
        replace(STREAM, places=((2, "resid_post"),)),
        replace(STREAM, places=((1, "resid_post"), (1, "mlp_out"))),
        replace(STREAM, windows="ef"),
        replace(STREAM, order_seed=1),
        replace(STREAM, segment_tokens=2_000),
        replace(STREAM, context_length=64),
        replace(STREAM, computed="bfloat16"),
    ]
    assert len({stream.key for stream in [STREAM, *others]}) == len(others) + 1
    known = SegmentCache(workplace / "cache").hashes
    before = weights_hash(workplace / "model", known)
    weights = workplace / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert weights_hash(workplace / "model", known) != before


def test_a_half_written_file_is_no_segment(workplace: Path, captures: list[int]) -> None:
    whole = weights_of(job_with(workplace, "first", cached=True))
    (stream,) = cache_of(workplace).streams()
    path = segment_path(cache_of(workplace).folder / stream.key, 0)
    path.write_bytes(path.read_bytes()[:-100])
    left_over = path.with_name(f".{path.name}.x.partial")
    left_over.write_bytes(b"half")
    captures.clear()
    assert weights_of(job_with(workplace, "second", cached=True)) == whole
    assert captures == [1]  # read again, and written whole
    assert not left_over.exists()


def filler(size: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(bytes(size))

    return write


def test_the_quota_holds_and_the_segment_unused_longest_goes_first(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, quota_bytes=250)
    with cache.opened(STREAM, ["1"]) as folder:
        paths = [segment_path(folder, number) for number in range(2)]
        assert all(cache.keep(path, 100, filler(100)) for path in paths)
        assert not cache.keep(segment_path(folder, 2), 100, filler(100))  # its own segments are in use
    other = replace(STREAM, order_seed=1)
    newest_use = paths[0].stat().st_mtime + 60
    os.utime(paths[0], (newest_use, newest_use))
    with cache.opened(other, ["2"]) as folder:
        assert cache.keep(segment_path(folder, 0), 100, filler(100))
        assert not cache.keep(segment_path(folder, 1), 300, filler(300))
    assert [path.exists() for path in paths] == [True, False]
    assert sum(stream.size_bytes for stream in cache.streams()) == 200


def test_a_stream_is_deleted_unless_it_is_open(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, quota_bytes=250)
    with cache.opened(STREAM, ["1"]) as folder:
        cache.keep(segment_path(folder, 0), 100, filler(100))
        assert [stream.is_open for stream in cache.streams()] == [True]
        assert not cache.delete(STREAM.key)
    assert cache.delete(STREAM.key)
    assert cache.streams() == []
    for key in (STREAM.key, "..", "../..", ""):
        with pytest.raises(KeyError):
            cache.delete(key)


def test_without_a_quota_nothing_is_kept(workplace: Path) -> None:
    weights_of(job_with(workplace, "none", cached=True, quota=0))
    assert cache_of(workplace).streams() == []
