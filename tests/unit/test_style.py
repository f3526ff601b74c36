"""Style, types and layers. The settings of these tools are in pyproject.toml; their output names the file at fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.one_run import ROOT

# typeshed knows which functions of the standard library macOS lacks
MACOS = ("mypy", "--platform=darwin", "--package=git_to_pod", "--cache-dir=.mypy_cache/darwin")


@pytest.mark.parametrize("tool", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",), MACOS], ids=" ".join)
def test_it_has_nothing_to_say(tool: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_folders_import_in_one_direction() -> None:
    linter = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
