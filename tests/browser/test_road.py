"""The whole road in a real browser: from the Layer Explorer to a label, and through the lens back to the feature."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visits import Visitor, follow
from tests.browser.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
TRAINING = 240_000  # milliseconds


def _choose_everything(page: Page, workbench: Workbench, name: str) -> None:
    page.get_by_label("Language model", exact=True).select_option("local:tiny")
    if page.get_by_role("button", name="Show the layers").is_visible():  # without JavaScript
        page.get_by_role("button", name="Show the layers").click()
    page.get_by_text("Layer 1").click()
    page.get_by_label("Corpus", exact=True).select_option("upload")
    page.locator("input[type=file]").set_input_files(workbench.corpus_file)
    page.get_by_label("Features", exact=True).fill("64")
    page.get_by_label("k", exact=True).fill("4")
    page.get_by_label("Training tokens", exact=True).fill("16384")
    page.get_by_label("Name", exact=True).fill(name)


def test_from_layer_explorer_to_label_and_through_the_lens(visitor: Visitor, workbench: Workbench) -> None:
    page = visitor.open().page

    page.goto("/")
    follow(page.get_by_role("link", name="New experiment").first)
    _choose_everything(page, workbench, "The road")
    expect(page.locator("#layer-stack")).to_contain_text("3 layers")
    page.get_by_role("button", name="Start the experiment").click()

    # The page follows the experiment by itself: the mark would not survive a reload.
    expect(page).to_have_url(re.compile(r"/experiments/\d+/$"))
    experiment = page.url
    page.evaluate("window.isTheSamePage = true")
    expect(page.locator("#quality-title")).to_be_visible(timeout=TRAINING)
    assert page.evaluate("window.isTheSamePage")
    expect(page.locator("#experiment-quality")).to_contain_text("Explained variance")
    expect(page.locator(".chart canvas").first).to_be_visible()

    follow(page.locator("#experiment-header").get_by_role("link", name="Features"))
    expect(page.locator(".feature-card").first).to_be_visible()
    page.locator("[name=ordering]").select_option("-max_activation")
    expect(page).to_have_url(re.compile("ordering=-max_activation"))
    follow(page.locator(".feature-card h2 a").first)

    expect(page).to_have_url(re.compile(r"/features/\d+/$"))
    feature = page.url
    expect(page.locator(".example").first).to_be_visible()
    page.evaluate("window.isTheSamePage = true")
    page.keyboard.press("l")
    page.locator("#new-label").get_by_label("Label", exact=True).fill("where <b>stories</b> turn")
    page.locator("#new-label").get_by_label("Tags").fill("stories, test")
    page.locator("#new-label").get_by_role("button", name="Add label").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("where <b>stories</b> turn")
    assert page.evaluate("window.isTheSamePage")

    # What the feature fires on is known from its page, so the same words find it in the lens.
    tokens = page.locator(".example").first.locator(".token").all_inner_texts()
    words = "".join(tokens).replace("<|endoftext|>", "").replace("·", " ")
    page.goto(experiment)
    follow(page.get_by_role("link", name="Lens", exact=True).last)
    page.get_by_label("Prompt").fill(words)
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator(".lens-tokens a.token").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"/lens/[0-9a-f-]{36}/$"))
    page.get_by_role("link", name="where <b>stories</b> turn").first.click()
    expect(page).to_have_url(feature)


def test_the_same_road_without_javascript(visitor: Visitor, workbench: Workbench) -> None:
    page = visitor.open(java_script_enabled=False).page

    page.goto("/experiments/new/")
    _choose_everything(page, workbench, "The road without JavaScript")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page).to_have_url(re.compile(r"/experiments/\d+/$"))

    # The page reloads itself while something happens.
    expect(page.locator("#quality-title")).to_be_visible(timeout=TRAINING)
    page.locator("#experiment-header").get_by_role("link", name="Features").click()
    page.locator("[name=ordering]").select_option("index")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("ordering=index"))
    page.locator(".feature-card h2 a").first.click()

    feature = page.url
    page.locator("#new-label summary").click()
    page.locator("#new-label").get_by_label("Label", exact=True).fill("plain")
    page.locator("#new-label").get_by_role("button", name="Add label").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("plain")
    expect(page).to_have_url(feature)

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Lens").click()
    page.get_by_label("Prompt").fill("Tom saw a red ball.")
    page.get_by_role("button", name="Analyse").click()
    # It waits two seconds for the answer; after that it looks again by itself.
    expect(page.locator(".lens-tokens a.token").first).to_be_visible(timeout=60_000)
    page.locator(".lens-tokens a.token").nth(2).click()
    expect(page).to_have_url(re.compile(r"\?token=3$"))
    expect(page.locator(".token--selected")).to_have_attribute("id", "token-3")
    page.locator(".lens-feature").first.click()
    expect(page).to_have_url(re.compile(r"/features/\d+/$"))
