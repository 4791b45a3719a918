"""`manage.py replay` with the real engine: equal where nothing changed, and where the first difference is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.pipeline import run
from experiments.engine.records import Checkpointed
from experiments.models import Experiment, Metric
from experiments.runner import job_of, run_claimed
from experiments.services import corpora
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import store_experiment
from experiments.services.folders import experiment_folder
from experiments.services.leases import claim
from experiments.signals import experiment_finished
from tests.engine.tiny_models import save_tiny_model

pytestmark = pytest.mark.django_db(transaction=True)
Status = Experiment.Status
STEPS = 40


@pytest.fixture
def trained(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """A finished experiment."""
    monkeypatch.setattr(experiment_finished, "receivers", [])
    save_tiny_model(data_dir / "models" / "tiny", "llama")
    text = "\n\n".join(f"Tale {number}: the cat saw {number * 7 % 31} birds and slept. " * 5 for number in range(100))
    corpus = corpora.add_upload(SimpleUploadedFile("tales.txt", text.encode()))
    request = ExperimentRequest(
        model="tiny", layer=0, corpus=corpus.pk, n_features=32, k=4, training_tokens=STEPS * 64, context_length=16
    )
    experiment = store_experiment(request, Status.QUEUED)
    experiment.config["training"] |= {"batch_tokens": 64, "segment_tokens": 1_024, "metric_every": 5}
    experiment.config |= {"evaluation_tokens": 256, "splice_tokens": 64, "harvest_tokens": 256}
    experiment.save()
    claim(experiment.pk, "tests")
    run_claimed(experiment.pk, "tests")
    experiment.refresh_from_db()
    assert experiment.status == Status.FINISHED, experiment.error
    return experiment


def replayed(experiment: Experiment, *arguments: str) -> None:
    call_command("replay", str(experiment.pk), *arguments)


def change_at(step: int) -> float:
    """Moves the stored loss of a step by the last bit or so, as an unfaithful resume would; returns it."""
    metric = Metric.objects.get(step=step)
    metric.values["loss"] *= 1 + 1e-15
    metric.save()
    loss: float = metric.values["loss"]
    return loss


def test_a_replay_is_equal_until_something_stored_is_another(
    trained: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed(trained)
    assert "Equal: steps 1 to 40" in capsys.readouterr().out
    assert not experiment_folder(trained.pk).checkpoints.exists()
    assert list(experiment_folder(trained.pk).path.parents[1].glob("replay-*")) == []

    loss = change_at(step=20)
    with pytest.raises(CommandError, match=f"at step 20, loss was {loss!r} and is") as caught:
        replayed(trained)
    assert caught.value.returncode == 1

    Experiment.objects.update(weights_sha256="0" * 64)
    replayed(trained, "--from", "21", "--to", "35")
    with pytest.raises(CommandError, match="at step 40, SHA-256 of the weights was '000"):
        replayed(trained, "--from", "21")


def test_a_kept_checkpoint_saves_the_way_to_it(trained: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    records = run(job_of(trained), should_checkpoint=lambda: True)
    next(record for record in records if isinstance(record, Checkpointed) and record.step == 20)
    records.close()  # type: ignore[attr-defined]
    loaded: list[str] = []

    def load(name: str, *rest: Any) -> TrainingState:
        loaded.append(name)
        return load_checkpoint(name, *rest)

    monkeypatch.setattr("experiments.engine.learning.load_checkpoint", load)
    replayed(trained, "--from", "21", "--to", "40")
    replayed(trained, "--from", "3", "--to", "10")
    assert loaded == ["step-000000020.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "9", "--to", "5"], "must not be after"),
        (["--from", "0"], "are 1 to 80"),
        (["--to", "81"], "are 1 to 80"),
        (["--from", "11", "--to", "14"], "Nothing was measured in steps 11 to 14"),
    ],
)
def test_a_range_without_measurements_is_a_sentence(
    make_experiment: Callable[..., Experiment], arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError, match=words) as caught:
        replayed(make_experiment(), *arguments)
    assert caught.value.returncode == 2


def test_no_such_experiment(db: None) -> None:
    with pytest.raises(CommandError, match="There is no experiment 77"):
        call_command("replay", "77")
