"""Waits on recorded events, with a fake clock, and their timeout messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from git_to_pod.cluster.api import ApiError, Cluster, Object
from git_to_pod.cluster.recorder import Event, Recorder, WatchEnded
from git_to_pod.cluster.status import described, is_complete, serving, settled
from git_to_pod.cluster.waiting import TimedOut, wait_for
from tests.samples import deployment, pod


class Clock:
    """Advances by ten seconds at each reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


def slices(*ready: str) -> Event:
    endpoints = [{"targetRef": {"name": name}, "conditions": {"ready": True}} for name in ready]
    endpoints.append({"targetRef": {"name": "leaving"}, "conditions": {"ready": False}})
    metadata = {"name": "app-x", "labels": {"kubernetes.io/service-name": "app"}}
    return Event(0.0, "EndpointSlice", "ADDED", {"metadata": metadata, "endpoints": endpoints})


def test_a_timeout_names_the_condition_and_the_last_state_seen() -> None:
    recorder = Recorder(Clock())
    recorder.see(deployment(0.0, "new", updated=1, total=3, ready=1))
    waiting = pod(0.0, "app-x")
    waiting.object["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"name": "git-sync", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}],
    }
    recorder.see(waiting)
    with pytest.raises(TimedOut) as caught:
        recorder.wait_for("deployment/app restarted", lambda: None, 5.0, lambda: described(recorder, "app"))
    assert str(caught.value) == (
        "deployment/app restarted: not within 5 s; last seen: deployment/app 1 of 2 updated, 1 ready, "
        "pod/app-x waiting: CreateContainerConfigError"
    )


def test_a_deployment_whose_pods_are_refused_says_why() -> None:
    """A quota, an admission policy or Pod Security: the pods do not exist, so only the Deployment knows."""
    message = "pods \"app-x\" is forbidden: ValidatingAdmissionPolicy 'team' denied request:\nno label team"
    conditions = [
        {"type": "Progressing", "status": "True", "message": "ReplicaSet is progressing"},
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
    ]
    recorder, seen = Recorder(), deployment(0.0, "new")
    seen.object["status"]["conditions"] = conditions
    recorder.see(seen)
    assert described(recorder, "app") == (
        "deployment/app 0 of 2 updated, 0 ready, "
        "pods \"app-x\" is forbidden: ValidatingAdmissionPolicy 'team' denied request: no label team"
    )


def test_a_wait_ends_with_the_event_it_waits_for() -> None:
    recorder = Recorder()
    timer = threading.Timer(0.05, recorder.see, [deployment(1.0, "new", updated=2, total=2, ready=2)])
    timer.start()
    found = recorder.wait_for("it", lambda: recorder.get("Deployment", "app"), 5.0, lambda: "nothing")
    assert is_complete(found)


def test_a_timeout_of_polling_names_the_last_state_too() -> None:
    with pytest.raises(TimedOut, match="it: not within 0 s; last seen: HTTP 503"):
        wait_for("it", lambda: None, 0.01, lambda: "HTTP 503")


def test_settled_means_that_the_service_has_the_new_pods_and_no_others() -> None:
    recorder = Recorder()
    recorder.see(deployment(0.0, "new", updated=2, total=2, ready=2))
    for name in ("app-3", "app-4"):
        recorder.see(pod(0.0, name, ready=True))
    recorder.see(slices("app-3", "app-4", "app-1"))
    assert not settled(recorder, "app", 2)
    recorder.see(slices("app-3", "app-4"))
    assert serving(recorder, "app") == {"app-3", "app-4"}
    assert settled(recorder, "app", 2)


def test_a_deleted_object_is_removed_from_the_state() -> None:
    recorder = Recorder()
    recorder.see(pod(0.0, "app-1"))
    recorder.see(Event(1.0, "Pod", "DELETED", pod(1.0, "app-1").object))
    assert recorder.get("Pod", "app-1") is None
    assert len(recorder.events) == 2


class Failing:
    """Answers each list with an error."""

    server = "https://127.0.0.1"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, _path: str) -> Object:
        raise self.error


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.stop()


def test_a_timeout_names_the_watches_that_fail(recorder: Recorder) -> None:
    forbidden = ApiError("GET", "/api", 403, b'{"message": "you may not list"}')
    recorder.follow(cast(Cluster, Failing(forbidden)), "n")
    with pytest.raises(TimedOut) as caught:
        recorder.wait_for("it", lambda: None, 0.3, lambda: "nothing")
    assert str(caught.value) == (
        "it: not within 0 s; last seen: nothing; the watches of Deployment, ReplicaSet, Pod, ConfigMap, EndpointSlice "
        "objects fail, the first one with: GET /api: 403 you may not list"
    )
    recorder.reflectors = {"Pod": recorder.reflectors["Pod"]}
    assert recorder.failing() == "; the watch of Pod objects fails: GET /api: 403 you may not list"


def test_a_wait_raises_when_a_watch_has_ended(recorder: Recorder) -> None:
    recorder.follow(cast(Cluster, Failing(ZeroDivisionError("a fault of this program"))), "n")
    with pytest.raises(
        WatchEnded, match="it: the watch of .* objects ended: ZeroDivisionError: a fault of this program"
    ):
        recorder.wait_for("it", lambda: None, 60, lambda: "nothing")


def test_managed_fields_are_not_kept(recorder: Recorder) -> None:
    event = pod(0.0, "app-1")
    event.object["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    recorder.see(event)
    assert "managedFields" not in recorder.all("Pod")[0]["metadata"]
    assert "managedFields" not in recorder.events[0].object["metadata"]
