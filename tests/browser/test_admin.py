"""The admin for labelling in a browser: everything in it has a name, and tags are words."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import Visitor
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def labelled(workbench: Workbench) -> dict[str, Any]:
    """A feature of an experiment of its own, and a label of it."""
    experiment = workbench.experiment(name="For the admin")
    feature = workbench.api.get("/api/features", params={"experiment": experiment["id"], "limit": 1}).json()["items"][0]
    content = {"text": "from the admin", "tags": ["layout", "names"], "confidence": 0.6}
    label = workbench.api.post(f"/api/features/{feature['id']}/labels", json=content).json()
    return {"experiment": experiment["id"], "feature": feature["id"], "label": label["id"]}


PATHS = (
    "label/",
    "label/{label}/change/",
    "feature/?experiment__id__exact={experiment}",
    "feature/{feature}/change/",
    "tag/",
    "tag/add/",
)


@pytest.mark.parametrize("path", PATHS)
def test_the_admin_is_accessible(visitor: Visitor, labelled: dict[str, Any], path: str) -> None:
    for scheme in ("light", "dark"):
        visit = visitor.open(color_scheme=scheme)
        visit.page.goto(f"/admin/features/{path.format(**labelled)}")
        visit.expect_accessible()


def test_a_label_is_edited_in_the_list(visitor: Visitor, workbench: Workbench, labelled: dict[str, Any]) -> None:
    page = visitor.open().page
    page.goto(f"/admin/features/label/?q=from+the+admin&experiment__id__exact={labelled['experiment']}")
    expect(page.locator(".heat-7").first).to_be_visible()
    page.get_by_role("textbox", name="Text").fill("edited in the list")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".messagelist")).to_contain_text("1 label was changed successfully")
    label = workbench.api.get(f"/api/features/{labelled['feature']}/labels/{labelled['label']}").json()
    assert (label["text"], label["tags"], label["version"]) == ("edited in the list", ["layout", "names"], 2)


def test_tags_are_written_as_words(visitor: Visitor, workbench: Workbench, labelled: dict[str, Any]) -> None:
    page = visitor.open().page
    page.goto(f"/admin/features/label/{labelled['label']}/change/")
    tags = page.get_by_role("textbox", name="Tags")
    expect(tags).to_have_value("layout, names")
    tags.fill("Names,  white space")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    label = workbench.api.get(f"/api/features/{labelled['feature']}/labels/{labelled['label']}").json()
    assert label["tags"] == ["names", "white space"]
