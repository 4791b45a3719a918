"""The labelling desk by keyboard alone, and two people who edit one label."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import PHONE, Visitor
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def desk(workbench: Workbench) -> str:
    """The address of the desk of an experiment that nobody has labelled."""
    return f"/experiments/{workbench.experiment(name='For the desk')['id']}/labelling/"


def test_features_are_labelled_by_keyboard_alone(visitor: Visitor, desk: str) -> None:
    page = visitor.open().page
    page.goto(desk)
    shown = page.locator("#desk")
    first = shown.get_attribute("data-feature")
    page.keyboard.press("l")
    page.keyboard.type("spaces before names")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.type("layout, names")
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(f"#{first} is “spaces before names”.")
    expect(shown).not_to_have_attribute("data-feature", str(first))
    second = shown.get_attribute("data-feature")
    assert f"feature={second}" in page.url
    page.keyboard.press("s")
    expect(page.get_by_role("status")).to_have_text(f"#{second} was skipped.")
    page.keyboard.press("u")
    expect(page.get_by_role("status")).to_contain_text("Undone")
    expect(shown).to_have_attribute("data-feature", str(first))
    page.keyboard.press("j")
    expect(shown).not_to_have_attribute("data-feature", str(first))
    page.keyboard.press("k")
    expect(shown).not_to_have_attribute("data-feature", "none")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_next_feature_is_there_before_it_is_asked_for(visitor: Visitor, desk: str) -> None:
    page = visitor.open().page
    with page.expect_response(lambda response: "feature=" in response.url):
        page.goto(desk)
    address = page.locator("#desk-next").get_attribute("href")
    first = page.locator("#desk").get_attribute("data-feature")
    page.wait_for_function("ahead.html !== null")
    page.keyboard.press("j")
    expect(page.locator("#desk")).not_to_have_attribute("data-feature", str(first))
    assert page.url.endswith(str(address))
    page.go_back()
    expect(page.locator("#desk")).to_have_attribute("data-feature", str(first))


def test_two_editors_of_one_label_see_each_other(
    visitor: Visitor, workbench: Workbench, finished: dict[str, Any]
) -> None:
    feature = workbench.api.get("/api/features", params={"experiment": finished["id"], "limit": 2}).json()["items"][1]
    label = workbench.api.post(f"/api/features/{feature['id']}/labels", json={"text": "blanks"}).json()
    first, second = visitor.open().page, visitor.open().page
    for page in (first, second):
        page.goto(f"/experiments/{finished['id']}/features/{feature['index']}/")
        page.locator(f"#label-{label['id']} summary").click()
    first.locator(f"#label-{label['id']}-text").fill("blanks at line ends")
    first.locator(f"#label-{label['id']}").get_by_role("button", name="Save").click()
    expect(first.locator("#feature-labels")).to_contain_text("blanks at line ends")
    mine = second.locator(f"#label-{label['id']}-text")
    mine.fill("blanks before names")
    second.locator(f"#label-{label['id']}").get_by_role("button", name="Save").click()
    expect(second.locator("#feature-labels")).to_contain_text("changed this label to “blanks at line ends”")
    expect(mine).to_have_value("blanks before names")
    second.locator(f"#label-{label['id']}").get_by_role("button", name="Save").click()
    expect(second.locator("#feature-title")).to_contain_text("blanks before names")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_desk_is_accessible(visitor: Visitor, desk: str, scheme: str) -> None:
    visit = visitor.open(color_scheme=scheme)
    visit.page.goto(desk)
    visit.expect_accessible()
    visit.page.keyboard.press("?")
    visit.expect_accessible()


def test_a_phone_shows_the_desk_without_scrolling_sideways(visitor: Visitor, desk: str) -> None:
    visit = visitor.open(viewport=PHONE, is_mobile=True, has_touch=True)
    visit.page.goto(desk)
    visit.expect_no_sideways_scroll()
