"""A visit: a page in a real browser that writes down everything that goes wrong on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 390, "height": 844}
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (violation) => {
  console.error(`CSP: ${violation.violatedDirective} ${violation.blockedURI} ${violation.sample}`);
});
"""
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@dataclass
class Visit:
    """`page` and what went wrong on it so far: console errors, uncaught errors, CSP reports, failed requests."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def expect_no_sideways_scroll(self) -> None:
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{self.page.url} is {wider} px wider than the window"

    def expect_accessible(self) -> None:
        """No finding of axe that it calls serious or critical."""
        found = Axe().run(self.page, options=AXE_RULES)["violations"]
        serious = [
            f"{finding['id']} ({len(finding['nodes'])} times): {node['html']} {node['failureSummary']}"
            for finding in found
            if finding["impact"] in {"serious", "critical"}
            for node in finding["nodes"][:3]
        ]
        assert not serious, f"{self.page.url}\n" + "\n".join(serious)


class Visitor:
    """Opens pages for a signed-in person; `open` takes playwright's options of a browser context."""

    def __init__(self, browser: Browser, address: str, state: Any) -> None:
        self._browser, self._address, self._state = browser, address, state
        self.visits: list[Visit] = []

    def open(self, **options: Any) -> Visit:
        context = self._browser.new_context(base_url=self._address, storage_state=self._state, **options)
        context.set_default_timeout(30_000)
        context.add_init_script(REPORT_VIOLATIONS)
        visit = Visit(context.new_page())
        watch(visit)
        self.visits.append(visit)
        return visit

    def close(self) -> None:
        """Ends the visits; fails when something went wrong on one of them."""
        problems = [problem for visit in self.visits for problem in visit.problems]
        for visit in self.visits:
            visit.page.context.close()
        assert not problems, "\n".join(problems)


def follow(link: Locator) -> None:
    """To another page, until its scripts have run: a key that is pressed before that is pressed in vain."""
    with link.page.expect_event("load"):
        link.click()


def watch(visit: Visit) -> None:
    """Writes down what the browser and the server report. A 422 is a form that was refused, which some tests want."""

    def on_console(message: ConsoleMessage) -> None:
        told_by_response = message.text.startswith("Failed to load resource")
        if message.type in {"error", "warning"} and not told_by_response:
            visit.problems.append(f"console: {message.text} ({message.location})")

    def on_response(response: Response) -> None:
        if response.status >= 400 and response.status != 422:
            visit.problems.append(f"{response.status} {response.url}")

    visit.page.on("console", on_console)
    visit.page.on("pageerror", lambda error: visit.problems.append(f"uncaught: {error}"))
    visit.page.on("response", on_response)


def signed_in_state(link: str) -> dict[str, Any]:
    """Uses the one-time link; the session's cookies as a browser context takes them."""
    with httpx.Client(follow_redirects=True) as client:
        answer = client.get(link)
        assert answer.status_code == 200, answer.text
        cookies = [
            {"name": cookie.name, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}
            for cookie in client.cookies.jar
        ]
    return {"cookies": cookies, "origins": []}
