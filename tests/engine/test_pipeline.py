"""One experiment from text to index, interrupted in every way, with a tiny model and a small upload."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from experiments.engine import pipeline
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, sha256_of
from experiments.engine.capture import BATCH_TOKENS, Reading, capture_batches
from experiments.engine.compute_path import compute_path
from experiments.engine.config import (
    ConfigError,
    CorpusConfig,
    ExperimentConfig,
    ModelConfig,
    Place,
    SaeConfig,
    TrainingConfig,
)
from experiments.engine.corpus import WindowSet, prepare_windows
from experiments.engine.job import Job, ResumePoint
from experiments.engine.model_loading import load_language_model
from experiments.engine.records import (
    STAGES,
    Checkpointed,
    Measurement,
    ModelLoaded,
    Progress,
    Record,
    ResourcesUsed,
    Stage,
    StageFinished,
)
from experiments.engine.sae import load_sae
from tests.engine.tiny_models import TEXT, save_tiny_model

CONTEXT = 16


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a corpus of many short documents, and room for caches."""
    folder = tmp_path_factory.mktemp("workplace")
    save_tiny_model(folder / "model", "llama")
    write_corpus(folder / "corpus.txt")
    return folder


def write_corpus(path: Path) -> None:
    random = np.random.default_rng(6)
    words = " ".join(TEXT).split()
    documents = [" ".join(random.choice(words, size=random.integers(5, 40))) for _ in range(220)]
    path.write_text("\n\n".join(documents))


def job_in(workplace: Path, folder: Path, **changes: object) -> Job:
    config = ExperimentConfig(
        ModelConfig("local", "model"),
        CorpusConfig("upload", "corpus.txt", content_hash="tests"),
        layer=1,
        sae=SaeConfig(n_features=40, k=4),
        training=TrainingConfig(tokens=6_400, batch_tokens=128, segment_tokens=1_500, metric_every=5),
        context_length=CONTEXT,
        evaluation_tokens=300,
        harvest_tokens=1_000,
    )
    job = Job(config, folder, str(workplace / "model"), workplace / "corpus.txt", workplace / "cache", "cpu", 1)
    return replace(job, **changes)  # type: ignore[arg-type]


def always() -> bool:
    return True


@pytest.fixture(scope="module")
def finished(workplace: Path) -> tuple[ExperimentFolder, list[Record]]:
    folder = workplace / "finished"
    return ExperimentFolder(folder), list(pipeline.run(job_in(workplace, folder)))


def test_the_stages_come_in_order_and_tell_what_they_did(finished: tuple[ExperimentFolder, list[Record]]) -> None:
    folder, records = finished
    ends = [record for record in records if isinstance(record, StageFinished)]
    loaded = [record for record in records if isinstance(record, ModelLoaded)]
    assert [end.stage for end in ends] == list(STAGES)
    assert len(loaded) == 1
    assert loaded[0].parameters > 1_000
    assert ends[1].values["weights_sha256"] == sha256_of(folder.weights)
    assert ends[2].values == json.loads(folder.quality.read_text())
    assert json.loads(json.dumps([end.values for end in ends])) == [end.values for end in ends]
    assert [m.step for m in records if isinstance(m, Measurement)] == list(range(5, 51, 5))
    assert ExperimentConfig.from_json(json.loads(folder.config.read_text())).layer == 1


def test_each_stage_ends_with_what_it_took(finished: tuple[ExperimentFolder, list[Record]]) -> None:
    _, records = finished
    took = [
        (record, following) for record, following in itertools.pairwise(records) if isinstance(record, ResourcesUsed)
    ]
    assert [record.stage for record, _ in took] == list(STAGES)
    assert all(isinstance(following, StageFinished) and following.stage == record.stage for record, following in took)
    memory = [record.memory_bytes for record, _ in took]
    assert memory == sorted(memory)
    assert 50e6 < memory[0] < 50e9
    assert [record.path for record, _ in took] == [
        compute_path("cpu", "auto" if stage == "training" else "float32") for stage in STAGES
    ]
    assert "1 thread · CPU with" in took[0][0].path
    assert took[0][0].gpu_memory_bytes is None


