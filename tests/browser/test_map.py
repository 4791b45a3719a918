"""The map by mouse and by keyboard: what is drawn around on it is what the gallery shows."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visits import PHONE, Visit, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def address(finished: dict[str, Any]) -> str:
    return f"/experiments/{finished['id']}/map/"


def drawn(page: Page, address: str) -> Locator:
    """The canvas of a map, made by a worker on the first visit, with its points on it."""
    page.goto(address)
    canvas = page.locator("#map-canvas[data-draw-ms]")
    expect(canvas).to_be_visible()
    return canvas


def features_told(page: Page) -> int:
    return int(page.locator("#map-table [role=status]").inner_text().split()[0])


def test_what_is_drawn_around_is_what_the_gallery_shows(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    box = drawn(page, address).bounding_box()
    assert box
    everything = features_told(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.get_by_role("button", name="Draw around").click()
    page.mouse.move(x - 160, y - 160)
    page.mouse.down()
    for right, down in ((160, -160), (160, 160), (-160, 160), (-160, -140)):
        page.mouse.move(x + right, y + down, steps=8)
    page.mouse.up()
    link = page.get_by_role("link", name="Show the selection in the gallery")
    expect(link).to_be_visible()
    assert "within=pca." in page.url
    selected = features_told(page)
    assert 0 < selected < everything
    link.click()
    expect(page.locator(".gallery-count")).to_contain_text(f"{selected} feature")
    assert "within=pca." in page.url


def test_a_point_opens_its_card_and_a_rectangle_is_selected_by_keyboard(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    canvas = drawn(page, address)
    everything = features_told(page)
    canvas.focus()
    page.keyboard.press("Space")
    expect(page.locator("#map-card")).to_contain_text("Open the feature")
    expect(page.locator("#map-tip")).to_contain_text("#")
    for key in ("+", "+", "+", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#map-table [role=status]")).to_contain_text("in the selection")
    assert features_told(page) < everything
    page.reload()
    expect(page.locator("#map-table [role=status]")).to_contain_text("in the selection")
    page.locator("#map-canvas[data-draw-ms]").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#map-table [role=status]")).not_to_contain_text("in the selection")
    assert "within" not in page.url


def test_the_table_is_ordered_by_distance_by_keyboard(visitor: Visitor, address: str) -> None:
    page = visitor.open().page
    drawn(page, address)
    nearest = page.locator("#map-table tbody tr").nth(2).get_by_role("link", name="Nearest")
    wanted = page.locator("#map-table tbody tr").nth(2).locator("a.number").inner_text()
    nearest.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#map-table tbody tr").first).to_contain_text(wanted)
    expect(page.locator("#map-near")).to_have_value(wanted.removeprefix("#"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{}, {"viewport": PHONE, "is_mobile": True, "has_touch": True}])
def test_the_map_is_accessible_on_every_device(
    visitor: Visitor, address: str, scheme: str, device: dict[str, Any]
) -> None:
    visit: Visit = visitor.open(color_scheme=scheme, **device)
    drawn(visit.page, address)
    visit.page.locator("#map-colour").select_option("label")
    expect(visit.page.locator("#map-legend")).to_contain_text("by a person")
    visit.expect_no_sideways_scroll()
    visit.expect_accessible()
