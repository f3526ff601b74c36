"""The rows of the second notebook's experiments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from git_to_pod.experiments.faults.experiment import FaultResult
from git_to_pod.experiments.results import ExperimentResults
from git_to_pod.progress import Progress
from tests.samples import SETTINGS

ROW = FaultResult("git-host-hangs", "git host hangs", True, 0, {"sent": 640, "failed": 2}, 3.5, 1, "")


def test_an_experiments_rows_are_a_csv_with_a_column_for_each_nested_value(tmp_path: Path) -> None:
    results = ExperimentResults(replace(SETTINGS, output=tmp_path / "new"), Progress())
    results.add("faults", [ROW], "a finding")
    found = pd.read_csv(tmp_path / "new" / "faults.csv")
    assert found["requests.failed"].tolist() == [2]
    assert found["recovery_s"].tolist() == [3.5]


def test_an_experiment_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    results = ExperimentResults(replace(SETTINGS, output=tmp_path), Progress())
    results.add("faults", [], "No fault was injected.")
    assert results.frame("faults").empty
