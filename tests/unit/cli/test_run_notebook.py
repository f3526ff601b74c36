"""A small notebook with a real kernel, run as scripts/evaluate runs the notebooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tests.one_run import ROOT

PROGRESS = "from git_to_pod.progress import Progress\nprogress = Progress()\n"


def run(folder: Path, *cells: str, gone: bool = False) -> tuple[int, str, str]:
    """The exit status, the standard output, and what reached the terminal, whose reader may be gone."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebook.ipynb")
    reading, writing = os.pipe()
    if gone:
        os.close(reading)
    options = {
        "notebook": str(folder / "notebook.ipynb"), "executed": str(folder / "executed.ipynb"), "parameters": {},
        "terminal": writing, "started": time.monotonic(),
    }  # fmt: skip
    command = [sys.executable, "-m", "git_to_pod.cli.run_notebook", json.dumps(options)]
    done = subprocess.run(
        command, cwd=ROOT, pass_fds=[writing], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    os.close(writing)
    shown = "" if gone else os.fdopen(reading).read()
    return done.returncode, done.stdout, shown


def executed(folder: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(folder / "executed.ipynb", as_version=4)
    return notebook


def test_stages_and_bars_reach_the_terminal(tmp_path: Path) -> None:
    cells = (PROGRESS, "with progress.stage('trials', 'two trials'):\n    progress.bar(2, 2, 'all done')", "1 + 1")
    status, output, shown = run(tmp_path, *cells)
    assert status == 0, output
    assert "two trials" in shown
    assert "2/2  all done" in shown
    assert "writing executed.html" in shown
    assert "Python" not in (tmp_path / "executed.html").read_text()
    assert executed(tmp_path).cells[2].outputs[0].data["text/plain"] == "2"


def test_a_reader_that_has_gone_away_does_not_stop_the_notebook(tmp_path: Path) -> None:
    many = "for number in range(3000):\n    progress.bar(number, 3000, 'x' * 50)"  # more than a pipe holds
    status, output, _ = run(tmp_path, PROGRESS, many, "'the end'", gone=True)
    assert status == 0, output
    assert executed(tmp_path).cells[2].outputs[0].data["text/plain"] == "'the end'"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [("raise ValueError('of the cell')", "ValueError: of the cell"), ("import os\nos._exit(3)", "kernel died")],
    ids=["an exception", "a dead kernel"],
)
def test_a_failure_is_the_last_line_and_the_notebook_is_kept(cell: str, reason: str, tmp_path: Path) -> None:
    status, output, _ = run(tmp_path, "'before'", cell)
    assert status == 1
    assert reason in output.strip().splitlines()[-1]
    assert any(
        output.get("data", {}).get("text/plain") == "'before'"
        for each in executed(tmp_path).cells
        for output in each.get("outputs", [])
    )
