"""scripts/, without an installation: where they run, what they start, and what they install for which tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.one_run import ROOT

# What the scripts may use. macOS has these, and its bash is 3.2; it has no sha256sum and no readlink -f.
TOOLS = ("basename", "bash", "cat", "dirname", "id", "sed", "sh", "sort")
CHROMIUM = "install --yes --no-install-recommends chromium"
SKOPEO = "install --yes --no-install-recommends skopeo"


@dataclass(frozen=True)
class Machine:
    """A PATH with few tools, a cache with the packages, and a Python that prints what it is to run."""

    folder: Path

    def run(self, script: str | Path, *arguments: str, cwd: Path) -> list[str]:
        env = {"PATH": str(self.folder / "bin"), "XDG_CACHE_HOME": str(self.folder / "cache"), "CDPATH": str(ROOT)}
        done = subprocess.run([script, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def write(self, path: str, content: str) -> None:
        program = self.folder / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{content}\n")
        program.chmod(0o755)

    def installed(self) -> list[str]:
        log = self.folder / "apt-get.log"
        return [line for line in log.read_text().splitlines() if line != "update"] if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.write("bin/python3", "[ $# = 2 ] || echo key")  # its version is right, and this is the name of its packages
    machine.write("bin/apt-get", f"echo $* >> {tmp_path}/apt-get.log")
    machine.write("cache/git-to-pod/venv-key/bin/python", 'pwd; echo "$PYTHONPATH"; echo "$*"')
    (tmp_path / "cache" / "git-to-pod" / "venv-key" / "complete").touch()
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return machine


@pytest.mark.parametrize(
    ("script", "module"),
    [("evaluate", "git_to_pod.cli.evaluate"), ("notebook", "git_to_pod.cli.jupyterlab"), ("lab", "lab")],
)
def test_a_script_stays_in_the_folder_of_the_user(script: str, module: str, machine: Machine, tmp_path: Path) -> None:
    path = os.path.relpath(ROOT / "scripts" / script, tmp_path)
    started = machine.run(path, "--images", "./images", cwd=tmp_path)
    # -P: modules in the user's folder do not replace those of the project
    assert started == [str(tmp_path), str(ROOT), f"-P -m {module} --images ./images"]


def test_the_images_can_be_listed_from_any_folder(machine: Machine, tmp_path: Path) -> None:
    path = os.path.relpath(ROOT / "scripts" / "images", tmp_path)
    assert machine.run(path, "list", cwd=tmp_path) == machine.run("scripts/images", "list", cwd=ROOT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
@pytest.mark.parametrize(
    ("arguments", "programs"),
    [
        ([], [CHROMIUM, SKOPEO]),
        (["tests"], [CHROMIUM, SKOPEO]),
        (["-k", "tests"], [CHROMIUM, SKOPEO]),
        (["-x", "--ignore", "tests/browser"], [CHROMIUM, SKOPEO]),
        (["tests/unit"], []),
        (["tests/unit/test_pins.py::test_a", "tests/lab", "-k", "tests"], []),
        (["-x", "tests/browser"], [CHROMIUM]),
        (["tests/unit", "tests/browser/test_page.py::test_a"], [CHROMIUM]),
        (["tests/e2e"], [SKOPEO]),
        (["tests/e2e/test_images.py"], [SKOPEO]),
        (["tests/e2e/test_faults.py"], []),
    ],
    ids=str,
)
def test_only_what_the_chosen_tests_use_is_installed(
    arguments: list[str], programs: list[str], machine: Machine
) -> None:
    machine.run("scripts/test", *arguments, cwd=ROOT)
    assert machine.installed() == programs


def test_without_a_path_all_tests_run_from_any_folder(machine: Machine, tmp_path: Path) -> None:
    for program in ("chromium", "skopeo"):
        machine.write(f"bin/{program}", "")
    path = os.path.relpath(ROOT / "scripts" / "test", tmp_path)
    assert machine.run(path, "-k", "x", cwd=tmp_path)[-1] == f"-P -m pytest -k x {ROOT / 'tests'}"
    unit = os.path.relpath(ROOT / "tests" / "unit", tmp_path)
    assert machine.run(path, unit, cwd=tmp_path)[-1] == f"-P -m pytest {unit}"
