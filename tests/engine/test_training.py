"""Training learns, tells what it does, and is a function of (config, seed, step) whatever happens to it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from experiments.engine import training
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, sha256_of
from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.config import ARCHITECTURES, ExperimentConfig, TrainingConfig, default_learning_rate
from experiments.engine.records import Checkpointed, Measurement, Progress, Record
from experiments.engine.sae import Sae, SaeDescription, load_sae, save_sae
from experiments.engine.schedules import scheduled_learning_rate
from experiments.engine.trainer import TrainingDiverged
from experiments.engine.training import ShouldCheckpoint, Training, start_training
from tests.engine.synthetic_source import WIDTH, SyntheticSource, planted_directions, planted_states, small_config


def never() -> bool:
    return False


def always() -> bool:
    return True


def start(config: ExperimentConfig, source: SyntheticSource) -> TrainingState:
    for _ in source.capture(0):
        pass
    return start_training(config, source)


def train(
    config: ExperimentConfig,
    state: TrainingState,
    source: SyntheticSource,
    folder: ExperimentFolder,
    should_checkpoint: ShouldCheckpoint,
) -> Iterator[Record]:
    return Training(config, state, source, folder, should_checkpoint).run()


def sae_of(state: TrainingState, config: ExperimentConfig) -> Sae:
    description = SaeDescription("topk", config.sae.n_features, WIDTH, config.sae.k, "builtin", 0, "resid_post", 1e9)
    return Sae(state.trainer.folded_weights(), description)


def weights_hash(state: TrainingState, config: ExperimentConfig, folder: Path) -> str:
    save_sae(sae_of(state, config), ExperimentFolder(folder))
    return sha256_of(ExperimentFolder(folder).weights)


def train_to_the_end(config: ExperimentConfig, folder: Path) -> tuple[str, list[Record]]:
    source = SyntheticSource()
    state = start(config, source)
    records = list(train(config, state, source, ExperimentFolder(folder), never))
    return weights_hash(state, config, folder), records


def resume(config: ExperimentConfig, folder: Path, checkpoint: Checkpointed) -> tuple[str, list[Record]]:
    state = load_checkpoint(checkpoint.name, checkpoint.sha256, config, ExperimentFolder(folder), "cpu")
    records = list(train(config, state, SyntheticSource(), ExperimentFolder(folder), never))
    return weights_hash(state, config, folder), records


def measurements(records: list[Record]) -> list[Measurement]:
    return [record for record in records if isinstance(record, Measurement)]


def test_training_recovers_the_planted_directions(tmp_path: Path) -> None:
    config = small_config(tokens=128 * 800)
    source = SyntheticSource(states_per_segment=4_000)
    state = start(config, source)
    list(train(config, state, source, ExperimentFolder(tmp_path), never))

    similarity = (planted_directions() @ state.trainer.weights.decoder.T).amax(dim=1)
    held_out = planted_states(2_000, seed=1_234)
    error = (sae_of(state, config).reconstruct(held_out) - held_out).square().sum()
    assert (similarity > 0.9).float().mean() > 0.8
    assert error / (held_out - held_out.mean(0)).square().sum() < 0.1


def test_decoder_rows_keep_length_one_and_measurements_come_in_order(tmp_path: Path) -> None:
    config = small_config()
    source = SyntheticSource()
    state = start(config, source)
    found = measurements(list(train(config, state, source, ExperimentFolder(tmp_path), never)))
    torch.testing.assert_close(state.trainer.weights.decoder.norm(dim=1), torch.ones(config.sae.n_features))
    assert [measurement.step for measurement in found] == list(range(5, 51, 5))
    assert found[-1].values["loss"] < found[0].values["loss"]
    assert found[-1].values["l0"] <= config.sae.k
    assert set(found[0].values) >= {"loss", "explained_variance", "l0", "dead_share", "learning_rate"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, _ = train_to_the_end(small_config(seed=1), tmp_path / "first")
    again, _ = train_to_the_end(small_config(seed=1), tmp_path / "again")
    other, _ = train_to_the_end(small_config(seed=2), tmp_path / "other")
    assert first == again != other


# Steps in the first segment, at its end (700 states are 5 batches), in the middle of the second epoch, before the end.
@pytest.mark.parametrize("stop_after", [1, 5, 23, 49])
def test_resuming_ends_in_the_same_weights_and_measurements(tmp_path: Path, stop_after: int) -> None:
    config = small_config()
    expected, all_records = train_to_the_end(config, tmp_path / "uninterrupted")

    source = SyntheticSource()
    state = start(config, source)
    interrupted = train(config, state, source, ExperimentFolder(tmp_path / "stopped"), always)
    checkpoints = (record for record in interrupted if isinstance(record, Checkpointed))
    checkpoint = next(itertools.islice(checkpoints, stop_after - 1, None))
    interrupted.close()

    found, later_records = resume(config, tmp_path / "stopped", checkpoint)
    assert checkpoint.step == stop_after
    assert found == expected
    assert measurements(later_records) == [m for m in measurements(all_records) if m.step > stop_after]


def test_resuming_from_the_checkpoint_before_the_last_is_as_good(tmp_path: Path) -> None:
    config = small_config()
    expected, _ = train_to_the_end(config, tmp_path / "uninterrupted")
    checkpoints = list(itertools.islice(checkpoints_of(config, tmp_path / "stopped"), 12))
    found, _ = resume(config, tmp_path / "stopped", checkpoints[-2])
    assert found == expected


def checkpoints_of(config: ExperimentConfig, folder: Path) -> Iterator[Checkpointed]:
    source = SyntheticSource()
    for record in train(config, start(config, source), source, ExperimentFolder(folder), always):
        if isinstance(record, Checkpointed):
            yield record


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    names = [record.name for record in checkpoints_of(small_config(), tmp_path)]
    assert sorted(path.name for path in ExperimentFolder(tmp_path).checkpoints.iterdir()) == names[-2:]


@pytest.mark.parametrize(("seconds_each", "expected"), [(0.125, 25), (5.0, 1)])
def test_checkpoints_that_take_long_are_made_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_each: float, expected: int
) -> None:
    """50 steps of ten seconds, and a checkpoint every 20: one of five seconds is worth 500 seconds of training."""
    now = [0.0]
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(training, "save_checkpoint", passing(now, seconds_each, training.save_checkpoint))
    config, source = small_config(), SyntheticSource()
    state = start(config, source)
    monkeypatch.setattr(state.trainer, "train_on", passing(now, 10.0, state.trainer.train_on))
    records = list(train(config, state, source, ExperimentFolder(tmp_path), never))
    assert sum(isinstance(record, Checkpointed) for record in records) == expected


def passing(now: list[float], seconds: float, work: Callable[..., Any]) -> Callable[..., Any]:
    def with_time(*arguments: Any) -> Any:
        now[0] += seconds
        return work(*arguments)

    return with_time


KILLED_TRAINING = """
import sys
from pathlib import Path
from experiments.engine.records import Checkpointed
from tests.engine.synthetic_source import small_config
from tests.engine.test_training import checkpoints_of
for checkpoint in checkpoints_of(small_config(), Path(sys.argv[1])):
    print(checkpoint.step, checkpoint.name, checkpoint.sha256, flush=True)
