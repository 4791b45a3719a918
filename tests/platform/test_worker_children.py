"""The process of a training keeps its memory and steps back; torch's threads do not spin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAPPED_BLOCKS = """
import ctypes, sys

class Mallinfo(ctypes.Structure):  # struct mallinfo of glibc
    _fields_ = [(name, ctypes.c_int) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )]

libc = ctypes.CDLL(None)
libc.mallinfo.restype = Mallinfo
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
if sys.argv[1] == "kept":
    from latentlens.lib.large_blocks import keep_large_blocks
    assert keep_large_blocks()
before = libc.mallinfo().hblks
libc.malloc(100_000_000)
print(libc.mallinfo().hblks - before)
"""
CHILD = """
import json, os, signal
os.environ["DJANGO_SETTINGS_MODULE"] = "latentlens.settings"
import django
django.setup()
from celery import signals
import latentlens.celery
signals.worker_init.send(sender=None)
told = lambda: os.getpriority(os.PRIO_PROCESS, 0)
signals.task_prerun.send(sender=None)
parent = told()
reads, writes = os.pipe()
if os.fork() == 0:
    signals.task_prerun.send(sender=None)
    os.write(writes, str(told()).encode())
    os._exit(0)
print(json.dumps({"parent": parent, "child": int(os.read(reads, 10)), "waiting": os.environ["OMP_WAIT_POLICY"]}))
"""
glibc_only = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")


def python(code: str, *arguments: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@glibc_only
@pytest.mark.parametrize(("setting", "mapped"), [("kept", 0), ("as it comes", 1)])
def test_large_blocks_come_from_the_heap(setting: str, mapped: int) -> None:
    assert int(python(MAPPED_BLOCKS, setting)) == mapped


@glibc_only
def test_the_child_of_a_worker_steps_back_and_its_parent_does_not(tmp_path: Path) -> None:
    now = os.getpriority(os.PRIO_PROCESS, 0)
    found = json.loads(python(CHILD, DATA_DIR=str(tmp_path), TRAINING_NICENESS="17"))
    assert found == {"parent": now, "child": max(now, 17), "waiting": os.environ.get("OMP_WAIT_POLICY", "passive")}
