"""How long it takes from a click on Analyse to the heat map, in a real browser on a running installation.

    manage.py up                                     # in one terminal; an experiment must have finished
    python benchmarks/lens_click.py "$(manage.py sign_in_link)" --experiment 1

The first prompt loads the model and is not counted. Target: 300 ms for 30 tokens on the built-in model.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(arguments.link)
        parts = urlsplit(arguments.link)
        page.goto(f"{parts.scheme}://{parts.netloc}/lens/?experiment={arguments.experiment}")
        _click(page, 0)
        page.wait_for_selector(".lens-tokens")
        times = sorted(_click(page, number) for number in range(1, arguments.prompts + 1))
    median = statistics.median(times)
    print(f"click to heat map: median {median:.0f} ms, fastest {times[0]:.0f} ms, slowest {times[-1]:.0f} ms")


def _click(page: Page, number: int) -> float:
    milliseconds, tokens = page.evaluate(CLICK.replace("TEXT", f'"{WORDS}"'), number)
    if tokens:
        print(f"{milliseconds:.0f} ms for {tokens} tokens")
    return float(milliseconds)


if __name__ == "__main__":
    main()
