"""One JSON line per event, with the experiment's id, and nothing secret."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import Any

import pytest

from latentlens.lib.logs import experiment_log, get_logger, hide_secrets, logging_configuration


@pytest.fixture
def lines() -> Any:
    """A function that returns the events written since the test began."""
    formatter_settings = logging_configuration("INFO")["formatters"]["json"]
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter_settings.pop("()")(**formatter_settings))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("INFO")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_an_event_is_one_line_with_the_experiment(lines: Any) -> None:
    with experiment_log(7):
        get_logger("experiments.runner").info("stage started", stage="training", note="two\nlines")
        logging.getLogger("some.library").warning("told %s", "something")
    get_logger("experiments.runner").info("outside")
    first, second, third = lines()
    assert (first["event"], first["experiment"], first["stage"], first["level"]) == (
        "stage started",
        7,
        "training",
        "info",
    )
    assert (second["event"], second["experiment"]) == ("told something", 7)
    assert "experiment" not in third


def test_a_failure_has_its_trace_in_the_same_line(lines: Any) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("x").exception("task failed")
    (line,) = lines()
    assert "ValueError: broken" in line["exception"]


def test_secrets_are_hidden() -> None:
    event = {
        "event": "connecting",
        "api_key": "ll-abc",
        "password": "p",
        "tokens": 12,
        "url": "redis://:s3cret@host:6379/0",
        "path": "/sign-in/abcdefghijklmnopqrstuvwxyz012345/",
        "exception": "OperationalError: postgres://user:s3cret@host/db",
    }
    hidden = hide_secrets(None, "info", event)
    assert "s3cret" not in str(hidden)
    assert "ll-abc" not in str(hidden)
    assert "abcdefghijklmnopqrstuvwxyz012345" not in str(hidden)
    assert hidden["tokens"] == 12
    assert "host:6379/0" in hidden["url"]
