"""How long the labelling desk takes to the next feature, in a real browser on a running installation.

    manage.py up                                     # in one terminal; an experiment must have finished
    python -m benchmarks.desk "$(manage.py sign_in_link)" --experiment 1

From the key `j` to the frame that shows the next feature's evidence. The feature is fetched ahead while a person reads
the one before, so every key waits until it has arrived. Target: 150 ms.
"""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Page

from benchmarks.lens_click import signed_in

FEATURES = 30
# The clock runs in the page, so that driving the browser is not measured.
# It is `evaluate` that runs it: the page's policy lets nothing wait for an expression given as text.
FETCHED = """
() => new Promise((there) => {
  const look = () => (ahead.html === null ? requestAnimationFrame(look) : there());
  look();
})
"""
NEXT = """
() => new Promise((shown) => {
  const feature = () => document.getElementById("desk")?.dataset.feature;
  const before = feature();
  const watch = new MutationObserver(() => {
    if (feature() === before || !document.querySelector("#desk .token")) return;
    watch.disconnect();
    requestAnimationFrame(() => shown(performance.now() - started));
  });
  watch.observe(document.body, { childList: true, subtree: true });
  const started = performance.now();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the desk's key j to the next feature.")
    parser.add_argument("link", help="a sign-in link of the running installation")
    parser.add_argument("--experiment", type=int, required=True)
    arguments = parser.parse_args()
    with signed_in(arguments.link) as page:
        times = next_features(page, arguments.experiment)
    median, high = np.quantile(times, [0.5, 0.95])
    print(f"next feature on the desk: median {median:.0f} ms, 95th percentile {high:.0f} ms of {len(times)}")


def next_features(page: Page, experiment: int, count: int = FEATURES) -> list[float]:
    """Milliseconds from `j` to the next feature, so many times, after one that is not counted."""
    parts = urlsplit(page.url)
    page.goto(f"{parts.scheme}://{parts.netloc}/experiments/{experiment}/labelling/")
    return [_next(page) for _ in range(count + 1)][1:]


def _next(page: Page) -> float:
    page.evaluate(FETCHED)
    return float(page.evaluate(NEXT))


if __name__ == "__main__":
    main()
