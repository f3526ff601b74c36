"""The rows of the second notebook's experiments."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from git_to_pod.experiments import earlier_rows
from git_to_pod.experiments.alternatives.comparison import CandidateResult
from git_to_pod.experiments.alternatives.starts import StartResult
from git_to_pod.experiments.api_outages import OutageResult
from git_to_pod.experiments.content_sizes import SizeResult
from git_to_pod.experiments.effort import EXPERIMENTS, ONLY, selected
from git_to_pod.experiments.faults.experiment import FaultResult
from git_to_pod.experiments.gitops import OwnedResult
from git_to_pod.experiments.poll_intervals import IntervalResult
from git_to_pod.experiments.results import ExperimentResults, is_like
from git_to_pod.experiments.scale.polling import ScaleRow
from git_to_pod.experiments.startup_orders import StartupResult
from git_to_pod.progress import Progress
from git_to_pod.report.second_page import in_parts
from git_to_pod.settings import InputError
from tests.made_up import made_up_names
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


def test_every_row_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """The made-up rows have timeouts, and figures that were not measured."""
    made_up = made_up_names(tmp_path)
    written = json.loads((tmp_path / "summary.json").read_text())
    kinds: list[tuple[str, Any, Any]] = [
        ("faults", made_up["broken"], FaultResult),
        ("alternatives", made_up["ways"], CandidateResult),
        ("starts", made_up["starts"], StartResult),
        ("restart", made_up["restarts"], StartupResult),
        ("scale", made_up["measured_scale"].rows, ScaleRow),
        ("intervals", made_up["intervals"], IntervalResult),
        ("sizes", made_up["sizes"], SizeResult),
        ("outages", made_up["outages"], OutageResult),
        ("gitops", made_up["owned"], OwnedResult),
    ]
    for name, rows, kind in kinds:
        found = earlier_rows.read(written[name], kind)
        assert repr(found) == repr(rounded(rows)), name  # repr, because NaN does not equal itself


def rounded(value: Any) -> Any:  # noqa: ANN401  # a row, or a value in one
    """With the four decimals of summary.json. Infinity and NaN stay."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else value
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if is_dataclass(value):
        return replace(value, **{each.name: rounded(getattr(value, each.name)) for each in fields(value)})  # type: ignore[type-var]
    return value


def run(folder: Path, only: str, monkeypatch: pytest.MonkeyPatch) -> ExperimentResults:
    """A run into the folder with these experiments selected."""
    monkeypatch.setenv(ONLY, only)
    return ExperimentResults(replace(SETTINGS, output=folder), Progress())


def faults(results: ExperimentResults, *rows: FaultResult) -> list[FaultResult]:
    found = list(results.of("faults", FaultResult, lambda: rows))
    results.add("faults", found, "a finding")
    return found


def test_an_experiment_that_is_left_out_keeps_the_rows_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults(run(tmp_path, "", monkeypatch), ROW)
    second = run(tmp_path, "scale", monkeypatch)
    assert faults(second, replace(ROW, name="measured again")) == [ROW]
    assert second.summary["parts"]["faults"]["seconds"] >= 0
    assert faults(run(tmp_path, "faults", monkeypatch), replace(ROW, name="measured again")) != [ROW]


@pytest.mark.parametrize(("only", "expected"), [(["faults"], ["Flux (no image)"]), (["alternatives"], ["computed"])])
def test_why_a_candidate_has_no_row_stays_with_the_rows(tmp_path: Path, only: list[str], expected: list[str]) -> None:
    results = ExperimentResults(replace(SETTINGS, output=tmp_path), Progress())
    results.add("alternatives", [], "a finding", alternatives_not_tried=["Flux (no image)"])
    again = ExperimentResults(replace(SETTINGS, output=tmp_path), Progress(), selected=only)
    assert again.beside("alternatives", "alternatives_not_tried", lambda: ["computed"]) == expected


def test_a_folder_without_rows_leaves_the_experiment_without_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run(tmp_path, "scale", monkeypatch)
    assert faults(results, ROW) == []
    with pytest.raises(Exception, match="no results of scale"):
        results.verify()


