"""The page of a run that was killed, made from its folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from git_to_pod.cluster.waiting import wait_for
from git_to_pod.report.export import UNFINISHED, export, export_folder, main
from tests.one_run import ROOT


def notebook(path: Path, *cells: str) -> Path:
    answer = nbformat.v4.new_code_cell("print('the answer')", metadata={"tags": ["answer"]})
    content = nbformat.v4.new_notebook(cells=[answer, *map(nbformat.v4.new_code_cell, cells)])
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(content, path)
    return path


def test_the_page_of_a_killed_run_has_what_it_measured_and_says_that_it_has_no_end(tmp_path: Path) -> None:
    source = notebook(tmp_path / "source.ipynb", "print('measured')", "import time; time.sleep(60)", "print('never')")
    run = tmp_path / "run"
    run.mkdir()
    terminal = os.open(os.devnull, os.O_WRONLY)
    options = {
        "notebook": str(source),
        "executed": str(run / "evaluation.ipynb"),
        "parameters": {},
        "terminal": terminal,
        "started": time.monotonic(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "git_to_pod.cli.run_notebook", json.dumps(options)],
        cwd=ROOT, pass_fds=[terminal], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        executed = run / "evaluation.ipynb"
        wait_for("the first output", lambda: executed.exists() and "measured" in str(outputs(executed)), 40)
    finally:
        process.kill()
        process.wait(10)
        os.close(terminal)
    (page,) = export_folder(run)
    assert UNFINISHED in page.read_text()
    assert "measured" in page.read_text()
    assert "never" not in page.read_text()


def outputs(executed: Path) -> list[str]:
    """Raises NotJSONError if the notebook is not whole, which must not be seen at any instant."""
    cells = nbformat.read(executed, as_version=4).cells
    return [output.get("text", "") for cell in cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("content", [None, "no notebook", "{}", "[]"])
def test_a_path_without_a_notebook_is_one_line(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path
    if content:
        path = tmp_path / "file.ipynb"
        path.write_text(content)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: ")
    assert error.count("\n") == 1


def test_a_dataframe_scrolls_by_itself(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("frame")
    html = pd.DataFrame({"a": [1]})._repr_html_()  # type: ignore[operator]  # pandas-stubs take it for a column
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/html": html})]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "run.ipynb")
    page = export(tmp_path / "run.ipynb").read_text()
    (div,) = re.findall(r'<div ([^>]*)><table border="1"', page)
    assert {'class="table"', 'tabindex="0"', 'role="group"'} <= {*div.split()}
