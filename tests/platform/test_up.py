"""`manage.py up` as a real process: it refuses clearly, starts, survives losing a child, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.worker_processes import ChildProcess, wait_until

pytestmark = pytest.mark.processes
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
Up = Callable[..., ChildProcess]


def _start(folder: Path, **variables: str | None) -> ChildProcess:
    """`manage.py up` on a free port over `folder`/data; a variable that is None is removed."""
    wanted: dict[str, str | None] = {"DATA_DIR": str(folder / "data"), "PORT": "0", "LOG_LEVEL": "INFO"}
    wanted |= {"DJANGO_SETTINGS_MODULE": "latentlens.settings", "DATABASE_URL": None, "REDIS_URL": None} | variables
    environment = {name: value for name, value in (os.environ | wanted).items() if value is not None}
    log = folder / f"up-{len(list(folder.glob('up-*')))}.log"
    return ChildProcess([sys.executable, "-W", "default", "manage.py", "up"], environment, log)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Starts `manage.py up` over one empty folder; keyword arguments are further variables."""
    started: list[ChildProcess] = []

    def start(**variables: str | None) -> ChildProcess:
        started.append(_start(tmp_path, **variables))
        return started[-1]

    yield start
    for process in started:
        process.kill_all()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ChildProcess, Path]]:
    """One installation for the tests that only look at it, and its folder."""
    folder = tmp_path_factory.mktemp("running")
    process = _start(folder)
    process.wait_for_output("API key", seconds=180)
    yield process, folder
    process.kill_all()


def _address(process: ChildProcess) -> str:
    process.wait_for_output("API key", seconds=180)
    found = re.search(r"runs at (http://\S+)/ ", process.output)
    assert found, process.output
    return found[1]


def _family_of(pid: int) -> set[int]:
    """The descendants of a process."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def _alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            alive.add(pid)
    return alive


def test_the_first_start_prints_a_link_and_a_key(running: tuple[ChildProcess, Path]) -> None:
    process, folder = running
    address = _address(process)
    told = [line for line in process.output.splitlines() if "http://" in line or "API key" in line]
    assert len(told) == 2
    assert f"{address}/sign-in/" in told[0]
    assert (folder / "data" / "secrets" / "api_key").read_text().strip() in told[1]


def test_all_workers_report_themselves(running: tuple[ChildProcess, Path]) -> None:
    address = _address(running[0])

    def everybody_lives() -> bool:
        return all(json.load(urllib.request.urlopen(f"{address}/readyz"))["workers"].values())

    wait_until(everybody_lives, what="heartbeats of all workers")


def test_the_secrets_are_kept_to_their_owner(running: tuple[ChildProcess, Path]) -> None:
    secrets = sorted((running[1] / "data" / "secrets").iterdir())
    assert [path.name for path in secrets] == ["api_key", "secret_key"]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_one_start_per_data_folder(running: tuple[ChildProcess, Path]) -> None:
    process, folder = running
    second = _start(folder)
    assert second.process.wait(120) == 1
    assert f"(process {process.process.pid}): stop it, or set another DATA_DIR." in second.output
    assert "Traceback" not in second.output


@linux_only
def test_a_web_process_that_ended_starts_again_on_the_same_port(running: tuple[ChildProcess, Path]) -> None:
    process, _ = running
    web = next(pid for pid in _family_of(process.process.pid) if b"web_process" in _command_of(pid))
    os.kill(web, signal.SIGKILL)
    process.wait_for_output("web ended")
    answer = urllib.request.urlopen(f"{_address(process)}/healthz", timeout=120)
    assert answer.status == 200


@linux_only
def test_ctrl_c_leaves_nothing_and_a_second_start_everything(up: Up, tmp_path: Path) -> None:
    first = up()
    first_address = _address(first)
    link = next(word for word in first.output.split() if "/sign-in/" in word)
    assert urllib.request.urlopen(link).status == 200
    wait_until(lambda: len(_family_of(first.process.pid)) >= 4, what="web, two workers and a child of the pool")
    family = _family_of(first.process.pid)
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(120) == 0
    assert not _alive(family)

    second = up()
    _address(second)
    assert link.removeprefix(first_address) not in second.output
    with sqlite3.connect(tmp_path / "data" / "latentlens.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM auth_user").fetchone() == (1,)

    family = _family_of(second.process.pid)
    os.kill(second.process.pid, signal.SIGKILL)
    wait_until(lambda: not _alive(family), what="the children of the killed supervisor to end")
    _logs_are_json_without_secrets(tmp_path / "data", link.rstrip("/").rpartition("/")[2])


def _logs_are_json_without_secrets(data: Path, sign_in_token: str) -> None:
    secrets = [path.read_text().strip() for path in (data / "secrets").iterdir()] + [sign_in_token]
    logs = "".join(path.read_text("utf-8") for path in (data / "logs").iterdir())
    assert "Started server process" in logs
    for line in logs.splitlines():
        assert json.loads(line)["event"], line
    assert not [secret for secret in secrets if secret in logs]


def test_a_port_that_is_taken(up: Up) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = up(PORT=str(port))
        assert process.process.wait(120) == 1
    assert f"Port {port} is already taken" in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("DEVICE gpu", "line 2 is not NAME=value. Write NAME=value, or start it with #."),
        ("DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "start it, or correct DATABASE_URL."),
    ],
)
def test_a_broken_env_file(up: Up, tmp_path: Path, line: str, sentence: str) -> None:
    env_file = tmp_path / "broken.env"
    env_file.write_text(f"# settings\n{line}\n")
    process = up(ENV_FILE=str(env_file), DEVICE=None)
    assert process.process.wait(120) == 1
    assert sentence in process.output
    assert "Traceback" not in process.output


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
