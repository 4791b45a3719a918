"""Labels from a file, with a look at what would happen first, and machine labels."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import PHONE, Visitor, follow
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def labelled(workbench: Workbench) -> dict[str, Any]:
    """An experiment of its own, so that other tests find theirs as they left it."""
    return workbench.experiment(name="For labels in files")


def test_a_file_is_looked_at_and_then_written(visitor: Visitor, workbench: Workbench, labelled: dict[str, Any]) -> None:
    features = workbench.api.get("/api/features", params={"experiment": labelled["id"], "limit": 2}).json()["items"]
    rows = [f"{feature['index']},name {number}\n" for number, feature in enumerate(features)]
    data = "feature,text\n" + "".join(rows) + "99999,nobody\n"
    visit = visitor.open()
    page = visit.page
    page.goto(f"/experiments/{labelled['id']}/labels/")
    visit.expect_accessible()
    page.set_input_files("#import-file", {"name": "labels.csv", "mimeType": "text/csv", "buffer": data.encode()})
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("heading", name="What would happen")).to_be_visible()
    expect(page.locator("#label-import")).to_contain_text("This experiment has no feature 99,999")
    visit.expect_accessible()
    assert not workbench.api.get(f"/api/features/{features[0]['id']}/labels").json()["items"]
    page.get_by_role("button", name="Write them").click()
    expect(page.get_by_role("heading", name="The labels were written")).to_be_visible()
    labels = workbench.api.get(f"/api/features/{features[0]['id']}/labels").json()["items"]
    assert [label["text"] for label in labels] == ["name 0"]


def test_a_machine_labels_and_its_labels_are_reviewed(visitor: Visitor, labelled: dict[str, Any]) -> None:
    visit = visitor.open()
    page = visit.page
    page.goto(f"/experiments/{labelled['id']}/labels/machine/")
    page.get_by_role("button", name="Label the features").click()
    expect(page.locator("#machine-labels .chip--good")).to_have_text("finished")
    visit.expect_accessible()
    follow(page.get_by_role("link", name="Review them"))
    shown = page.locator("#desk")
    first = shown.get_attribute("data-feature")
    page.keyboard.press("a")
    expect(shown).not_to_have_attribute("data-feature", str(first))
    expect(page.get_by_role("status")).to_contain_text("is approved")


@pytest.mark.parametrize("path", ["labels/", "labels/machine/"])
def test_a_phone_shows_it_without_scrolling_sideways(visitor: Visitor, labelled: dict[str, Any], path: str) -> None:
    visit = visitor.open(viewport=PHONE, is_mobile=True, has_touch=True, color_scheme="dark")
    visit.page.goto(f"/experiments/{labelled['id']}/{path}")
    visit.expect_no_sideways_scroll()
    visit.expect_accessible()
