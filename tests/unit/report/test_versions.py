"""The table of the recorded versions of Kubernetes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from git_to_pod.report.tables.versions import RECORDED, recordings, version, versions_finding, versions_table


def test_each_recording_has_a_row_with_its_own_figures() -> None:
    page = versions_table()
    for folder in RECORDED.glob("kubernetes-*"):
        summary = json.loads((folder / "summary.json").read_text())
        assert f"{summary['latency_s']['push_to_restarted']['median']:.2f} s" in page
        assert version(summary) in page


def test_versions_are_in_numerical_order_and_one_that_fails_is_named(tmp_path: Path) -> None:
    for name in ("kubernetes-1.9", "kubernetes-1.10"):
        shutil.copytree(next(RECORDED.glob("kubernetes-*")), tmp_path / name)
        path = tmp_path / name / "summary.json"
        summary = json.loads(path.read_text())
        summary["kubernetes"]["version"] = f"v{name.removeprefix('kubernetes-')}.0"
        path.write_text(json.dumps(summary | {"holds": name == "kubernetes-1.9"}))
    found = recordings(tmp_path)
    assert [version(summary) for summary in found] == ["1.9.0", "1.10.0"]
    assert versions_finding(found) == "All requirements and constraints are met on Kubernetes 1.9.0. Not on 1.10.0."


def test_without_recordings_there_is_no_table(tmp_path: Path) -> None:
    assert versions_table(tmp_path) == ""
    assert versions_finding([]) == "No other version of Kubernetes is recorded."
