"""How long it takes from a click on Analyse to the heat map, in a real browser on a running installation.

    manage.py up                                     # in one terminal; an experiment must have finished
    python benchmarks/lens_click.py "$(manage.py sign_in_link)" --experiment 1

The first prompt loads the model and is not counted. Target: 300 ms for 30 tokens on the built-in model.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

WORDS = "When Anna woke up on Sunday morning, the garden was full of snow and she felt happy about day"
# The clock runs in the page, so that driving the browser is not measured: from the click to the frame after the swap.
CLICK = """
(number) => new Promise((shown) => {
  document.getElementById("lens-text").value = `${number} ` + TEXT;
  document.body.addEventListener("htmx:afterSettle", () => requestAnimationFrame(
    () => shown([performance.now() - started, document.querySelectorAll(".lens-tokens a.token").length])
  ), { once: true });
  const started = performance.now();
  document.getElementById("lens-submit").click();
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure click to heat map.")
    parser.add_argument("link", help="a sign-in link of the running installation")
    parser.add_argument("--experiment", type=int, required=True)
    parser.add_argument("--prompts", type=int, default=20)
    arguments = parser.parse_args()
    with signed_in(arguments.link) as page:
        times = sorted(clicks(page, arguments.experiment, arguments.prompts))
    median = statistics.median(times)
    print(f"click to heat map: median {median:.0f} ms, fastest {times[0]:.0f} ms, slowest {times[-1]:.0f} ms")


@contextmanager
def signed_in(link: str) -> Iterator[Page]:
    """A page of a browser that has used the sign-in link."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(link)
        yield page
        browser.close()


def clicks(page: Page, experiment: int, prompts: int) -> list[float]:
    """Milliseconds from click to heat map of so many prompts, after one that is not counted."""
    parts = urlsplit(page.url)
    page.goto(f"{parts.scheme}://{parts.netloc}/lens/?experiment={experiment}")
    _click(page, 0)
    page.wait_for_selector(".lens-tokens")
    return [_click(page, number) for number in range(1, prompts + 1)]


def _click(page: Page, number: int) -> float:
    milliseconds, _tokens = page.evaluate(CLICK.replace("TEXT", f'"{WORDS}"'), number)
    return float(milliseconds)


if __name__ == "__main__":
    main()
