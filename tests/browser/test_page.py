"""The exported pages in headless Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request

from tests.made_up import second_page
from tests.one_run import Run

DESKTOP, PHONE = (1280, 900), (390, 844)
Colours = Literal["light", "dark"]


@pytest.fixture(scope="session", params=["evaluation", "alternatives"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first page of a short run; the second from made-up rows, because its run takes half an hour."""
    if request.param == "evaluation":
        run: Run = request.getfixturevalue("short_run")
        return run.page
    return second_page(tmp_path_factory.mktemp("made-up"))


class Opened:
    """An opened page, with the requests and console messages of its loading."""

    def __init__(self, browser: Browser, path: Path, size: tuple[int, int], colours: Colours) -> None:
        self.page: Page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=colours)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self.requested)
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(path.as_uri(), wait_until="networkidle")

    def requested(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)


@pytest.fixture(params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str)
def opened(browser: Browser, path: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    found = Opened(browser, path, *request.param)
    yield found
    found.page.close()


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """The page on a desktop, in light colours."""
    found = Opened(browser, path, DESKTOP, "light").page
    yield found
    found.close()


def test_the_page_requests_nothing_else(opened: Opened, path: Path) -> None:
    assert opened.requests == [path.as_uri()]


def test_the_console_stays_empty(opened: Opened) -> None:
    assert opened.errors == []


def test_accessibility_has_no_serious_violation(opened: Opened) -> None:
    found = Axe().run(opened.page).response["violations"]
    serious = [
        f"{v['id']}: {[node['html'][:120] for node in v['nodes']][:3]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    # A table that is wider than the screen scrolls on its own, also with the keyboard.
    for table in opened.page.locator("table").all():
        assert table.evaluate("t => t.scrollWidth <= t.parentElement.clientWidth || t.parentElement.tabIndex === 0")


def test_each_plot_is_a_vector_with_a_text_alternative(opened: Opened) -> None:
    plots = opened.page.locator("svg:visible")
    assert plots.count() >= 4
    for plot in plots.all():
        assert plot.get_attribute("role") == "img"
        assert len(plot.get_attribute("aria-label") or "") > 30
        assert plot.locator("text").count() > 0
    assert opened.page.locator("img, canvas, svg image").count() == 0


def test_each_link_leads_to_one_place_on_the_page(page: Page) -> None:
    links = page.locator("a[href^='#']")
    assert links.count() > 10
    for target in links.evaluate_all("all => all.map(a => a.getAttribute('href'))"):
        assert page.locator(f'[id="{target.removeprefix("#")}"]').count() == 1, target


def test_the_table_of_contents_has_every_section(page: Page) -> None:
    titles = page.locator("main > h2").evaluate_all("all => all.map(h => h.firstChild.textContent)")
    assert page.locator("nav a").all_inner_texts() == titles


def test_no_code_is_shown(page: Page) -> None:
    text = page.inner_text("body")
    for code in ("import ", "evaluation.write(", "def ", "In [", "settings ="):
        assert code not in text
    assert page.locator("script").count() == 0


def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size <= 3_000_000


def test_each_explained_word_is_explained_where_it_first_appears(page: Page, path: Path) -> None:
    before = """word => {
        const range = new Range()
        range.setStartAfter(document.querySelector('h1'))
        range.setEndBefore(word)
        const part = range.cloneContents()
        part.querySelectorAll('style, svg').forEach(element => element.remove())
        return part.textContent
    }"""
    words = {word.inner_text(): word.evaluate(before) for word in page.locator("dfn").all()}
    explained = {
        "evaluation": {"pod", "commit", "ConfigMap", "git-sync", "Reloader", "poller", "Deployment", "Service"},
        "alternatives": {"poller", "Reloader", "rollout", "Deployment"},
    }
    assert explained[path.stem] <= set(words)
    for word, text in words.items():
        stem = re.escape(word.removesuffix("s"))
        assert not re.search(rf"(?<![-\w]){stem}s?(?![-\w])", text), word


def test_it_prints_to_a_clean_pdf(page: Page, path: Path) -> None:
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) < 25
    assert b"/ToUnicode" in pdf  # text that can be searched, not a picture of it
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("body").evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": 690, "height": 1000})  # A4 within its margins
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.getBoundingClientRect().right <= 690)")


def test_the_first_screen_answers(page: Page, path: Path) -> None:
    """The first page shows answer, key figure, recommendation and environment; the second its recommendation."""
    parts = [".headline", ".verdicts"]
    if path.stem == "evaluation":
        parts += [".number", ".key svg", ".decide", ".note"]
    for part in parts:
        box = page.locator(f".answer {part}").first.bounding_box()
        assert box, part
        assert box["y"] + box["height"] <= DESKTOP[1], part
    assert page.title()


def test_a_run_with_stand_ins_says_so_first(browser: Browser, short_run: Run) -> None:
    page = Opened(browser, short_run.page, DESKTOP, "light").page
    if short_run.summary["stand_ins"]:
        assert "no conclusion about git-sync or Reloader" in page.locator(".answer > p").first.inner_text()
    page.close()
