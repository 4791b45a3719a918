"""The profile names every part of an experiment, from the request to the first page."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from benchmarks import earlier, growth, stage_profile
from benchmarks.growth import DOUBLED, Size
from benchmarks.parts_of_an_experiment import CLICK, FIRST_PAGE, ORDER, REST, RULES
from benchmarks.profiled import BUILTIN, Case
from benchmarks.sampling import Rule, Sampler
from tests.architecture.repository import ROOT

TINY = Case(tokens=1_024, n_features=64, evaluation_tokens=512, splice_tokens=256, harvest_tokens=512)


def test_the_modules_that_parts_are_known_by_exist() -> None:
    ours = [file for rule in RULES for file in rule.files if "/" in file and not file.startswith("db/")]
    known = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/*.py") if ".venv" not in path.parts]
    assert [file for file in ours if not any(file in path for path in known)] == []


def test_the_first_rule_that_fits_names_the_part() -> None:
    inner = Rule("forward of the evaluation", ("model.py", "evaluation.py"), ("forward",))
    outer = Rule("evaluation", ("evaluation.py",))
    stack = [("lib/model.py", "forward"), ("engine/evaluation.py", "run")]
    assert inner.fits(stack)
    assert outer.fits(stack)
    assert not inner.fits(stack[1:])
    assert not inner.fits([("lib/model.py", "load"), *stack[1:]])


def test_the_sampler_accounts_for_all_of_the_time() -> None:
    here = Path(__file__).name
    started = time.perf_counter()
    with Sampler([Rule("working", (here,), ("_work",))], REST) as sampler:
        _work(until=time.perf_counter() + 0.3)
    passed = time.perf_counter() - started
    assert 0 < sampler.seconds["working"] <= passed
    assert sum(sampler.seconds.values()) <= passed


def _work(until: float) -> None:
    while time.perf_counter() < until:
        pass


@pytest.mark.processes
def test_an_experiment_is_followed_from_click_to_catalogue() -> None:
    found = stage_profile.profile_of(TINY)
    assert {CLICK, FIRST_PAGE} < found["seconds"].keys()
    assert found["seconds"].keys() <= set(ORDER)
    assert sum(found["seconds"].values()) == pytest.approx(found["total"], rel=0.1)
    assert found["floors"].keys() < set(ORDER)
    text = stage_profile.table(found)
    assert "| training: steps |" in text
    assert "from click to catalogue" in text
    was = {"commit": "1a2b3c4", "total": 987.65, "seconds": {"training: steps": 765.43}}
    text = stage_profile.table(found | {"before": was})
    assert "| training: steps | 765.43 |" in text
    assert "(987.6 s on 1a2b3c4)" in text


def test_an_earlier_commit_is_run_by_the_benchmarks_of_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, text in enumerate(("old", "new")):
        _commit(tmp_path, text)
        if number == 0:
            first = _git(tmp_path, "rev-parse", "--short", "HEAD")
    monkeypatch.setattr(earlier, "ROOT", tmp_path)
    monkeypatch.setattr(earlier, "KEPT", tmp_path / ".bench")
    with earlier.checkout_of(first) as folder:
        assert (folder / "code.py").read_text() == "old"
        assert (folder / "benchmarks" / "ruler.py").read_text() == "new"
    assert not folder.exists()
    with pytest.raises(SystemExit, match="nothing-of-this-name"), earlier.checkout_of("nothing-of-this-name"):
        raise AssertionError("there is no such commit")


def _commit(folder: Path, text: str) -> None:
    (folder / "benchmarks").mkdir(exist_ok=True)
    for name in ("code.py", "benchmarks/ruler.py"):
        (folder / name).write_text(text)
    _git(folder, "init", "--quiet")
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", text)


def _git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def test_the_built_in_case_is_the_demo_experiment() -> None:
    from experiments.services.demo import DEMO

    wanted = {name: value for name, value in DEMO.settings.items() if name not in ("seed", "site")}
    assert wanted.items() <= BUILTIN.settings.items()


def test_the_table_of_growth_has_a_row_for_every_doubling(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Size] = []

    def trained(size: Size) -> dict[str, object]:
        measured.append(size)
        return {"total": 1.0 * len(measured), "seconds": {"capture": 0.5, "training": 0.5}, "rss_mb": 100.0}

    monkeypatch.setattr(growth, "_trained", trained)
    text = growth.measured(1, lambda _: None)
    assert [line.split(" | ")[0] for line in text.splitlines()[4:]] == [f"| {name}" for name in ("base", *DOUBLED)]
    assert "x2.00" in text
