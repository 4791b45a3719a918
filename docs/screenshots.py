"""Make the screenshots of the documentation: `make docs`.

Starts the real thing on a free port with its own data folder, waits until the demo experiment has finished, and
photographs every page in light and dark, at desktop and phone width. `--data-dir` reuses an earlier folder, so that a
second round takes seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PROMPT = "When Anna woke up on Sunday morning, the garden was full of snow and she felt happy."
DEMO_SECONDS = 600


@contextlib.contextmanager
def workbench(data_dir: Path) -> Iterator[str]:
    """Run `manage.py up` and give its one-time sign-in link."""
    environment = os.environ | {"DATA_DIR": str(data_dir), "PORT": "0", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        link = next(found[0] for line in process.stdout if (found := re.findall(r"http://\S+/sign-in/\S+", line)))
        yield link
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def wait_for_demo(page: Page) -> str:
    """Open the demo experiment and wait for its quality card; give its path."""
    page.goto("/experiments/")
    page.locator("a[href^='/experiments/']", has_text=re.compile("demo", re.IGNORECASE)).first.click()
    page.wait_for_selector("#quality-title", timeout=DEMO_SECONDS * 1000)
    return re.sub(r"^https?://[^/]+", "", page.url)


def strongest_feature(page: Page, experiment: str) -> str:
    """The path of the most frequent feature that stands for one planted concept: a page worth a picture."""
    page.goto(f"{experiment}features/?concept=weekday&ordering=-density")
    link = page.locator(".feature-card h2 a").first
    return str(link.get_attribute("href"))


def read_prompt(page: Page, experiment: str) -> str:
    page.goto(f"/lens/?experiment={experiment.strip('/').split('/')[-1]}")
    page.fill("textarea[name=text], input[name=text]", PROMPT)
    page.get_by_role("button", name=re.compile("analyse", re.IGNORECASE)).click()
    page.wait_for_selector("a.token", timeout=DEMO_SECONDS * 1000)  # the first prompt loads the model
    page.locator("a.token").nth(6).click()
    page.wait_for_selector(".token--selected")
    return re.sub(r"^https?://[^/]+", "", page.url)


def draw_map(page: Page) -> None:
    """Wait for the map, which the first visit asks a worker for, and colour it by what is known of the demo."""
    page.wait_for_selector("#map-canvas[data-draw-ms]", timeout=DEMO_SECONDS * 1000)
    page.locator("#map-colour").select_option("concept")


def photograph(browser: Browser, state: str, base: str, pages: dict[str, str], folder: Path) -> None:
    for width, viewport in (("", DESKTOP), ("-phone", PHONE)):
        for scheme in ("light", "dark"):
            context = browser.new_context(storage_state=state, base_url=base, viewport=viewport, color_scheme=scheme)
            page = context.new_page()
            for name, path in pages.items():
                page.goto(path, wait_until="load")
                if name == "map":
                    draw_map(page)
                page.wait_for_timeout(400)  # curves draw in one animation frame after the data has come
                page.screenshot(path=folder / f"{name}{width}-{scheme}.png")
            context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    parser.add_argument("--feature", help="path of the feature page to photograph")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data_dir = options.data_dir or Path(tempfile.mkdtemp(prefix="latent-lens-"))
    with workbench(data_dir) as link, sync_playwright() as playwright:
        base = re.match(r"https?://[^/]+", link)[0]  # type: ignore[index]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(base_url=base, viewport=DESKTOP)
        page = context.new_page()
        page.goto(link)
        experiment = wait_for_demo(page)
        pages = {
            "experiments": "/experiments/",
            "new": "/experiments/new/",
            "experiment": experiment,
            "gallery": f"{experiment}features/?ordering=-density",
            "feature": options.feature or strongest_feature(page, experiment),
            "map": f"{experiment}map/",
            "desk": f"{experiment}labelling/",
            "lens": read_prompt(page, experiment),
        }
        state = str(data_dir / "browser-state.json")
        context.storage_state(path=state)
        photograph(browser, state, base, pages, options.out)
        browser.close()


if __name__ == "__main__":
    main()
