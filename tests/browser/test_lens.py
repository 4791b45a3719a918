"""The lens with JavaScript: keys, refusals beside the prompt, and addresses that one can come back to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visits import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ANSWER = 60_000  # milliseconds: the first prompt loads the model


@pytest.fixture
def lens(visitor: Visitor, finished: dict[str, Any]) -> Page:
    page = visitor.open().page
    page.goto(f"/lens/?experiment={finished['id']}")
    page.evaluate("window.isTheSamePage = true")
    return page


def _read(page: Page, prompt: str) -> None:
    page.locator("#lens-text").fill(prompt)
    page.locator("#lens-text").press("Enter")
    expect(page.locator(".lens-tokens")).to_be_visible(timeout=ANSWER)


def test_enter_reads_and_the_address_follows_what_is_chosen(lens: Page) -> None:
    _read(lens, "Tom saw a red ball.")
    expect(lens).to_have_url(re.compile(r"/lens/[0-9a-f-]{36}/$"))
    lens.locator("#token-2").click()
    expect(lens).to_have_url(re.compile(r"\?token=2$"))
    expect(lens.locator("#token-2")).to_have_attribute("aria-current", "true")
    lens.locator(".lens-side tbody a").first.click()
    expect(lens).to_have_url(re.compile(r"\?token=2&feature=\d+$"))
    expect(lens.locator(".tabs [aria-current]")).to_contain_text("Feature #")
    lens.get_by_role("link", name="Error").click()
    expect(lens).to_have_url(re.compile(r"\?token=2&colour=error$"))
    lens.go_back()
    expect(lens.locator(".tabs [aria-current]")).to_contain_text("Feature #")
    assert lens.evaluate("window.isTheSamePage")

    lens.goto(lens.url)  # as a colleague would open it
    expect(lens.locator("#token-2")).to_have_attribute("aria-current", "true")
    expect(lens.locator("#lens-text")).to_have_value("Tom saw a red ball.")


def test_arrows_walk_from_token_to_token(lens: Page) -> None:
    _read(lens, "Tom saw a red ball.")
    lens.locator("#token-1").focus()
    lens.keyboard.press("ArrowRight")
    expect(lens).to_have_url(re.compile(r"\?token=2$"))
    expect(lens.locator("#token-2")).to_be_focused()
    lens.keyboard.press("ArrowLeft")
    expect(lens).to_have_url(re.compile(r"\?token=1$"))


def test_shift_and_enter_start_a_new_line(lens: Page) -> None:
    lens.locator("#lens-text").fill("one")
    lens.locator("#lens-text").press("Shift+Enter")
    expect(lens.locator("#lens-text")).to_have_value("one\n")
    expect(lens).to_have_url(re.compile(r"/lens/\?experiment="))


def test_a_refusal_stands_beside_the_prompt_until_the_next_one(lens: Page) -> None:
    lens.locator("#lens-text").fill("   ")
    lens.locator("#lens-submit").click()
    expect(lens.locator("#lens-text-error")).to_contain_text("empty")
    _read(lens, "Tom")
    expect(lens.locator("#lens-text-error")).to_have_count(0)
    assert lens.evaluate("window.isTheSamePage")


def test_a_prompt_beyond_the_context_says_how_long_it_is(lens: Page) -> None:
    lens.locator("#lens-text").fill("word " * 100)
    lens.locator("#lens-submit").click()
    expect(lens.get_by_role("alert")).to_contain_text(re.compile(r"\d+ tokens"), timeout=ANSWER)
    expect(lens.locator("#lens-text")).to_have_value("word " * 100)


def test_an_example_becomes_the_prompt(lens: Page) -> None:
    example = lens.locator(".lens-example").first
    text = example.inner_text()
    example.click()
    expect(lens.locator(".lens-tokens")).to_be_visible(timeout=ANSWER)
    expect(lens.locator("#lens-text")).to_have_value(text)


def test_html_is_text(lens: Page) -> None:
    dialogs: list[str] = []
    lens.on("dialog", lambda dialog: dialogs.append(dialog.message))
    _read(lens, "<script>alert(1)</script><img src=x onerror=alert(2)>")
    expect(lens.locator(".lens-tokens")).to_contain_text("<script>alert(1)</script>")
    assert lens.locator(".lens-tokens img").count() == 0
    assert dialogs == []
