"""Sweeps, the disk cache and previews of tokens: accessible in light and dark, on a desk and on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import PHONE, Visit, Visitor
from tests.browser.workbench import MODEL, Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SCREENS: dict[str, dict[str, Any]] = {"desk": {}, "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True}}
PAGES = ["sweeps", "new sweep", "sweep", "cache"]


@pytest.fixture(scope="session")
def pages(workbench: Workbench) -> dict[str, str]:
    """The address of each page, with something on it to look at."""
    sweep = workbench.sweep(k=[2, 4], architecture=["topk", "relu"], name="Compared", cache_hidden_states=True)
    return {
        "sweeps": "/sweeps/",
        "new sweep": "/sweeps/new/",
        "sweep": sweep["url"],
        "cache": "/experiments/cache/",
    }


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nobody_is_left_out(visitor: Visitor, pages: dict[str, str], name: str, scheme: str, screen: str) -> None:
    visit = visitor.open(color_scheme=scheme, **SCREENS[screen])
    visit.page.goto(pages[name])
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_preview_of_tokens_appears_in_its_place(
    visitor: Visitor, workbench: Workbench, scheme: str, screen: str
) -> None:
    visit = visitor.open(color_scheme=scheme, **SCREENS[screen])
    _preview(visit, workbench)
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()


def _preview(visit: Visit, workbench: Workbench) -> None:
    page = visit.page
    page.goto(f"/experiments/new/?model={MODEL}&corpus={workbench.corpus()['id']}&context_length=32")
    page.get_by_role("button", name="Preview tokens").click()
    expect(page.locator(".token-window")).to_have_count(3)


def test_what_was_typed_for_an_architecture_is_there_when_it_is_chosen_again(visitor: Visitor) -> None:
    page = visitor.open().page
    page.goto("/experiments/new/?architecture=relu")
    page.get_by_label("Sparsity coefficient", exact=True).fill("0.07")
    page.get_by_text("TopK", exact=True).click()
    expect(page.get_by_label("Sparsity coefficient", exact=True)).to_have_count(0)
    page.get_by_text("ReLU + L1", exact=True).click()
    expect(page.get_by_label("Sparsity coefficient", exact=True)).to_have_value("0.07")


def test_a_sweep_can_be_followed_on_its_page(visitor: Visitor, pages: dict[str, str]) -> None:
    page = visitor.open().page
    page.goto("/sweeps/")
    page.get_by_role("link", name="Compared").first.click()
    expect(page.locator("#sweep-results [role=status]")).to_contain_text("3 of 3 finished")
    assert page.locator(".experiments-table tbody tr").count() == 3  # ReLU has no k
    with page.expect_download() as download:
        page.get_by_role("link", name="Numbers as CSV").click()
    assert download.value.path().read_text("utf-8").startswith("experiment,name,status")
