"""One installation and one signed-in session for all browser tests of a run, and a browser for each file of them.

The browser does not outlive its file: playwright keeps an event loop running in this thread, and Django's ORM refuses
to work beside one, so that whatever tests came next in the same process would fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.visits import QUIET, Visitor, signed_in_state
from tests.browser.workbench import Workbench, running_workbench

expect.set_options(timeout=30_000)  # a machine that runs the whole suite is slow; a right answer ends the wait


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def workbench(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """Started only where there is a browser to look at it."""
    with running_workbench(tmp_path_factory.mktemp("workbench")) as running:
        yield running


@pytest.fixture(scope="session")
def session_state(workbench: Workbench) -> Any:
    return signed_in_state(workbench.sign_in_link)


@pytest.fixture
def visitor(browser: Browser, workbench: Workbench, session_state: Any) -> Iterator[Visitor]:
    """Opens pages; the test fails at its end when one of them reported an error."""
    visitor = Visitor(browser, workbench.address, session_state)
    yield visitor
    visitor.close()


@pytest.fixture(scope="session")
def finished(workbench: Workbench) -> dict[str, Any]:
    """A finished experiment, for the pages that show what came out of one."""
    return workbench.experiment(name="For looking at")