def test_rows_of_another_image_are_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults(run(tmp_path, "", monkeypatch), ROW)
    path = tmp_path / "summary.json"
    summary = json.loads(path.read_text())
    image = {"ref": "example.test/git-sync:1", "source": "archive", "digest": "sha256:1"}
    summary["parts"]["faults"]["images"] = [image]
    path.write_text(json.dumps(summary))
    results = run(tmp_path, "scale", monkeypatch)
    monkeypatch.setattr(ExperimentResults, "images", [image | {"digest": "sha256:2"}])
    with pytest.raises(InputError, match="faults of an earlier run with another example.test/git-sync:1"):
        faults(results)


@pytest.mark.parametrize("of_its_own", [True, False], ids=["of the experiment", "of the whole run"])
def test_rows_of_another_kubernetes_are_not_joined(
    of_its_own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExperimentResults, "kubernetes", "v1.36.3")
    faults(run(tmp_path, "", monkeypatch), ROW)
    if not of_its_own:  # as in the rows of an older version of this project
        path = tmp_path / "summary.json"
        summary = json.loads(path.read_text())
        del summary["parts"]["faults"]["kubernetes"]
        path.write_text(json.dumps(summary | {"kubernetes": {"version": "v1.36.3"}}))
    results = run(tmp_path, "scale", monkeypatch)
    faults(results)
    monkeypatch.setattr(ExperimentResults, "kubernetes", "v1.37.2")
    with pytest.raises(InputError, match="faults of an earlier run with Kubernetes v1.36.3; choose another --output"):
        faults(results)


@pytest.mark.parametrize(
    ("note", "others", "like"),
    [
        ("built from the v1 source", "built from the v1 source", True),
        ("built from the v1 source", "built from the v2 source", False),
        ("archive a.tar, origin not stated", "archive a.tar, origin not stated", False),
        ("", "", False),
    ],
)
def test_two_builds_of_one_source_are_joined(note: str, others: str, like: bool) -> None:
    image = {"ref": "example.test/git-sync:1", "source": "archive", "digest": "sha256:1", "note": note}
    assert is_like(image, image)
    assert is_like(image, image | {"digest": "sha256:2", "note": others}) is like
    for source in ("pulled", "stand-in"):
        assert not is_like(image | {"source": source}, image | {"digest": "sha256:2", "note": others, "source": source})


def test_rows_of_another_version_are_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"faults": [{"key": "git-host-hangs"}]}))
    with pytest.raises(InputError, match="of another version .*choose another --output, or add faults to --only"):
        faults(run(tmp_path, "scale", monkeypatch))


def test_the_page_says_which_experiments_were_measured_in_which_run() -> None:
    one = {"started": "2026-11-25T10:00:00+00:00", "project": "1.0-3-gabc"}
    assert in_parts({"faults": one, "scale": one}) == ""
    other = one | {"started": "2026-11-26T10:00:00+00:00"}
    assert in_parts({"faults": one, "scale": other}) == (
        "Faults: 25 November 2026, version 1.0-3-gabc. Cost and size: 26 November 2026, version 1.0-3-gabc."
    )


def test_the_order_of_the_experiments_is_the_notebooks() -> None:
    assert selected("scale, faults") == ["faults", "scale"]
    assert selected() == list(EXPERIMENTS)


def test_an_unknown_experiment_is_named() -> None:
    with pytest.raises(InputError, match="--only faults,fautls: 'fautls' is no experiment; expected faults, providers"):
        selected("faults,fautls")


def test_the_labs_own_images_are_alike_wherever_they_were_built() -> None:
    built = {"ref": "lab.git-to-pod.test/coredns:v1.15.0", "source": "built", "digest": "sha256:1", "note": "CoreDNS"}
    assert is_like(built, built | {"digest": "sha256:2"})
    other = built | {"ref": "example.test/coredns:v1.15.0"}
    assert not is_like(other, other | {"digest": "sha256:2"})
