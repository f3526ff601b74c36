"""Waits on recorded events, with a fake clock, and their timeout messages."""

from __future__ import annotations

import threading

import pytest

from git_to_pod.cluster import TimedOut, wait_for
from git_to_pod.deploy import settled
from git_to_pod.observe import Event, Recorder, described, is_complete, serving
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
