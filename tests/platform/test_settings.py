"""Reading the environment: every mistake becomes a problem with a hint, and the default takes its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from latentlens.lib.environment import EnvironmentReader, SettingProblem

Read = Callable[..., EnvironmentReader]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    def reader(file: str | None = None, **variables: str) -> EnvironmentReader:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / ".env"
        if file is not None:
            path.write_bytes(file.encode("utf-8", "surrogateescape"))
        return EnvironmentReader(path, base_dir=tmp_path)

    return reader


def test_the_environment_wins_over_the_file(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LL_FROM_FILE", raising=False)
    reader = read("LL_BOTH=file\nexport LL_FROM_FILE='quoted'\n\n# a comment\n", LL_BOTH="environment")
    assert reader.text("LL_BOTH", "default") == "environment"
    assert reader.text("LL_FROM_FILE", "default") == "quoted"
    assert not reader.problems
    monkeypatch.delenv("LL_FROM_FILE")


def test_an_empty_variable_is_not_set(read: Read) -> None:
    assert read(LL_X="").integer("LL_X", default=7, minimum=0, maximum=9) == 7


@pytest.mark.parametrize("given", ["abc", "1.5", "-1", "10", "1e3", "٣", "9" * 40])
def test_integers_out_of_range_are_refused(read: Read, given: str) -> None:
    reader = read(LL_X=given)
    assert reader.integer("LL_X", default=7, minimum=0, maximum=9) == 7
    assert reader.problems == [SettingProblem("LL_X", f"{given!r} is not a whole number in range", "Use 0 to 9.")]


@pytest.mark.parametrize("given", ["nan", "inf", "-inf", "1e999", "-0.1", "two"])
def test_numbers_must_be_finite_and_in_range(read: Read, given: str) -> None:
    reader = read(LL_X=given)
    value = reader.number("LL_X", default=0.5, minimum=0.0, maximum=1.0)
    assert value == 0.5
    assert math.isfinite(value)
    assert [problem.name for problem in reader.problems] == ["LL_X"]


@pytest.mark.parametrize(("given", "meant"), [("TRUE", True), ("1", True), ("on", True), ("no", False), ("0", False)])
def test_booleans(read: Read, given: str, meant: bool) -> None:
    assert read(LL_X=given).boolean("LL_X", default=not meant) is meant


def test_a_boolean_that_is_neither(read: Read) -> None:
    reader = read(LL_X="perhaps")
    assert reader.boolean("LL_X", default=False) is False
    assert reader.problems[0].hint == "Use true or false."


def test_a_choice_ignores_case(read: Read) -> None:
    assert read(LL_X="info").choice("LL_X", default="ERROR", choices=("INFO", "ERROR")) == "INFO"


def test_a_relative_path_begins_at_the_repository(read: Read, tmp_path: Path) -> None:
    assert read(LL_X="some/where").path("LL_X", default=Path("/unused")) == tmp_path / "some" / "where"
    assert read(LL_Y="/else").path("LL_Y", default=Path("/unused")) == Path("/else")


@pytest.mark.parametrize("given", ["example.org", "ftp://example.org", "https://example.org/path", "https://"])
def test_what_is_not_an_origin(read: Read, given: str) -> None:
    reader = read(LL_X=f"https://good.example, {given}")
    assert reader.origins("LL_X", default=[]) == []
    assert given in reader.problems[0].message


def test_databases(read: Read, tmp_path: Path) -> None:
    own = tmp_path / "own file #1?.sqlite3"
    assert read().database("LL_NONE", own)["NAME"] == str(own)
    assert read(LL_A="sqlite:////there/it is.sqlite3").database("LL_A", own)["NAME"] == "/there/it is.sqlite3"
    postgres = read(LL_B="postgres://u:p%40ss@host:5433/name").database("LL_B", own)
    assert (postgres["HOST"], postgres["PORT"], postgres["PASSWORD"]) == ("host", 5433, "p@ss")


@pytest.mark.parametrize("given", ["mysql://u:s3cret@host/name", "nonsense", "postgres//s3cret"])
def test_a_database_we_cannot_use_is_refused_without_its_password(read: Read, tmp_path: Path, given: str) -> None:
    reader = read(LL_X=given)
    assert reader.database("LL_X", tmp_path / "own")["NAME"] == str(tmp_path / "own")
    assert "s3cret" not in str(reader.problems[0])


def test_redis(read: Read) -> None:
    assert read(LL_X="rediss://host:6379/2").redis_url("LL_X") == "rediss://host:6379/2"
    reader = read(LL_Y="http://host")
    assert reader.redis_url("LL_Y") == ""
    assert len(reader.problems) == 1


def test_a_broken_line_is_named_by_its_number_and_not_repeated(read: Read) -> None:
    reader = read("LL_A=1\nAPI_KEY s3cret\n")
    assert reader.problems == [
        SettingProblem(".env", "line 2 is not NAME=value", "Write NAME=value, or start it with #.")
    ]


def test_a_file_that_is_not_text(read: Read) -> None:
    reader = read("\udcff\udcfe")
    assert reader.problems[0].message == "the file cannot be read as text"


def test_a_secret_is_made_once(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "key"
    first = read().secret("LL_NONE", file, prefix="ll-")
    assert first.startswith("ll-")
    assert len(first) > 40
    assert read().secret("LL_NONE", file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert read(LL_GIVEN="mine").secret("LL_GIVEN", file) == "mine"


def test_a_folder_that_cannot_hold_secrets(read: Read, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    reader = read()
    assert len(reader.secret("LL_NONE", tmp_path / "file" / "key")) > 20
    assert reader.problems[0].name == "DATA_DIR"


def test_problems_become_numbered_checks(settings: Any) -> None:
    settings.SETTING_PROBLEMS = [SettingProblem("PORT", "'x' is not a whole number in range", "Use 0 to 65535.")]
    found = [check for check in run_checks() if check.id == "latentlens.E001"]
    assert [check.msg for check in found] == ["PORT: 'x' is not a whole number in range."]
    assert found[0].hint == "Use 0 to 65535."
