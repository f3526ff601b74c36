"""With --context, scripts/evaluate and scripts/notebook run on macOS too, and without the lab's code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from git_to_pod.cli.session import EVALUATION
from tests.one_run import ROOT

COMMANDS = (
    "cli.evaluate",
    "cli.jupyterlab",
    "cli.watchdog_process",
    "app.temporary_git_host",
    "watchdog",
    "report.export",
)
LAB_IS_ABSENT = "import sys; sys.modules['lab'] = None\n"
# The libraries are imported as on Linux, since they ask for the system too.
ON_MACOS = """
for name in [name for name in sys.modules if name.partition(".")[0] == "git_to_pod"]:
    del sys.modules[name]
import ctypes, fcntl, os, select, signal, psutil
sys.platform = "darwin"
linux_only = {
    ctypes: ["CDLL"],
    fcntl: ["F_SETPIPE_SZ", "F_OFD_SETLK"],
    os: ["memfd_create", "pidfd_open", "pipe2", "sched_setaffinity", "setns", "unshare"],
    select: ["epoll"],
    signal: ["SIGPWR", "SIGRTMIN"],
}
for module, names in linux_only.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""


def imports_of_the_notebook() -> str:
    code = "\n".join(cell.source for cell in nbformat.read(EVALUATION, as_version=4).cells if cell.cell_type == "code")
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert found
    return "\n".join(map(ast.unparse, found))


@pytest.fixture(params=["scripts", "notebook"])
def imports(request: pytest.FixtureRequest) -> str:
    if request.param == "notebook":
        return imports_of_the_notebook()
    return "".join(f"import git_to_pod.{name}\n" for name in COMMANDS)


def run(code: str, folder: Path) -> str:
    """Run the code in a new process. Returns its error, empty if it succeeded."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""  # matplotlib may note that it builds its cache


def test_nothing_of_the_lab_is_imported(imports: str, tmp_path: Path) -> None:
    assert run(LAB_IS_ABSENT + imports, tmp_path) == ""


def test_nothing_is_imported_that_only_linux_has(imports: str, tmp_path: Path) -> None:
    assert run(LAB_IS_ABSENT + imports + ON_MACOS + imports, tmp_path) == ""


def test_child_processes_start_without_prctl(tmp_path: Path) -> None:
    start = """
import subprocess
from git_to_pod.programs import end_with_parent
subprocess.run(["true"], preexec_fn=end_with_parent(), check=True)
"""
    assert run("import sys" + ON_MACOS + start, tmp_path) == ""
