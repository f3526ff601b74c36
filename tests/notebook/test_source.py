"""The notebooks in git: no outputs, one tagged and typed parameters cell, thin cells."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat import NotebookNode

from git_to_pod.evaluation.claims import CONSTRAINTS, REQUIREMENTS
from git_to_pod.settings import Parameters, parameters_cell
from tests.one_run import ROOT

FOLDER = ROOT / "notebooks"


@pytest.fixture(params=["evaluation", "alternatives"])
def path(request: pytest.FixtureRequest) -> Path:
    return FOLDER / f"{request.param}.ipynb"


@pytest.fixture
def notebook(path: Path) -> NotebookNode:
    content: NotebookNode = nbformat.read(path, as_version=4)
    return content


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_it_is_valid_and_has_a_title(notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    assert notebook.metadata.title


def test_it_is_stripped_of_outputs(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_one_cell_has_the_parameters_and_one_the_answer(notebook: NotebookNode) -> None:
    assert len(tagged(notebook, "parameters")) == len(tagged(notebook, "answer")) == 1


def test_the_answer_comes_first(notebook: NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0] == tagged(notebook, "answer")[0]
    before = notebook.cells[: notebook.cells.index(code[0])]
    assert not any(line.startswith("## ") for cell in before for line in cell.source.splitlines())


def test_each_parameter_is_typed_and_explained_as_on_the_command_line(notebook: NotebookNode) -> None:
    assert tagged(notebook, "parameters")[0].source == parameters_cell(Parameters())


def test_papermill_shows_each_parameter_with_type_and_help(path: Path) -> None:
    shown = papermill.inspect_notebook(str(path))
    assert list(shown) == [f.name for f in fields(Parameters)]
    for f in fields(Parameters):
        assert shown[f.name]["inferred_type_name"] == type(f.default).__name__
        assert shown[f.name]["help"] == f.metadata["help"]


def test_cells_are_thin(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            assert 1 <= len(lines) <= 6, cell.source
            assert not any(line.startswith(("def ", "class ", "!", "%")) for line in lines), cell.source


def test_each_requirement_and_constraint_is_checked() -> None:
    cells = nbformat.read(FOLDER / "evaluation.ipynb", as_version=4).cells
    source = "\n".join(cell.source for cell in cells)
    assert all(f'evaluation.require("{name}"' in source for name in REQUIREMENTS)
    assert all(f'evaluation.constrain("{name}"' in source for name in CONSTRAINTS)
