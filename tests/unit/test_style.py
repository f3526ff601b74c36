"""The settings of these tools are in pyproject.toml; the file at fault is in what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.one_run import ROOT


@pytest.mark.parametrize("tool", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
def test_it_has_nothing_to_say(tool: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
