"""The exported page in headless Chromium, as a manager opens it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from one_run import Run
from playwright.sync_api import Browser, Page, Request

DESKTOP, PHONE = (1280, 900), (360, 780)


class Opened:
    """The page, and what went on while it was opened."""

    def __init__(self, browser: Browser, run: Run, size: tuple[int, int], colours: str = "light") -> None:
        self.page: Page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=colours)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self.requested)
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(run.page.as_uri(), wait_until="networkidle")

    def requested(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)


@pytest.fixture(params=["light", "dark"])
def opened(browser: Browser, short_run: Run, request: pytest.FixtureRequest) -> Iterator[Opened]:
    found = Opened(browser, short_run, DESKTOP, request.param)
    yield found
    found.page.close()


def test_nothing_is_requested_but_the_page_itself(opened: Opened, short_run: Run) -> None:
    assert opened.requests == [short_run.page.as_uri()]


def test_the_console_stays_empty(opened: Opened) -> None:
    assert opened.errors == []


def test_no_code_is_shown(opened: Opened) -> None:
    text = opened.page.inner_text("body")
    for code in ("import ", "findings.", "def ", "In [", "settings ="):
        assert code not in text
    assert opened.page.locator("script").count() == 0


def test_it_is_small(short_run: Run) -> None:
    assert short_run.page.stat().st_size <= 3_000_000


def test_the_first_screen_answers(opened: Opened, short_run: Run) -> None:
    def top(selector: str) -> float:
        box = opened.page.locator(selector).first.bounding_box()
        assert box
        return box["y"]

    assert opened.page.title()
    assert opened.page.locator(".verdicts li").count() == 6
    assert top(".answer .headline") < DESKTOP[1]
    assert top(".verdicts") < DESKTOP[1]
    if short_run.summary["stand_ins"]:
        assert "no conclusion about git-sync or Reloader" in opened.page.inner_text(".answer .banner")
        assert top(".answer .banner") < top(".answer .headline")


def test_each_verdict_leads_to_its_evidence(opened: Opened) -> None:
    for link in opened.page.locator(".verdicts a, nav a").all():
        target = link.get_attribute("href")
        assert target
        assert opened.page.locator(f'[id="{target.removeprefix("#")}"]').count() == 1, target


def test_each_plot_is_a_vector_with_a_text_alternative(opened: Opened) -> None:
    plots = opened.page.locator("figure svg:visible")
    assert plots.count() == 4
    assert all(len(plot.get_attribute("aria-label") or "") > 30 for plot in plots.all())
    assert opened.page.locator("img").count() == 0


def test_no_serious_fault_of_accessibility(opened: Opened) -> None:
    found = Axe().run(opened.page).response["violations"]
    serious = [
        f"{v['id']}: {[node['html'][:120] for node in v['nodes']][:3]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, short_run: Run) -> None:
    page = Opened(browser, short_run, PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.locator("figure .narrow svg:visible").count() == 4
    page.close()
