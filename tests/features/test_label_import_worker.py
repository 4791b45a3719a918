"""A real worker writes labels from a file, is killed in the middle, and another goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from experiments.models import Experiment
from features.models import Label, LabelImport, LabelRevision
from features.services.label_files import ask_to_apply, check_import, start_import
from tests.features import synthetic_index as synthetic
from tests.worker_processes import ChildProcess, start_worker, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
ROWS = 12_000


def test_an_import_whose_worker_is_killed_loses_nothing_and_doubles_nothing(
    data_dir: Path,
    settings: Any,
    child_environment: dict[str, str],
    workers: list[ChildProcess],
    experiment: Experiment,
    owner: User,
    tmp_path: Path,
) -> None:
    settings.LABEL_IMPORTS_DIR = data_dir / "label-imports"  # where a process with this DATA_DIR looks
    lines = [json.dumps({"feature": row % synthetic.FEATURES, "text": f"label {row}"}) for row in range(ROWS)]
    row = start_import(experiment, SimpleUploadedFile("many.jsonl", "\n".join(lines).encode()), owner)
    check_import(row)
    ask_to_apply(row)
    workers.append(start_worker(child_environment, tmp_path / "first.log", queues="features", pool="solo"))
    wait_until(lambda: _now(row).rows_done > 0, what="the first labels")
    workers[0].kill_all()
    cut_off = _now(row)
    assert cut_off.status == LabelImport.Status.APPLYING
    assert 0 < cut_off.rows_done < ROWS
    assert Label.objects.count() == cut_off.rows_done

    ask_to_apply(cut_off)
    workers.append(start_worker(child_environment, tmp_path / "second.log", queues="features", pool="solo"))
    wait_until(lambda: _now(row).status == LabelImport.Status.APPLIED, seconds=300, what="the rest of the labels")
    assert sorted(Label.objects.values_list("text", flat=True)) == sorted(f"label {number}" for number in range(ROWS))
    assert LabelRevision.objects.count() == ROWS


def _now(row: LabelImport) -> LabelImport:
    return LabelImport.objects.get(pk=row.pk)
