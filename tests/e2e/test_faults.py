"""The quick ones of the faults, for real: each must hold; one that nobody mends must not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from git_to_pod.cluster import connect, wait_for
from git_to_pod.faults import push_one, try_fault
from git_to_pod.faults_bench import Bench
from git_to_pod.faults_list import FAULTS
from git_to_pod.settings import Parameters, resolve
from git_to_pod.trials import pause

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
    "node behind Reloader when pods start",
    "Reloader killed between publish and restart",
    "git-sync killed, in the poller and in one pod",
    "content volume full",
    "git-commit deleted, and no push",
)

TWO_PROBES_S = 21  # of the poller's liveness


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


@contextmanager
def reloader_away(bench: Bench) -> Iterator[None]:
    bench.scale("reloader", 0)
    try:
        yield
    finally:
        bench.scale("reloader", 1)


def test_a_git_sync_that_starts_again_keeps_to_the_commit_that_its_pod_serves(bench: Bench) -> None:
    before = bench.head
    with reloader_away(bench):
        push_one(bench)
        bench.wait_published()
        pod = str(bench.pod("app")["metadata"]["name"])
        bench.restart("app", "git-sync")
        log = ("logs", f"--namespace={bench.settings.namespace}", pod, "--container=git-sync")
        wait_for("its log names the commit", lambda: before in bench.cluster.kubectl(*log), 20)
        assert set(bench.served().values()) == {before} != {bench.head}
    bench.wait_normal(30)


def test_a_pod_whose_stamp_never_matches_goes_on_after_a_minute(bench: Bench) -> None:
    """Else nothing could start while Reloader is away for longer, or hashes in another way."""
    with reloader_away(bench):
        bench.stamp("a commit that is never published")
        began = time.monotonic()
        bench.wait_starting_again()
        assert 60 < bench.wait_normal(120) - began < 100
    bench.wait_normal(60)


def restarts_of_the_poller(bench: Bench) -> list[int]:
    return [status["restartCount"] for status in bench.pod("git-poller")["status"]["containerStatuses"]]


def test_an_api_server_that_does_not_answer_does_not_restart_the_poller(bench: Bench) -> None:
    before = restarts_of_the_poller(bench)
    bench.component("stop", "kube-apiserver")
    try:
        pause(TWO_PROBES_S)
    finally:
        bench.component("start", "kube-apiserver")
    push_one(bench)
    bench.wait_normal(180)
    assert restarts_of_the_poller(bench) == before


def test_a_first_sync_that_takes_long_does_not_restart_the_poller(bench: Bench) -> None:
    """The last one here: it leaves a deployment without visitors."""
    bench.deploy_with(password="wrong")
    pause(TWO_PROBES_S)
    bench.apply()
    bench.wait_normal(90)
    assert restarts_of_the_poller(bench) == [0]
