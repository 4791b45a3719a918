"""The feature page in a browser: parts that load when they are seen, documents in place, a text to test it on."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visits import PHONE, Visit, Visitor
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PARTS = {
    "strata": ".stratum-head",
    "near-misses": ".example, p.muted",
    "co-firing": ".table, p.muted",
    "window": ".window-places",
}
ANSWER = 60_000  # milliseconds: the first text loads the model


@pytest.fixture(scope="session")
def address(workbench: Workbench, finished: dict[str, Any]) -> str:
    """The page of the feature that fires most often."""
    parameters = {"experiment": finished["id"], "limit": 1}
    (feature,) = workbench.api.get("/api/features", params=parameters).json()["items"]
    return f"/experiments/{finished['id']}/features/{feature['index']}/"


def _look_at_every_part(page: Page) -> None:
    for part, content in PARTS.items():
        # Not Playwright's own scrolling, which fails when the part that comes into view is replaced by its content.
        page.locator(f"#{part}").evaluate("part => part.scrollIntoView()")
        expect(page.locator(f"#{part}").locator(content).first).to_be_visible()


def _open_a_document(page: Page) -> None:
    page.locator(".example-open").first.click()
    expect(page.locator(".document-place .token--selected")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [{}, {"viewport": PHONE, "is_mobile": True, "has_touch": True}])
def test_the_whole_page_is_for_everybody(visitor: Visitor, address: str, scheme: str, screen: dict[str, Any]) -> None:
    visit = visitor.open(color_scheme=scheme, **screen)
    visit.page.goto(address)
    _open_a_document(visit.page)
    _look_at_every_part(visit.page)
    _expect_good(visit)


@pytest.mark.parametrize("part", ["strata/", "near-misses/", "co-firing/?within=2", "window/", "document/?position=9"])
def test_every_part_is_a_page_without_javascript(visitor: Visitor, address: str, part: str) -> None:
    plain = visitor.open(java_script_enabled=False).page
    plain.goto(address)
    plain.locator(f'a[href^="{address}{part.partition("?")[0]}"]').first.click()
    expect(plain.locator("h1")).to_contain_text("Evidence for")
    visit = visitor.open(viewport=PHONE)
    visit.page.goto(address + part)
    _expect_good(visit)


def test_other_strata_are_drawn_in_place(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    page.goto(address)
    page.locator("#strata").scroll_into_view_if_needed()
    page.locator("#strata").get_by_role("link", name="Draw others").click()
    expect(page.locator("#strata")).to_contain_text("drawn with seed 1")


def test_a_text_is_tested_on_the_page(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    page.goto(address)
    page.locator("#test-text").fill("Tom saw a red ball.")
    page.get_by_role("button", name="Read it").click()
    expect(page.locator("#feature-test .tokens")).to_contain_text("ball", timeout=ANSWER)
    page.get_by_role("link", name="All features on this text").click()
    expect(page.locator(".tabs [aria-current]")).to_contain_text("Feature #")


def _expect_good(visit: Visit) -> None:
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()
