"""The finding and the table of the faults."""

from __future__ import annotations

import math
import re

from git_to_pod.experiments.faults.catalogue import FAULTS
from git_to_pod.experiments.faults.experiment import FaultResult
from git_to_pod.report.tables.faults import faults_finding, faults_table

HELD = FaultResult("git-host-down", "git host down", True, 0, {"sent": 400, "failed": 0}, 2.04, 1, "")
LOST = FaultResult(
    "git-commit-deleted",
    "git-commit <deleted>",
    False,
    1,
    {"sent": 300, "failed": 2},
    math.inf,
    0,
    "first failure: HTTP 503",
)


def test_the_finding_counts_what_recovered_and_names_the_rest() -> None:
    assert faults_finding([HELD, LOST]) == (
        "The deployment recovered from 1 of 2 faults by itself; 2 of 700 requests failed. "
        "Not recovered: “git-commit <deleted>” (F02)."
    )
    assert (
        faults_finding([HELD, HELD])
        == "The deployment recovered from all 2 faults by itself; none of 800 requests failed."
    )
    assert (
        faults_finding([HELD]) == "The deployment recovered from the only fault by itself; none of 400 requests failed."
    )
    assert faults_finding([LOST]).startswith(
        "The deployment did not recover from the only fault by itself; 2 of 300 requests"
    )
    assert faults_finding([]) == "No fault was injected."


def test_the_table_says_so_where_there_was_no_recovery() -> None:
    page = faults_table([HELD, LOST])
    assert "2.0 s" in page
    assert ">–<" in page  # noqa: RUF001
    assert "git-commit &lt;deleted&gt;" in page
    assert re.findall(r'<tr id="(F\d\d)">', page) == re.findall(r'<a href="#(F\d\d)">', page) == ["F01", "F02"]


def test_another_cluster_is_left_alone_and_the_page_says_so() -> None:
    assert "embedded lab only" in faults_table([])


def test_each_fault_has_a_name_of_its_own() -> None:
    assert len({fault.key for fault in FAULTS}) == len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_fault_that_keeps_the_commit_back_is_one_that_ends() -> None:
    assert all(fault.lasts_s is not None for fault in FAULTS if fault.blocks)
