"""The benchmark for GPUs, on a processor with tiny sizes: it prints what it promises, and refuses clearly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu

STAND_IN = """#!{python}
import json, sys
shape = json.loads(sys.argv[-1])
assert sys.argv[1:3] == ["-m", "benchmarks.sparsify_on_gpu"], sys.argv
if shape["width"] > 32:
    sys.exit("CUDA error")
print("a warning")
print(json.dumps({{"tokens_per_second": 10.0 * shape["k"], "memory_bytes": 2**30}}))
"""


def test_it_prints_speed_limit_and_memory_of_every_shape(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARSIFY_PYTHON", raising=False)
    assert gpu.main(["--device", "cpu", "--small"]) == 0
    told = capsys.readouterr().out
    for words in ("32, 256 features, k 8", "64, 512 features", "TFLOP/s in bfloat16", "% of that", "GiB"):
        assert words in told
    assert "sparsify" not in told


def test_a_peer_is_put_beside_it_and_may_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tmp_path / "python"
    peer.write_text(STAND_IN.format(python=sys.executable))
    peer.chmod(0o755)
    monkeypatch.setenv("SPARSIFY_PYTHON", str(peer))
    assert gpu.main(["--device", "cpu", "--small"]) == 0
    told = capsys.readouterr().out
    assert "80 tokens/s, Latent Lens / sparsify" in told
    assert "sparsify failed: CUDA error" in told


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert capsys.readouterr().err == f"{gpu.NO_GPU}\n"