"""


def test_kill_nine_and_resume_end_in_the_same_weights(tmp_path: Path) -> None:
    config = small_config()
    expected, _ = train_to_the_end(config, tmp_path / "uninterrupted")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED_TRAINING, str(tmp_path / "killed")]
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(command, cwd=root, env=threads, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = list(itertools.islice(process.stdout, 17))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    step, name, sha256 = lines[-1].split()

    # Two checkpoints are kept, so the one that was last reported is there even when a newer one was being written.
    found, _ = resume(config, tmp_path / "killed", Checkpointed(name, sha256, int(step)))
    assert found == expected


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    config, folder = small_config(), ExperimentFolder(tmp_path)
    checkpoint = next(checkpoints_of(config, tmp_path))
    path = folder.checkpoint(checkpoint.name)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ArtifactError, match="damaged"):
        load_checkpoint(checkpoint.name, checkpoint.sha256, config, folder, "cpu")


def test_a_missing_checkpoint_and_one_of_another_config_are_refused(tmp_path: Path) -> None:
    config, folder = small_config(), ExperimentFolder(tmp_path)
    checkpoint = next(checkpoints_of(config, tmp_path))
    with pytest.raises(ArtifactError, match="another configuration"):
        load_checkpoint(checkpoint.name, checkpoint.sha256, replace(config, seed=77), folder, "cpu")
    folder.checkpoint(checkpoint.name).unlink()
    with pytest.raises(ArtifactError, match="missing"):
        load_checkpoint(checkpoint.name, checkpoint.sha256, config, folder, "cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e20])
def test_divergence_stops_with_its_step_and_keeps_the_last_checkpoint(
    tmp_path: Path, poison: float, architecture: str
) -> None:
    class PoisonedSource(SyntheticSource):
        @property
        def hidden_states(self) -> torch.Tensor:
            states = super().hidden_states
            if self.captured == 1:
                states[:] = poison
            return states

    config, source, folder = small_config(), PoisonedSource(), ExperimentFolder(tmp_path)
    config = replace(config, sae=replace(config.sae, architecture=architecture))
    records: list[Record] = []
    with pytest.raises(TrainingDiverged, match="step 6") as failure:
        records.extend(train(config, start(config, source), source, folder, always))
    last = [record for record in records if isinstance(record, Checkpointed)][-1]
    state = load_checkpoint(last.name, last.sha256, config, folder, "cpu")
    assert failure.value.step == last.step == 6
    assert all(weight.isfinite().all() for weight in state.trainer.weights.present().values())


def test_dead_features_are_revived(tmp_path: Path) -> None:
    """Features that start ten times weaker lose every selection; only the auxiliary loss can bring them back."""

    def dead_share_after(coefficient: float) -> float:
        config = small_config(tokens=128 * 300, dead_after_tokens=1_024, aux_k_coefficient=coefficient)
        source = SyntheticSource()
        state = start(config, source)
        state.trainer.weights.encoder[12:] *= 0.1
        found = measurements(list(train(config, state, source, ExperimentFolder(tmp_path), never)))
        return found[-1].values["dead_share"]

    assert dead_share_after(1 / 32) < dead_share_after(0.0) - 0.2


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    _, records = train_to_the_end(small_config(), tmp_path)
    last = records[-1]
    assert isinstance(last, Progress)
    assert (last.step, last.steps, last.tokens) == (50, 50, 6_400)


def test_a_corpus_smaller_than_one_batch_still_trains(tmp_path: Path) -> None:
    config, source = small_config(), SyntheticSource(segments=1, states_per_segment=60)
    state = start(config, source)
    list(train(config, state, source, ExperimentFolder(tmp_path), never))
    assert state.trainer.step == config.training.steps


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    training = small_config(tokens=128 * 100, warmup_share=0.1, decay_share=0.2).training
    rates = [scheduled_learning_rate(training, 32, step) for step in range(100)]
    assert rates[0] == pytest.approx(5e-4)
    assert rates[10:80] == [5e-3] * 70
    assert rates[90] == pytest.approx(2.5e-3)
    assert 0 < rates[99] < rates[98]


def test_a_config_without_a_rate_is_trained_as_when_it_was_stored() -> None:
    training = TrainingConfig(tokens=10_000, batch_tokens=100, warmup_share=0.0)
    assert scheduled_learning_rate(training, 2**14, 0) == 2e-4
    assert scheduled_learning_rate(training, 2**16, 0) == 1e-4


@pytest.mark.parametrize(
    ("steps", "n_features", "rate"),
    [(1, 4_096, 3e-3), (2_000, 4_096, 3e-3), (8_000, 4_096, 1.5e-3), (10**6, 2**14, 2e-4), (10**6, 2**18, 1.34e-4)],
)
def test_the_default_rate_falls_with_the_steps_to_the_published_one(steps: int, n_features: int, rate: float) -> None:
    assert default_learning_rate(steps, n_features) == rate


def test_saved_weights_work_on_unscaled_hidden_states(tmp_path: Path) -> None:
    config, source = small_config(), SyntheticSource()
    state = start(config, source)
    list(train(config, state, source, ExperimentFolder(tmp_path), never))
    sae, states = sae_of(state, config), planted_states(50, seed=5)
    save_sae(sae, ExperimentFolder(tmp_path))
    loaded = load_sae(ExperimentFolder(tmp_path))

    scale = state.trainer.scales.input
    scaled = replace(sae, weights=state.trainer.weights)
    torch.testing.assert_close(loaded.reconstruct(states), scaled.reconstruct(states * scale) / scale)
    assert loaded.description == sae.description
