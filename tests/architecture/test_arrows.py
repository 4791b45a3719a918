"""Who may import whom, in the source and at run time."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGES, ROOT, python_files

WEB = """
import json, pathlib, re, sys, time
began = time.perf_counter()
import latentlens.asgi
seconds = time.perf_counter() - began
from django.urls import get_resolver

def every(patterns):
    for pattern in patterns:
        yield pattern
        yield from every(getattr(pattern, "url_patterns", []))

count = len(list(every(get_resolver().url_patterns)))
heavy = [name for name in sys.argv[1:] if name in sys.modules]
status = pathlib.Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024 if status.exists() else 0.0
print(json.dumps({"heavy": heavy, "urls": count, "seconds": seconds, "megabytes": peak}))
"""
WITHOUT = """
import importlib, sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # importing it raises ImportError
importlib.import_module(sys.argv[1])
"""
# The packages of the extra `worker`, and what they bring: the web image does not have them.
OF_THE_WORKERS = ["torch", "transformers", "datasets", "safetensors", "h5py", "tokenizers", "huggingface_hub", "pandas"]
# What web processes have, and import with the first page that reads files of an experiment.
OF_THE_INDEX = ["duckdb", "pyarrow"]
FOR_FORMS_AND_SCHEMAS = ["config", "records", "artifacts", "model_card", "estimate", "documents"]


def _python(code: str, *arguments: str) -> str:
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "latentlens.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_web_process_starts_without_torch_and_what_it_may_need_later(capsys: pytest.CaptureFixture[str]) -> None:
    """Also prints what it costs to start; memory is held to 100 MB, time depends on the machine."""
    facts = json.loads(_python(WEB, *OF_THE_WORKERS, *OF_THE_INDEX))
    with capsys.disabled():
        print(f"\nweb process: {facts['seconds']:.2f} s, {facts['megabytes']:.0f} MB, {facts['urls']} routes")  # noqa: T201
    assert facts["heavy"] == []
    assert facts["urls"] > 20
    assert facts["megabytes"] <= 100


@pytest.mark.parametrize("module", FOR_FORMS_AND_SCHEMAS)
def test_what_the_web_process_needs_of_the_engine_is_light(module: str) -> None:
    _python(WITHOUT, f"experiments.engine.{module}", "django", *OF_THE_WORKERS)


def test_the_import_contracts_hold() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_ruff_has_nothing_to_say() -> None:
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [Path(sys.executable).parent / "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_tasks_only_find_their_runner() -> None:
    """A task imports its runner in its body, in at most eight lines: the worker's parent must stay without torch."""
    for path in python_files(*PACKAGES):
        if path.name != "tasks.py":
            continue
        module = ast.parse(path.read_text("utf-8"))
        for node in module.body:
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                assert (node.module, [name.name for name in node.names]) == ("celery", ["shared_task"]), path
            if isinstance(node, ast.FunctionDef):
                assert len(node.body) <= 8, f"{path}: {node.name}"


def test_settings_alone_read_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in python_files(*PACKAGES)
        if "os.environ[" in (text := path.read_text("utf-8")) or "os.environ.get" in text or "getenv" in text
    ]
    assert readers == ["latentlens/settings.py"]
