"""Fixtures for every area: signed-in clients, folders that end with the test, what child processes need.

A test that needs something of the machine skips with a reason that begins with "needs "; with LATENTLENS_TEST_NO_SKIPS
set, as in `.ci/run`, such a skip is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from latentlens.accounts.services import installation_owner
from tests.worker_processes import ChildProcess, free_port, wait_until

NO_SKIPS = bool(os.environ.get("LATENTLENS_TEST_NO_SKIPS"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if NO_SKIPS and report.skipped and isinstance(report.longrepr, tuple) and "needs " in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]} (and LATENTLENS_TEST_NO_SKIPS allows no skip)"
    return report


@pytest.fixture
def owner(db: None) -> User:
    return installation_owner()


@pytest.fixture
def page_client(owner: User) -> Client:
    """A browser in which the owner is signed in."""
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def api_client(db: None, settings: Any) -> Client:
    """A program that sends the installation's API key."""
    return Client(headers={"X-API-Key": settings.API_KEY})


@pytest.fixture
def data_dir(settings: Any, tmp_path: Path) -> Path:
    """A fresh DATA_DIR for one test: uploads, artifacts and models live below it."""
    settings.DATA_DIR = tmp_path
    for name in ("ARTIFACTS_DIR", "UPLOADS_DIR", "LOGS_DIR", "MODELS_DIR", "IMPORTS_DIR", "HF_CACHE_DIR"):
        folder = tmp_path / name.removesuffix("_DIR").lower()
        folder.mkdir()
        setattr(settings, name, folder)
    return tmp_path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs Chromium (Debian: apt-get install chromium)")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis server of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server (Debian: apt-get install redis-server)")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    server = subprocess.Popen([*command, str(tmp_path_factory.mktemp("redis"))], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers, what="Redis to answer")
    yield f"redis://127.0.0.1:{port}/0"
    client.close()
    server.terminate()
    server.wait(10)


@pytest.fixture
def child_environment(transactional_db: None, settings: Any) -> dict[str, str]:
    """The environment of processes that a test starts: the same database, folders and keys as the test itself."""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as broker:
            broker.flushdb()  # rows end with their test; messages in Redis would not
    variables = {
        "DJANGO_SETTINGS_MODULE": "latentlens.settings",
        "DATABASE_URL": _url_of(connection.settings_dict),
        "SECRET_KEY": settings.SECRET_KEY,
        "API_KEY": settings.API_KEY,
        "LOG_LEVEL": "INFO",
        "PYTHONWARNINGS": "default",
        "IMPORTS_AHEAD": "false",  # most tests kill their worker, or start many, before it has got anything of it
    }
    for name in ("DATA_DIR", "MODELS_DIR", "IMPORTS_DIR", "HF_CACHE_DIR", "REDIS_URL"):
        variables[name] = str(getattr(settings, name))
    return dict(os.environ) | variables


@pytest.fixture
def workers(child_environment: dict[str, str]) -> Iterator[list[ChildProcess]]:
    """A list for the workers that a test starts; what still runs is killed before the database is cleared."""
    started: list[ChildProcess] = []
    yield started
    for worker in started:
        worker.kill_all()
    connection.close()


def _url_of(database: dict[str, Any]) -> str:
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(database['NAME']))}"
    credentials = quote(database["USER"]) + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    return f"postgres://{credentials}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
