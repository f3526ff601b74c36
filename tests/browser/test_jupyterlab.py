"""scripts/notebook, and its JupyterLab in headless Chromium: run all cells, interrupt them, add a trial."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page

from git_to_pod.cluster.api import Cluster
from tests.one_run import ROOT
from tests.processes import started_with

NAMESPACE = "git-to-pod-jupyterlab"
RUN_S = 240


class JupyterLab:
    """The command, and the page at the URL that it prints."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.notebook = folder / "report" / "evaluation.ipynb"
        self.mark = f"GIT_TO_POD_TEST={folder}"  # all its children inherit it
        command = [sys.executable, "-m", "git_to_pod.cli.jupyterlab", "--no-browser", "--namespace", NAMESPACE]
        command += ["--commits", "1", "--output", str(self.notebook.parent)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"GIT_TO_POD_TEST": str(folder), "JUPYTER_CONFIG_DIR": str(folder / "config")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        self.token_file = Path(self.process.stdout.readline().split()[-1])
        self.page: Page = browser.new_page(viewport={"width": 1400, "height": 1000})
        self.page.goto(f"{self.url}?token={self.token_file.read_text()}")
        self.page.locator(".jp-Notebook h1").wait_for(timeout=60_000)
        self.page.locator(".jp-NotebookPanel-toolbar").get_by_text("Python 3").wait_for(timeout=60_000)

    def choose(self, menu: str, item: str) -> None:
        self.page.locator(".lm-MenuBar-item").get_by_text(menu, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()

    def saved_when(self, condition: Callable[[NotebookNode], bool]) -> NotebookNode:
        """Save every two seconds until the saved notebook fulfils the condition."""
        for _ in range(RUN_S // 2):
            self.page.keyboard.press("Control+s")
            self.page.wait_for_timeout(2000)
            saved: NotebookNode = nbformat.read(self.notebook, as_version=4)
            if condition(saved):
                return saved
        raise AssertionError(f"not within {RUN_S} s; errors so far: {errors(saved)}; last cell: {saved.cells[-1]}")

    def run_all(self) -> NotebookNode:
        """Run all cells, and wait until each has run or one has failed."""
        before = max(counts(nbformat.read(self.notebook, as_version=4)))
        self.choose("Run", "Run All Cells")
        return self.saved_when(lambda saved: errors(saved) != [] or min(counts(saved)) > before)

    def run_cell(self, source: str) -> None:
        """Run the cell that contains this source."""
        cell = self.page.locator(".jp-CodeCell", has_text=source)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")


def counts(notebook: NotebookNode) -> list[int]:
    return [cell.execution_count or 0 for cell in notebook.cells if cell.cell_type == "code"]


def errors(notebook: NotebookNode) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


@pytest.fixture(scope="module")
def jupyterlab(browser: Browser, lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    opened = JupyterLab(browser, tmp_path_factory.mktemp("jupyterlab"))
    yield opened
    opened.page.close()
    opened.process.terminate()
    opened.process.wait(60)


def test_a_run_shows_its_progress_and_can_be_interrupted(jupyterlab: JupyterLab) -> None:
    jupyterlab.choose("Run", "Run All Cells")
    shown = jupyterlab.page.get_by_text(re.compile(r"\d/3 · .*; last .* s · waiting for "))
    shown.first.wait_for(timeout=1000 * RUN_S)
    jupyterlab.choose("Kernel", "Interrupt Kernel")
    saved = jupyterlab.saved_when(lambda saved: errors(saved) != [])
    assert errors(saved) == ["KeyboardInterrupt: "]


def test_after_an_interrupt_all_cells_run_again_in_the_same_kernel(jupyterlab: JupyterLab) -> None:
    assert errors(jupyterlab.run_all()) == []
    headline = jupyterlab.page.locator(".answer .headline").text_content() or ""
    assert "requirements are met within the constraints" in headline


def test_the_charts_are_visible(jupyterlab: JupyterLab) -> None:
    pictures = jupyterlab.page.locator(".jp-OutputArea figure .wide svg[role=img]")
    assert pictures.count() == 4
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.is_visible()
        box = picture.bounding_box()
        assert box
        assert box["width"] > 300
        assert box["height"] > 50


def test_an_added_trial_is_in_the_charts(jupyterlab: JupyterLab) -> None:
    page, cells = jupyterlab.page, jupyterlab.page.locator(".jp-CodeCell")
    before = cells.count()
    cells.last.locator(".cm-content").click()
    page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:insert-cell-below"]').click()
    cells.nth(before).locator(".cm-content").click()
    page.keyboard.type("trials.push()")
    page.keyboard.press("Control+Enter")
    last = jupyterlab.saved_when(lambda saved: bool(saved.cells[-1].execution_count)).cells[-1]
    assert last.source == "trials.push()"
    assert "push 4, ok: " in last.outputs[-1]["data"]["text/html"], last.outputs
    jupyterlab.run_cell("trial_charts.ecdf(evaluation)")
    page.get_by_text("n = 2 pushes and 1 restart of each kind").wait_for()


def test_the_run_changes_the_copy_and_not_the_notebook_in_git(jupyterlab: JupyterLab) -> None:
    assert "commits: int = 1  # number of test commits" in jupyterlab.notebook.read_text()
    committed = nbformat.read(ROOT / "notebooks" / "evaluation.ipynb", as_version=4)
    assert counts(committed) == [0] * len(counts(committed))


def test_the_token_is_in_no_argument_and_in_no_file_of_the_run(jupyterlab: JupyterLab) -> None:
    token = jupyterlab.token_file.read_text()
    assert jupyterlab.token_file.stat().st_mode & 0o077 == 0
    assert token not in "".join(started_with(jupyterlab.mark).values())
    left = [path for path in jupyterlab.notebook.parent.rglob("*") if path.is_file()]
    assert not [path for path in left if token in path.read_text(errors="replace")]
    assert token not in (jupyterlab.token_file.parent / "log").read_text()


def test_a_signal_stops_jupyterlab_and_removes_the_deployment(jupyterlab: JupyterLab, lab: dict[str, Any]) -> None:
    namespace = f"/api/v1/namespaces/{NAMESPACE}"
    cluster = Cluster(lab["context"], Path(lab["kubeconfig"]))
    assert cluster.find(namespace)
    jupyterlab.process.send_signal(signal.SIGINT)
    assert jupyterlab.process.wait(60) == 130
    assert not cluster.find(namespace)
    assert not started_with(jupyterlab.mark)
    assert not jupyterlab.token_file.parent.exists()
