"""scripts/notebook: the copy that it opens, and the input that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from git_to_pod.cli.jupyterlab import main, write_copy
from git_to_pod.cli.session import ALTERNATIVES, EVALUATION
from git_to_pod.settings import Parameters


@pytest.mark.parametrize("notebook", [EVALUATION, ALTERNATIVES], ids=lambda path: path.stem)
def test_the_parameters_are_in_the_copy_and_not_in_git(notebook: Path, tmp_path: Path) -> None:
    committed = notebook.read_bytes()
    given = Parameters(context='a "quoted" name', commits=3, keep=True, output=str(tmp_path))
    copy = nbformat.read(write_copy(notebook, given, tmp_path), as_version=4)
    assert notebook.read_bytes() == committed
    changed = [
        cell for cell, before in zip(copy.cells, nbformat.read(notebook, 4).cells, strict=True) if cell != before
    ]
    assert [cell.metadata.tags for cell in changed] == [["parameters"]]
    assert values_of(changed[0].source) == given


def values_of(cell: str) -> Parameters:
    """The values that the kernel gets from the cell."""
    names: dict[str, Any] = {"__annotations__": {}}
    exec(cell, names)
    return Parameters(**{name: names[name] for name in names["__annotations__"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--notebook", "other"], "argument --notebook: invalid choice: 'other'"),
        (["--commits", "0"], "--commits 0: expected 1 or more"),
        (
            ["--context", "a", "--images", "."],
            "--images .: only the embedded lab loads archives; omit --images or --context",
        ),
    ],
)
def test_invalid_input_exits_with_2_and_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
