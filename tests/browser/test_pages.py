"""Every page, in light and dark: accessible, no wider than a phone, and silent in the console."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.visits import PHONE, Visitor
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def pages(workbench: Workbench, finished: dict[str, Any]) -> dict[str, str]:
    """The address of each kind of page, with something on it to look at."""
    experiment = finished["id"]
    feature = workbench.api.get("/api/features", params={"experiment": experiment, "limit": 1}).json()["items"][0]
    workbench.api.post(f"/api/features/{feature['id']}/labels", json={"text": "spaces", "tags": ["layout"]})
    request = {"experiment": experiment, "text": "Tom saw a red ball.\nIt was warm.", "wait": 30}
    analysis = workbench.api.post("/api/activations/analyze", json=request).json()
    assert analysis["status"] == "finished"
    return {
        "experiments": "/experiments/",
        "layer explorer": "/experiments/new/",
        "experiment": f"/experiments/{experiment}/",
        "metrics": "/metrics/",
        "metric": "/metrics/explained_variance/",
        "gallery": f"/experiments/{experiment}/features/",
        "gallery as a table": f"/experiments/{experiment}/features/?view=table&min_density=0.01%25",
        "gallery, more like one": f"/experiments/{experiment}/features/?like={feature['index']}",
        "scatter": f"/experiments/{experiment}/features/scatter/",
        "feature": f"/experiments/{experiment}/features/{feature['index']}/",
        "search": f"/experiments/{experiment}/search/",
        "matches": f"/experiments/{experiment}/search/?query=fires({feature['index']})",
        "query error": f'/experiments/{experiment}/search/?query=fires({feature["index"]}) and (token ~ "a"',
        "lens": "/lens/",
        "analysis": analysis["url"],
        "analysis by feature": f"{analysis['url']}?token=2&feature={feature['index']}",
        "delete": f"/experiments/{experiment}/delete/",
    }


PAGES = [
    "experiments",
    "layer explorer",
    "experiment",
    "metrics",
    "metric",
    "gallery",
    "gallery as a table",
    "gallery, more like one",
    "scatter",
    "feature",
    "search",
    "matches",
    "query error",
    "lens",
    "analysis",
    "analysis by feature",
    "delete",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nobody_is_left_out(visitor: Visitor, pages: dict[str, str], name: str, scheme: str) -> None:
    visit = visitor.open(color_scheme=scheme)
    visit.page.goto(pages[name])
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_it_without_scrolling_sideways(visitor: Visitor, pages: dict[str, str], name: str) -> None:
    visit = visitor.open(viewport=PHONE, is_mobile=True, has_touch=True)
    visit.page.goto(pages[name])
    visit.expect_no_sideways_scroll()


def test_the_api_can_be_tried_without_leaving_the_machine(visitor: Visitor) -> None:
    visit = visitor.open()
    foreign: list[str] = []
    visit.page.on("request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else None)
    visit.page.goto("/docs/")
    visit.page.get_by_text("/api/activations/analyze").first.wait_for()
    assert [address for address in foreign if not address.startswith("data:")] == []


def test_a_search_is_its_address_and_goes_on_below(visitor: Visitor, pages: dict[str, str]) -> None:
    visit = visitor.open()
    visit.page.goto(pages["search"])
    visit.page.get_by_label("Query").fill('token ~ "a" or token ~ "e"')
    visit.page.keyboard.press("Enter")
    visit.page.locator(".example").first.wait_for()
    assert "query=token" in visit.page.url
    shown = visit.page.locator(".example").count()
    visit.page.get_by_role("link", name="More matches").click()
    visit.page.locator(".example").nth(shown).wait_for()