def test_the_index_agrees_with_encoding_the_text_again(
    workplace: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    folder, records = finished
    job = job_in(workplace, folder.path)
    model, windows, sae = load_language_model(Path(job.model_path)), windows_of(job), load_sae(folder)
    tokens = pq.read_table(folder.tokens).to_pydict()
    count = len(tokens["position"]) // CONTEXT
    text = windows.training[:count]
    expected: dict[tuple[int, int], float] = {}
    read, positions = 0, []
    reading = Reading(Place(1, "resid_post"), norm_limit=sae.description.norm_limit)
    for (batch,) in capture_batches(model, text, [reading]):
        code = sae.encode(batch.states)
        read += len(batch.states)
        positions += batch.positions.tolist()
        features, rows, activations = code.to_numpy()
        entries = zip(features.tolist(), batch.positions[rows].tolist(), activations.tolist(), strict=True)
        expected |= {(feature, position): activation for feature, position, activation in entries}
    found = pq.read_table(folder.activations).to_pydict()
    rows = list(zip(found["feature"], found["position"], found["activation"], strict=True))
    assert {(feature, position): value for feature, position, value in rows} == expected
    assert rows == sorted(rows, key=lambda row: (row[0], -row[2], row[1]))
    assert tokens["token"] == text.tokens.ravel().tolist()
    assert tokens["window"] == np.repeat(np.arange(count), CONTEXT).tolist()
    assert [place for place, was_read in enumerate(tokens["read"]) if was_read] == sorted(positions)
    values = records[-1].values  # type: ignore[union-attr]
    assert (values["tokens"], values["activations"], values["features"]) == (read, len(expected), 40)
    assert read >= 1_000 > read - 2 * CONTEXT


def test_every_feature_has_a_summary_and_every_document_a_place(
    finished: tuple[ExperimentFolder, list[Record]],
) -> None:
    folder, _ = finished
    features = pq.read_table(folder.features).to_pylist()
    activations = pq.read_table(folder.activations).to_pydict()
    vocabulary = json.loads(folder.vocabulary.read_text())
    assert [feature["index"] for feature in features] == list(range(40))
    assert sum(feature["firings"] for feature in features) == len(activations["feature"])
    for feature in features:
        assert sum(feature["histogram"]["counts"]) == feature["firings"]
        assert len(feature["promoted"]) == len(feature["suppressed"]) == len(feature["nearest"]) == 10
        assert all(entry["text"] == vocabulary[entry["token"]] for entry in feature["promoted"])
        assert feature["concept"] is None
    documents = pq.read_table(folder.documents).to_pylist()
    tokens = pq.read_table(folder.tokens).to_pydict()
    assert [document["tokens"] for document in documents] == [
        tokens["document"].count(document["document"]) for document in documents
    ]
    assert all(tokens["document"][document["start"]] == document["document"] for document in documents)
    assert {document["kind"] for document in documents} == {None}


def windows_of(job: Job) -> WindowSet:
    model = load_language_model(Path(job.model_path))
    work = prepare_windows(job.config, model.tokenizer, job.corpus_path, job.cache_folder)
    while True:
        try:
            next(work)
        except StopIteration as end:
            windows: WindowSet = end.value
            return windows


def until(records: Iterator[Record], wanted: type[Record], number: int) -> ResumePoint:
    """Takes records up to the `number`th of a kind, keeping what a runner would remember, and closes the generator."""
    resume = ResumePoint("capture")
    for record in records:
        if isinstance(record, Checkpointed):
            resume = replace(resume, checkpoint=record.name, checkpoint_sha256=record.sha256)
        if isinstance(record, StageFinished):
            resume = replace(resume, stage=[*STAGES, "import"][STAGES.index(record.stage) + 1])
        number -= isinstance(record, wanted)
        if number == 0:
            records.close()  # type: ignore[attr-defined]
            return resume
    raise AssertionError(f"the pipeline ended before the wanted {wanted.__name__}")


def same_files(left: ExperimentFolder, right: ExperimentFolder) -> bool:
    names = ("weights", "quality", "features", "activations", "tokens", "documents", "vocabulary")
    return all(sha256_of(getattr(left, name)) == sha256_of(getattr(right, name)) for name in names)


# While the text is read, in the first and in a later segment of training, and at the end of each stage.
@pytest.mark.parametrize(
    ("kind", "number", "first_stage"),
    [
        (ModelLoaded, 1, "capture"),
        (StageFinished, 1, "capture"),  # a segment is in memory only: without a checkpoint it is captured again
        (Checkpointed, 3, "training"),
        (Checkpointed, 31, "training"),
        (StageFinished, 2, "evaluation"),
        (StageFinished, 3, "harvest"),
    ],
)
def test_a_job_that_was_closed_anywhere_ends_with_the_same_files(
    workplace: Path,
    tmp_path: Path,
    finished: tuple[ExperimentFolder, list[Record]],
    kind: type[Record],
    number: int,
    first_stage: Stage,
) -> None:
    job = job_in(workplace, tmp_path / "stopped")
    resume = until(pipeline.run(job, should_checkpoint=always), kind, number)
    rest = list(pipeline.run(job, resume))
    assert same_files(ExperimentFolder(job.folder), finished[0])
    ends = [record.stage for record in rest if isinstance(record, StageFinished)]
    assert ends == list(STAGES[STAGES.index(first_stage) :])
    told = {record.stage for record in rest if isinstance(record, Progress)}
    assert told <= set(ends)


KILLED_JOB = """
import sys
from pathlib import Path
import torch
from experiments.engine import pipeline
from experiments.engine.records import Checkpointed
from tests.engine.test_pipeline import always, job_in
torch.set_num_threads(1)
for record in pipeline.run(job_in(Path(sys.argv[1]), Path(sys.argv[2])), should_checkpoint=always):
    if isinstance(record, Checkpointed):
        print(record.name, record.sha256, flush=True)
"""


def test_a_job_killed_in_training_ends_with_the_same_files(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = job_in(workplace, tmp_path / "killed")
    command = [sys.executable, "-c", KILLED_JOB, str(workplace), str(job.folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = list(itertools.islice(process.stdout, 14))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    name, sha256 = lines[-1].split()
    list(pipeline.run(job, ResumePoint("training", name, sha256)))
    assert same_files(ExperimentFolder(job.folder), finished[0])


def test_closing_in_the_middle_of_the_harvest_leaves_no_half_index(workplace: Path, tmp_path: Path) -> None:
    job = job_in(workplace, tmp_path / "stopped")
    records = pipeline.run(job)
    until_harvest = (record for record in records if isinstance(record, Progress) and record.stage == "harvest")
    next(until_harvest)
    records.close()  # type: ignore[attr-defined]
    assert not ExperimentFolder(job.folder).index.exists()


KILLED_HARVEST = """
import sys
from pathlib import Path
from experiments.engine import activation_spill, capture, harvest, pipeline
from experiments.engine.job import ResumePoint
from experiments.engine.pace import Pace
from tests.engine.test_pipeline import job_in
activation_spill.PART_TOKENS, capture.BATCH_TOKENS["cpu"] = 200, 100
Pace.due = property(lambda pace: True)
for record in pipeline.run(job_in(Path(sys.argv[1]), Path(sys.argv[2])), ResumePoint("harvest")):
    print(record, flush=True)
"""


def test_a_harvest_that_was_killed_goes_on_with_what_it_has_read(
    workplace: Path,
    tmp_path: Path,
    finished: tuple[ExperimentFolder, list[Record]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BATCH_TOKENS, "cpu", 100)  # so small in the killed process too: batches decide the last bits
    job, whole = job_in(workplace, tmp_path / "killed"), job_in(workplace, tmp_path / "whole")
    for folder in (job.folder, whole.folder):
        shutil.copytree(finished[0].path, folder, ignore=shutil.ignore_patterns("index"))
    list(pipeline.run(whole, ResumePoint("harvest")))
    command = [sys.executable, "-c", KILLED_HARVEST, str(workplace), str(job.folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [line for line in itertools.islice(process.stdout, 9) if "collecting" in line]
        process.send_signal(signal.SIGKILL)
    parts = sorted((job.folder / ".index-unfinished" / "parts").glob("part-*"))
    assert process.returncode == -signal.SIGKILL
    assert told
    assert parts
    assert not ExperimentFolder(job.folder).index.exists()
    read: list[int] = []
    monkeypatch.setattr(
        "experiments.engine.harvest.capture_batches",
        lambda *given: read.append(len(given[1])) or capture_batches(*given),
    )
    list(pipeline.run(job, ResumePoint("harvest")))
    assert same_files(ExperimentFolder(job.folder), ExperimentFolder(whole.folder))
    windows = pq.read_metadata(ExperimentFolder(job.folder).tokens).num_rows // CONTEXT
    assert 0 < sum(read) < windows
    assert list(job.folder.glob(".index-*")) == []


def test_what_a_harvest_of_other_weights_left_behind_is_not_used(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = job_in(workplace, tmp_path / "copy")
    shutil.copytree(finished[0].path, job.folder)
    part = job.folder / ".index-unfinished" / "parts" / "part-0-9999"
    part.mkdir(parents=True)
    (part.parents[1] / "harvest.json").write_text('{"weights": "others"}')
    list(pipeline.run(job, ResumePoint("harvest")))
    assert list(job.folder.glob(".index-*")) == []
    assert same_files(ExperimentFolder(job.folder), finished[0])


def test_a_config_that_does_not_fit_the_model_is_refused(workplace: Path, tmp_path: Path) -> None:
    job = job_in(workplace, tmp_path)
    with pytest.raises(ConfigError, match="layers 0 to 2, so layer 7 does not exist"):
        list(pipeline.run(replace(job, config=replace(job.config, layer=7))))


def test_a_lost_sae_is_told_in_one_sentence(workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"weights\.safetensors of this experiment is missing"):
        list(pipeline.run(job_in(workplace, tmp_path), ResumePoint("evaluation")))


def test_an_encoder_runs_through_all_stages(workplace: Path, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "bert", "bert")
    job = job_in(workplace, tmp_path / "folder", model_path=str(tmp_path / "bert"))
    quality, _, *_ = [r.values for r in pipeline.run(job) if isinstance(r, StageFinished)][2:]
    assert quality["ce_clean"] is None
    assert ExperimentFolder(job.folder).features.exists()


def test_the_language_model_is_used_with_the_threads_that_are_given(workplace: Path, tmp_path: Path) -> None:
    records = pipeline.run(job_in(workplace, tmp_path))
    next(records)
    assert torch.get_num_threads() == 1
    records.close()  # type: ignore[attr-defined]


def test_the_built_in_corpus_has_its_concepts_recovered(workplace: Path, tmp_path: Path) -> None:
    job = job_in(workplace, tmp_path, corpus_path=None, cache_folder=tmp_path / "cache")
    config = replace(job.config, corpus=CorpusConfig("builtin", "builtin"), evaluation_tokens=2_000)
    values = [r.values for r in pipeline.run(replace(job, config=config)) if isinstance(r, StageFinished)]
    concepts = values[2]["concepts"]
    assert len(concepts["rows"]) >= 60
    assert {row["title"] for row in concepts["rows"]} != {row["concept"] for row in concepts["rows"]}
    features = pq.read_table(ExperimentFolder(tmp_path).features).to_pylist()
    named = [feature["concept"] for feature in features if feature["concept"]]
    assert named
    assert {name["name"] for name in named} <= {row["concept"] for row in concepts["rows"]}
    kinds = pq.read_table(ExperimentFolder(tmp_path).documents).to_pydict()["kind"]
    assert None not in kinds
