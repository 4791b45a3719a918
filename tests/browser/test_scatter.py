"""The scatter by mouse: what is dragged across is what the gallery shows; by keyboard its cells are links."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visits import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def address(finished: dict[str, Any]) -> str:
    return f"/experiments/{finished['id']}/features/scatter/"


def drag(page: Page, plot: Locator, across: tuple[float, float], down: tuple[float, float]) -> None:
    """From one corner to the other, both as shares of the plot's ground."""
    box = plot.locator(".scatter-ground").bounding_box()
    assert box
    page.mouse.move(box["x"] + across[0] * box["width"], box["y"] + down[0] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + across[1] * box["width"], box["y"] + down[1] * box["height"], steps=8)
    page.mouse.up()


def features_shown(page: Page) -> int:
    return int(page.locator(".gallery-count").inner_text().split()[0].replace(",", ""))


def test_what_is_dragged_across_is_what_the_gallery_shows(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    page.goto(address)
    live = int(page.locator("#scatter .panel-note").inner_text().split()[0].replace(",", ""))
    drag(page, page.locator(".scatter-plot"), (0.0, 1.0), (0.0, 1.0))
    page.wait_for_url("**/features/?*min_density=*")
    assert features_shown(page) == live

    page.goto(address)
    drag(page, page.locator(".scatter-plot"), (0.0, 0.5), (0.0, 1.0))
    page.wait_for_url("**/features/?*min_density=*")
    assert features_shown(page) < live


def test_a_cell_is_a_link_to_its_features(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    page.goto(address)
    cell = page.locator(".scatter-plot a").first
    count = int((cell.locator("title").text_content() or "").split()[0].replace(",", ""))
    cell.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/features/?*min_density=*")
    expect(page.locator(".gallery-count")).to_contain_text(str(count))
    assert features_shown(page) == count
