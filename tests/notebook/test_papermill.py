"""papermill alone, as in CI: README.md's commands, in a copy of the project without scripts/ and lab/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.cluster.api import Cluster
from git_to_pod.settings import Parameters
from tests.one_run import ROOT

NAMESPACE = "git-to-pod-papermill"
README = (ROOT / "README.md").read_text()
COMMANDS = re.search(r"^```\n(papermill .*?)^```", README, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]
GATE = next(line for line in COMMANDS.splitlines() if line.startswith("python -c"))


def shell(commands: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the commands in an environment that has the packages, but none of this project's scripts."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env=environment | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_help_lists_every_parameter_with_its_type_and_its_help() -> None:
    shown = shell("papermill --help-notebook notebooks/evaluation.ipynb", ROOT)
    assert shown.returncode == 0, shown.stderr
    listed = " ".join(shown.stdout.split())
    for f in fields(Parameters):
        default = f'"{f.default}"' if isinstance(f.default, str) else f.default
        assert f"{f.name}: {type(f.default).__name__} (default {default}) {f.metadata['help']}" in listed


def test_the_gate_passes_the_recorded_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "reports" / "upstream", tmp_path / "report")
    passed = shell(GATE, tmp_path)
    assert passed.returncode == 0, passed.stderr


@pytest.mark.parametrize("changed", [{"holds": False}, {"median": 5.01}, {"median": None}], ids=str)
def test_the_gate_fails_a_run_that_failed_is_too_slow_or_was_not_measured(
    changed: dict[str, Any], tmp_path: Path, summary_of_upstream: dict[str, Any]
) -> None:
    if "median" in changed:
        summary_of_upstream["latency_s"]["push_to_restarted"] |= changed
    else:
        summary_of_upstream |= changed
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text(json.dumps(summary_of_upstream))
    assert shell(GATE, tmp_path).returncode != 0


@pytest.fixture
def project(tmp_path: Path, lab: dict[str, Any]) -> Path:
    """The parts of the project that papermill needs, and the two folders of credentials."""
    for part in ("git_to_pod", "manifests", "notebooks", "alternatives", "own-cluster"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "read").symlink_to(lab["git_credentials"])
    (tmp_path / "push").symlink_to(lab["push_credentials"])
    return tmp_path


def on_the_lab(lab: dict[str, Any], *more: str) -> str:
    """README.md's commands, with the lab's names filled in."""
    url = f"{lab['repository']} -p push_url {lab['push_url']} -p namespace {NAMESPACE} {' '.join(more)}"
    commands = COMMANDS.replace("NAME", lab["context"]).replace("URL", url)
    return commands.replace("-p commits 5", "-p commits 1").replace("< 5'", "< 60'")


def test_the_readmes_commands_evaluate_a_cluster_by_its_context(lab: dict[str, Any], project: Path) -> None:
    done = shell(on_the_lab(lab), project, KUBECONFIG=lab["kubeconfig"])
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((project / "report" / "summary.json").read_text())
    assert summary["holds"] is True
    assert summary["constraints"]["no_way_out"]["pass"] is None, "the run must not know that this cluster is the lab"
    assert "All four requirements are met" in (project / "out.html").read_text()
    assert not Cluster(lab["context"], Path(lab["kubeconfig"])).find(f"/api/v1/namespaces/{NAMESPACE}")


def test_a_failed_run_exits_with_1_and_leaves_its_summary(lab: dict[str, Any], project: Path) -> None:
    done = shell(on_the_lab(lab, "-p timeout 1"), project, KUBECONFIG=lab["kubeconfig"])  # too short to deploy anything
    assert done.returncode == 1
    assert json.loads((project / "report" / "summary.json").read_text())["holds"] is False
