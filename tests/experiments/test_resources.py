"""What stages took is kept, whoever ran them, and shown beside the forecast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments import runner
from experiments.engine.records import ResourcesUsed, StageFinished
from experiments.models import Experiment, Sweep
from experiments.services.estimates import MemoryUse, memory_use
from experiments.services.leases import claim
from experiments.services.sweeps import SweepRequest, store_sweep
from tests.experiments.conftest import SMALL, FakeEngine

Make = Callable[..., Experiment]
PATH = "float32 · 2 threads · CPU with AVX2"


def test_every_stage_adds_what_it_took(make_experiment: Make, engine: FakeEngine) -> None:
    """The capture ended in another process, which took more."""
    earlier = {"capture": {"path": PATH, "memory_bytes": 3_000_000_000, "gpu_memory_bytes": None}}
    experiment = make_experiment(stage="training", resources=earlier)
    engine.script = [
        ResourcesUsed("training", PATH, 1_000_000_000, 500),
        StageFinished("training", {"weights_sha256": "ef" * 32}),
        ResourcesUsed("evaluation", PATH, 2_000_000_000, 700),
        StageFinished("evaluation", {}),
        StageFinished("harvest", {}),
    ]
    claim(experiment.pk, "tests")
    runner.run_claimed(experiment.pk, "tests")
    experiment.refresh_from_db()
    assert list(experiment.resources) == ["capture", "training", "evaluation"]
    used = memory_use(experiment)
    assert used is not None
    assert (used.path, used.measured_bytes, used.gpu_bytes) == (PATH, 3_000_000_000, 700)
    assert used.forecast_bytes


def test_the_page_shows_measured_and_forecast(page_client: Client, finished: Experiment) -> None:
    assert "measured at most" not in page_client.get(finished.get_absolute_url()).content.decode()
    finished.resources = {"capture": {"path": PATH, "memory_bytes": 1_250_000_000, "gpu_memory_bytes": None}}
    finished.save()
    page = page_client.get(finished.get_absolute_url()).content.decode()
    assert PATH in page
    assert "measured at most" in page
    assert "forecast" in page


def test_experiments_side_by_side_are_measured_and_forecast_together(page_client: Client, data_dir: object) -> None:
    sweep = store_sweep(SweepRequest(SMALL, {"layer": "0, 1, 2"}), Experiment.Status.FINISHED)
    alone, member = memory_of(sweep, 1), memory_of(sweep, 3)
    assert member.forecast_bytes is not None
    assert alone.forecast_bytes is not None
    assert member.forecast_bytes > alone.forecast_bytes
    page = page_client.get(sweep.experiments.get(layer=1).get_absolute_url()).content.decode()
    assert "measured at most by 3 experiments side by side" in page


def memory_of(sweep: Sweep, experiments: int) -> MemoryUse:
    """Of its middle experiment, as if so many had been trained together; the evaluation alone took less."""
    used = {"path": PATH, "memory_bytes": 2_000_000_000, "gpu_memory_bytes": None, "experiments": experiments}
    experiment = sweep.experiments.get(layer=1)
    experiment.resources = {"training": used, "evaluation": used | {"memory_bytes": 1_000_000_000, "experiments": 1}}
    experiment.save()
    found = memory_use(experiment)
    assert found is not None
    assert (found.measured_bytes, found.experiments) == (2_000_000_000, experiments)
    return found


def test_a_model_that_is_gone_has_no_forecast(make_experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    resources: dict[str, Any] = {"capture": {"path": PATH, "memory_bytes": 1, "gpu_memory_bytes": None}}
    experiment = make_experiment("finished", resources=resources)
    experiment.config["model"] = {"source": "local", "name": "gone", "revision": None, "dtype": "float32"}
    used = memory_use(experiment)
    assert used is not None
    assert used.forecast_bytes is None
