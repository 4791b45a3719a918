"""An SAE of another tool, from the page of imports to the experiment it becomes: by mouse and by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visits import PHONE, Visit, Visitor
from tests.browser.workbench import MODEL, Workbench
from tests.engine.tiny_models import WIDTH
from tests.experiments.foreign_sae import FEATURES, write_saelens

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ADDRESS = "/experiments/import/"
IMPORTING = 180_000  # milliseconds
SCREENS: dict[str, dict[str, Any]] = {"desk": {}, "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True}}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return write_saelens(tmp_path / "theirs", WIDTH)


def _choose_files(page: Page, folder: Path) -> None:
    page.get_by_label("Config", exact=True).set_input_files(folder / "cfg.json")
    page.get_by_label("Weights", exact=True).set_input_files(folder / "sae_weights.safetensors")


def _expect_imported(visit: Visit, name: str) -> None:
    """The page follows the import by itself, up to what was measured."""
    page = visit.page
    expect(page).to_have_url(re.compile(r"/experiments/\d+/$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.locator("#quality-title")).to_be_visible(timeout=IMPORTING)
    expect(page.locator("#main")).to_contain_text("imported from SAELens")
    visit.expect_accessible()
    page.locator("#experiment-header").get_by_role("link", name="Features").click()
    expect(page.locator(".feature-card").first).to_be_visible()


def test_by_mouse_from_the_list_to_its_features(visitor: Visitor, workbench: Workbench, theirs: Path) -> None:
    corpus = str(workbench.corpus()["id"])
    visit = visitor.open()
    page = visit.page
    page.goto("/experiments/")
    page.get_by_role("link", name="Import an SAE").first.click()
    _choose_files(page, theirs)
    page.get_by_role("button", name="Look at the files").click()
    found = page.locator("#import-found")
    expect(found).to_contain_text("SAELens")
    expect(found).to_contain_text(str(FEATURES))
    visit.expect_accessible()
    page.get_by_label("Language model", exact=True).fill(MODEL)
    page.get_by_label("Corpus", exact=True).select_option(corpus)
    page.get_by_label("Name", exact=True).fill("Theirs by mouse")
    page.get_by_role("button", name="Import", exact=True).click()
    _expect_imported(visit, "Theirs by mouse")


def test_by_keyboard_alone(visitor: Visitor, workbench: Workbench, theirs: Path) -> None:
    corpus = workbench.corpus()
    visit = visitor.open()
    page = visit.page
    page.goto(ADDRESS)
    _choose_files(page, theirs)  # the dialog that asks for files is the browser's own
    page.get_by_label("Weights", exact=True).focus()
    typed = {"model": MODEL, "corpus": corpus["name"], "name": "Theirs by keyboard"}
    for name in ("look", "model", "revision", "layer", "site", "output_site", "corpus"):
        _tab_to(page, name)
        page.keyboard.type(typed.get(name, ""))
    for name in ("context_length", "evaluation_tokens", "harvest_tokens", "name"):
        _tab_to(page, name)
        page.keyboard.type(typed.get(name, ""))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    _expect_imported(visit, "Theirs by keyboard")


def _tab_to(page: Page, name: str) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(f"[name={name}]")).to_be_focused()


def test_a_refused_file_costs_nothing_that_was_typed(visitor: Visitor, workbench: Workbench, theirs: Path) -> None:
    corpus = str(workbench.corpus()["id"])
    weights = theirs / "sae_weights.safetensors"
    pickle = theirs / "pickled.safetensors"
    pickle.write_bytes(b"\x80\x04 a pickle")
    visit = visitor.open()
    page = visit.page
    page.goto(ADDRESS)
    page.get_by_label("Config", exact=True).set_input_files(theirs / "cfg.json")
    page.get_by_label("Weights", exact=True).set_input_files(pickle)
    page.get_by_label("Language model", exact=True).fill(MODEL)
    page.get_by_label("Corpus", exact=True).select_option(corpus)
    page.get_by_label("Name", exact=True).fill("Kept")
    page.get_by_role("button", name="Import", exact=True).click()
    refusals = page.locator(".field-error")
    expect(refusals).to_have_count(1)
    expect(refusals).to_contain_text("not a safetensors file")
    assert "Traceback" not in page.content()
    visit.expect_accessible()
    expect(page.get_by_label("Language model", exact=True)).to_have_value(MODEL)
    expect(page.get_by_label("Corpus", exact=True)).to_have_value(corpus)
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")
    page.get_by_label("Weights", exact=True).set_input_files(weights)  # the config is kept from before
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page).to_have_url(re.compile(r"/experiments/\d+/$"))


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_left_out(visitor: Visitor, theirs: Path, scheme: str, screen: str) -> None:
    visit = visitor.open(color_scheme=scheme, **SCREENS[screen])
    page = visit.page
    page.goto(ADDRESS)
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()
    _choose_files(page, theirs)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".field-error")).to_contain_text("choose the model")
    visit.expect_accessible()
    visit.expect_no_sideways_scroll()
