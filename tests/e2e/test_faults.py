"""The quick ones of the faults, for real: each must hold; one that nobody mends must not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from git_to_pod.cluster import connect
from git_to_pod.faults import try_fault
from git_to_pod.faults_bench import Bench
from git_to_pod.faults_list import FAULTS
from git_to_pod.settings import Parameters, resolve

BY_NAME = {fault.name: fault for fault in FAULTS}
QUICK = (
    "git host down",
    "git host down when a pod must start",
    "git host resets connections",
    "password rotated",
    "force-push to an older commit",
    "10 pushes in 2 s",
    "commit deletes the served file",
    "Reloader down",
    "Reloader killed between publish and restart",
    "git-sync killed, in the poller and in one pod",
    "content volume full",
)


@pytest.fixture(scope="module")
def bench(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    output = str(tmp_path_factory.mktemp("report"))
    settings = resolve(Parameters(namespace="git-to-pod-e2e", commits=1, output=output))
    assert settings.lab
    opened = Bench(connect(settings), settings, settings.lab)
    try:
        opened.deploy()
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("name", QUICK)
def test_it_holds(bench: Bench, name: str) -> None:
    row = try_fault(bench, BY_NAME[name])
    assert row.held, row
    assert row.requests["sent"] > 0
    assert (row.commits_lost, row.requests["failed"]) == (0, 0)


def test_a_fault_that_nobody_mends_is_seen(bench: Bench) -> None:
    """The check can fail: the git host stays down for as long as is waited, so the commit does not arrive."""
    unmended = replace(BY_NAME["git host down"], lasts_s=None, limit_s=5, blocks=False)
    row = try_fault(bench, unmended)
    assert not row.held
    assert row.commits_lost == 1
