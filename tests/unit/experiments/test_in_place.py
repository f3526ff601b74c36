"""How a restart of all containers is seen in the events of the pods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from git_to_pod.cluster.recorder import Event
from git_to_pod.experiments.alternatives import approaches
from git_to_pod.experiments.alternatives.in_place import RestartInPlace, container_ids, restarts
from tests.samples import SETTINGS


def pod(name: str, *, git_sync: int, nginx: int, ready: bool = True, ended: bool = False) -> dict[str, Any]:
    """A pod whose containers have restarted as often. `ended`: its git-sync has ended and runs no more."""
    running: dict[str, Any] = {"running": {}}
    over: dict[str, Any] = {"terminated": {"exitCode": 143}}
    status = {
        "initContainerStatuses": [
            {
                "name": "git-sync",
                "containerID": f"git-sync-{git_sync}",
                "restartCount": git_sync,
                "state": over if ended else running,
            }
        ],
        "containerStatuses": [
            {"name": "nginx", "containerID": f"nginx-{nginx}", "restartCount": nginx, "state": running}
        ],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    return {"metadata": {"name": name, "labels": {"app": "app"}}, "spec": {"nodeName": "node"}, "status": status}


def event(instant: float, item: dict[str, Any]) -> Event:
    return Event(instant, "Pod", "MODIFIED", item)


def following(*names: str) -> RestartInPlace:
    before = {name: container_ids(pod(name, git_sync=0, nginx=0)) for name in names}
    return RestartInPlace("app", {}, set(), replicas=len(names), before=before)


def test_it_is_requested_by_the_first_git_sync_that_ends_and_complete_with_the_last_pod() -> None:
    restart = following("a", "b")
    restart.see(event(1, pod("a", git_sync=0, nginx=0, ended=True)))
    restart.see(event(2, pod("a", git_sync=1, nginx=0, ready=False)))
    restart.see(event(3, pod("a", git_sync=1, nginx=1)))
    assert restart.instants == {"requested": 1}
    restart.see(event(4, pod("b", git_sync=1, nginx=1, ready=False)))
    assert "restarted" not in restart.instants
    restart.see(event(5, pod("b", git_sync=1, nginx=1)))
    assert restart.instants == {
        "requested": 1,
        "git_sync_running": 4,
        "app_running": 4,
        "ready": 5,
        "restarted": 5,
    }


def test_a_pod_that_is_ready_with_its_old_containers_has_not_restarted() -> None:
    restart = following("a")
    restart.see(event(1, pod("a", git_sync=0, nginx=0)))
    restart.see(event(2, pod("a", git_sync=1, nginx=0)))
    assert restart.instants == {"requested": 2, "git_sync_running": 2}


def test_events_of_other_pods_do_not_count() -> None:
    restart = following("a")
    restart.see(event(1, pod("b", git_sync=1, nginx=1)))
    assert restart.instants == {}


def test_the_restarts_of_a_burst_are_those_of_the_pod_that_restarted_most_often() -> None:
    seen = [(1, "a", 2), (2, "b", 5), (3, "a", 3), (4, "b", 9), (5, "a", 4)]
    events = [event(at, pod(name, git_sync=0, nginx=count)) for at, name, count in seen]
    assert restarts(events, {}) == 4
    assert restarts([], {}) == 0


@pytest.mark.parametrize(("minor", "has_it"), [("35", False), ("36", True), ("37+", True)])
def test_it_needs_kubernetes_1_36(minor: str, has_it: bool) -> None:
    cluster = cast(Any, SimpleNamespace(get=lambda _path: {"major": "1", "minor": minor}))
    assert (approaches.IN_PLACE.unavailable(cluster, SETTINGS) == "") is has_it
