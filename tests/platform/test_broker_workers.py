"""Real Celery workers over the ORM transport, or over Redis where REDIS_URL is set: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings
from django.db import transaction

from latentlens.broker.models import Message
from tests.platform.echo_tasks import work_until, write_line
from tests.worker_processes import ChildProcess, start_worker, wait_until

pytestmark = pytest.mark.processes
embedded_only = pytest.mark.skipif(bool(settings.REDIS_URL), reason="with Redis the ORM broker is not used")
APP = "tests.platform.echo_tasks"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_many_messages_for_two_workers(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        workers.append(start_worker(child_environment, tmp_path / f"{name}.log", queues="lens", pool="solo", app=APP))
    out = tmp_path / "out"
    for number in range(200):
        write_line.delay(str(out), str(number))
    wait_until(lambda: len(_lines(out)) >= 200, what="200 lines")
    assert Counter(_lines(out)) == Counter(str(number) for number in range(200))
    wait_until(lambda: not Message.objects.exists(), what="every message to be acknowledged")


@embedded_only
def test_work_of_a_killed_worker_comes_back(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    log, end_file = tmp_path / "out", tmp_path / "end"
    workers.append(start_worker(child_environment, tmp_path / "first.log", queues="experiments", app=APP))
    work_until.delay(str(log), str(end_file))
    wait_until(lambda: _lines(log), what="the task to start")
    workers[0].kill_all()

    end_file.touch()
    workers.append(start_worker(child_environment, tmp_path / "second.log", queues="experiments", app=APP))
    wait_until(lambda: "finished" in _lines(log), what="redelivery")
    assert [line.split()[0] for line in _lines(log)] == ["started", "started", "finished"]
    wait_until(lambda: not Message.objects.exists(), what="the message to be acknowledged")


@embedded_only
def test_the_lease_of_a_long_task_is_renewed(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    log, end_file = tmp_path / "out", tmp_path / "end"
    workers.append(start_worker(child_environment, tmp_path / "only.log", queues="experiments", app=APP))
    work_until.delay(str(log), str(end_file))
    wait_until(lambda: _lines(log), what="the task to start")
    first = Message.objects.get().lease_until
    wait_until(lambda: Message.objects.get().lease_until > first, what="a renewed lease")
    assert Message.objects.get().lease_until > time.time()
    end_file.touch()
    wait_until(lambda: "finished" in _lines(log), what="the task to finish")


def test_sigterm_reaches_the_running_task(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "out"
    workers.append(start_worker(child_environment, tmp_path / "only.log", queues="experiments", app=APP))
    work_until.delay(str(log), str(tmp_path / "never"))
    wait_until(lambda: _lines(log), what="the task to start")
    child = int(_lines(log)[0].split()[1])
    assert workers[0].stop() == 0
    assert _lines(log)[1:] == ["stopped"]
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@embedded_only
@pytest.mark.django_db(transaction=True)
def test_a_message_is_sent_with_its_transaction() -> None:
    with transaction.atomic():
        write_line.delay("unused", "unused")
        transaction.set_rollback(True)
    assert not Message.objects.exists()
    write_line.delay("unused", "unused")
    assert Message.objects.get().queue == "lens"


def test_tasks_go_to_the_queue_of_their_name() -> None:
    route = current_app.amqp.router.route
    names = ("experiments.run", "experiments.describe_model", "lens.read_prompt", "features.export")
    assert [route({}, name)["queue"].name for name in names] == ["experiments", "lens", "lens", "features"]
