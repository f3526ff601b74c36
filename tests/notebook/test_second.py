"""The whole second notebook on the lab, with the fewest measurements that run every step, and stand-ins."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from git_to_pod.experiments.effort import EXPERIMENTS, SMALLEST, VARIABLE
from git_to_pod.timing.trials import PUSHES
from tests.one_run import Run, evaluate


@pytest.fixture(scope="module")
def run(short_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every experiment, beside the first notebook's results."""
    folder = shutil.copytree(short_run.folder, tmp_path_factory.mktemp("second") / "report")
    experiments = ("--only", ",".join(EXPERIMENTS), "--namespace", "git-to-pod-second")
    return evaluate(*experiments, folder=folder, timeout_s=900, **{VARIABLE: "smallest"})


def test_every_experiment_has_rows(run: Run) -> None:
    assert run.status == 0, run.err
    without = {"gitops"} if run.summary["stand_ins"] else set[str]()  # it needs Flux and the real Reloader
    assert {name for name in EXPERIMENTS if not run.summary[name]} == without
    assert [row["key"] for row in run.summary["faults"]] == list(SMALLEST.faults)
    assert [row["key"] for row in run.summary["alternatives"]] == list(SMALLEST.candidates)


def test_every_push_has_its_row(run: Run) -> None:
    sizes = [f"size-{megabytes}-MB-{files}" for megabytes, files in SMALLEST.sizes]
    intervals = [f"interval-{seconds}s" for seconds in SMALLEST.intervals]
    expected = {*sizes, *intervals, *(f"candidate-{key}" for key in SMALLEST.candidates)}
    tables = {path.stem: pd.read_csv(path) for path in (run.folder / PUSHES).iterdir()}
    assert tables.keys() == expected
    assert all(table["outcome"].eq("ok").all() and len(table) for table in tables.values())


def test_the_second_page_and_its_chart_are_written(run: Run) -> None:
    assert "Are git-sync and Reloader the right tools?" in (run.folder / "alternatives.html").read_text()
    assert (run.folder / "candidates.svg").stat().st_size > 0


def test_stand_ins_recommend_nothing(run: Run) -> None:
    if not run.summary["stand_ins"]:
        pytest.skip("this run is about the upstream images")
    (sentence,) = run.summary["recommendation"]
    assert "recommends nothing" in sentence
