"""What a container allows counts, whichever version of control groups says so; and how a device is prepared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from experiments.engine import devices, machine
from experiments.engine.machine import cpu_threads, memory_bytes, resolve_device


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No control groups yet, on a machine with eight cores."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    return tmp_path


def limit(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_without_a_quota_all_cores_are_ours(groups: Path) -> None:
    limit(groups, own="0::/")
    limit(groups, cpu__max="max 100000", memory__max="max")
    assert cpu_threads() == 8
    assert memory_bytes() > 1_000_000


def test_the_quota_of_a_container_counts(groups: Path) -> None:
    limit(groups, own="0::/")
    limit(groups, cpu__max="250000 100000", memory__max="1000000")
    assert (cpu_threads(), memory_bytes()) == (2, 1_000_000)
    limit(groups, cpu__max="50000 100000")
    assert cpu_threads() == 1


def test_the_narrowest_group_around_us_counts(groups: Path) -> None:
    """A service of systemd sees the groups of the whole machine."""
    limit(groups, own="0::/system.slice/latentlens.service")
    limit(groups / "system.slice", cpu__max="300000 100000", memory__max="2000000")
    limit(groups / "system.slice" / "latentlens.service", cpu__max="max 100000", memory__max="3000000")
    limit(groups / "user.slice", cpu__max="100000 100000")
    assert (cpu_threads(), memory_bytes()) == (3, 2_000_000)


def test_version_one_has_a_tree_for_each_controller(groups: Path) -> None:
    limit(groups, own="4:memory:/\n3:cpu,cpuacct:/docker/1")
    limit(groups / "cpu,cpuacct" / "docker" / "1", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    limit(groups / "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    limit(groups / "memory", memory__limit_in_bytes="5000000")
    assert (cpu_threads(), memory_bytes()) == (4, 5_000_000)


@pytest.mark.parametrize(("cuda", "mps", "found"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, found: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == found
    assert resolve_device("cpu") == "cpu"


def test_on_cuda_the_same_work_is_to_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    products = torch.backends.cuda.matmul
    before = products.allow_bf16_reduced_precision_reduction
    try:
        devices.prepare("cpu", torch.get_num_threads())
        assert not torch.are_deterministic_algorithms_enabled()
        devices.prepare("cuda:1", torch.get_num_threads())
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not products.allow_bf16_reduced_precision_reduction
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        products.allow_bf16_reduced_precision_reduction = before
