"""The quick faults, injected into the lab: which of them the deployment recovers from by itself."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from git_to_pod.cluster.api import connect
from git_to_pod.experiments.faults.bench import Bench
from git_to_pod.experiments.faults.catalogue import FAULTS
from git_to_pod.experiments.faults.experiment import push_one, try_fault
from git_to_pod.experiments.faults.undo_after_kill import restore
from git_to_pod.settings import Parameters, resolve
from tests.e2e.test_deployment import branch

BY_KEY = {fault.key: fault for fault in FAULTS}
QUICK = (
    "git-host-down-at-pod-start",
    "password-rotated",
    "force-push",
    "burst",
    "reloader-killed",
    "git-sync-killed",
    "git-sync-killed-in-a-sync",
    "clone-corrupted",
    "disk-full",
    "evictions-forbidden",
    "autoscaled",
    "random-user",
    "scaled-up-behind-reloader",
    "never-ready",  # the last: the readiness probe stays
)
NEXT_PUSH = ("pods-behind-reloader", "git-commit-deleted-no-push")


@pytest.fixture(scope="module")
def bench(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    output = str(tmp_path_factory.mktemp("report"))
    settings = resolve(Parameters(namespace="git-to-pod-e2e", commits=1, ref="e2e/faults", output=output))
    assert settings.lab
    with branch(settings):
        opened = Bench(connect(settings), settings, settings.lab)
        try:
            opened.deploy()
            for _ in range(2):  # the force-push goes back by two commits
                push_one(opened)
                opened.wait_normal(60)
            yield opened
        finally:
            opened.close()


def test_what_a_killed_run_left_in_the_lab_is_undone(bench: Bench) -> None:
    """First: later ones change the reader's password."""
    BY_KEY["git-host-hangs"].inject(bench)
    bench.lab.revoke_reader()
    restore(bench.lab.lab)
    push_one(bench)
    bench.wait_normal(30)


@pytest.mark.parametrize("key", QUICK)
def test_the_deployment_recovers_by_itself(bench: Bench, key: str) -> None:
    row = try_fault(bench, BY_KEY[key])
    assert row.held, row
    assert row.requests["sent"] > 0
    assert (row.commits_lost, row.requests["failed"]) == (0, 0)


@pytest.mark.parametrize("key", NEXT_PUSH)
def test_the_deployment_recovers_with_the_next_push(bench: Bench, key: str) -> None:
    row = try_fault(bench, BY_KEY[key])
    assert not row.held
    assert row.commits_lost or math.isinf(row.recovery_s)
    assert row.requests["sent"] > 0
    assert row.requests["failed"] == 0
    assert "the next push brought it back" in row.note


def test_a_fault_that_is_not_undone_is_reported(bench: Bench) -> None:
    """The git host stays down for the whole wait, so the commit does not arrive."""
    unmended = replace(BY_KEY["git-host-down"], lasts_s=None, limit_s=5, blocks=False)
    row = try_fault(bench, unmended)
    assert not row.held
    assert row.commits_lost == 1
