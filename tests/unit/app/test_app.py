"""The app under test, with a scripted API server, a scripted recorder and no git."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any, cast

import pytest

from git_to_pod.app import app as app_module
from git_to_pod.app.app import NOT_PUBLISHED, App, deployments
from git_to_pod.app.deployment import stamp
from git_to_pod.cluster.api import Unreachable
from git_to_pod.cluster.recorder import Event
from git_to_pod.cluster.waiting import TimedOut
from tests.samples import SETTINGS, deployment, published
from tests.samples import pod as app_pod

OLD, NEW = "0" * 40, "1" * 40


class FakeRepository:
    """Commits are numbered; each holds its text."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.contents: dict[str, bytes] = {}
        self.closed = False

    def commit(self, text: str) -> str:
        commit = f"{len(self.contents) + 1:040x}"
        self.contents[commit] = text.encode()
        return commit

    def push(self, commit: str) -> float:
        self.pushed.append(commit)
        return 0.0

    def close(self) -> None:
        self.closed = True


class Response:
    def __init__(self, commit: str, body: bytes) -> None:
        self.status, self.data = 200, body
        self.headers = {"X-Git-Commit": commit}


class FakeCluster:
    """Answers for each pod with a commit and a file, or raises Unreachable; remembers each patch."""

    def __init__(self) -> None:
        self.serving: dict[str, tuple[str, bytes]] = {}
        self.ready = 0
        self.patches: list[tuple[str, Any]] = []

    def request(self, _method: str, path: str) -> Response:
        name = path.split("/pods/")[1].split(":")[0]
        if name not in self.serving:
            raise Unreachable("https://127.0.0.1", OSError("refused"))
        return Response(*self.serving[name])

    def patch(self, path: str, body: object) -> None:
        self.patches.append((path, body))

    def get(self, _path: str) -> dict[str, Any]:
        return {"status": {"readyReplicas": self.ready}}


def app_with(cluster: FakeCluster | None = None, timeout_s: float = 0.2) -> App:
    settings = replace(SETTINGS, replicas=1, timeout_s=timeout_s)
    return App(cast(Any, cluster or FakeCluster()), settings, cast(Any, FakeRepository()))


def endpoints(*names: str) -> Event:
    ready = [{"targetRef": {"name": name}, "conditions": {"ready": True}} for name in names]
    metadata = {"name": "app-1", "labels": {"kubernetes.io/service-name": "app"}}
    return Event(1.0, "EndpointSlice", "MODIFIED", {"metadata": metadata, "endpoints": ready})


def complete(name: str) -> Event:
    event = deployment(1.0, "new", replicas=1, updated=1, total=1, ready=1)
    event.object["metadata"]["name"] = name
    return event


def settle(app: App, commit: str) -> None:
    """Let the recorder see complete Deployments, one Ready pod in the Service, and this published commit."""
    seen = [
        *map(complete, deployments()),
        app_pod(1.0, "app-1", ready=True),
        endpoints("app-1"),
        published(1.0, commit),
    ]
    for event in seen:
        app.recorder.see(event)


def test_a_push_becomes_the_head() -> None:
    app = app_with()
    assert app.head == ""
    commit = app.push("first")
    assert app.head == commit == app.repository.pushed[-1]
    assert app.repository.contents[commit] == b"first\n"


def test_the_published_commit_is_that_of_the_config_map() -> None:
    app = app_with()
    assert app.published() == NOT_PUBLISHED
    app.recorder.see(published(1.0, NEW))
    assert app.published() == NEW


def test_a_pod_serves_a_commit_only_with_that_commits_file() -> None:
    cluster = FakeCluster()
    app = app_with(cluster)
    commit = app.push("text")
    app.recorder.see(app_pod(1.0, "app-1"))
    app.recorder.see(app_pod(1.0, "app-2", leaving=True))
    cluster.serving["app-1"] = (commit, b"text\n")
    assert app.served() == {"app-1": commit}
    assert app.serves(commit)
    cluster.serving["app-1"] = (commit, b"another text\n")
    assert app.served() == {"app-1": f"wrong content for {commit}"}
    assert not app.serves(commit)


def test_a_pod_that_does_not_answer_serves_nothing() -> None:
    app = app_with()
    app.recorder.see(app_pod(1.0, "app-1"))
    assert app.served_if_reachable() == {}
    with pytest.raises(Unreachable):
        app.served()


def test_without_a_pod_no_commit_is_served() -> None:
    assert not app_with().serves(NEW)


def test_normal_needs_the_head_published_and_served_and_no_rollout() -> None:
    cluster = FakeCluster()
    app = app_with(cluster)
    commit = app.push("text")
    settle(app, commit)
    cluster.serving["app-1"] = (commit, b"text\n")
    assert app.is_normal()
    app.recorder.see(published(2.0, OLD))
    assert not app.is_normal()
    app.recorder.see(published(3.0, commit))
    app.recorder.see(deployment(3.0, "newer", replicas=1, updated=0, total=1, ready=1))
    assert not app.is_normal()


def test_normal_must_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that changes right after the app looked normal makes the wait begin anew."""
    cluster = FakeCluster()
    app = app_with(cluster)
    commit = app.push("text")
    settle(app, commit)
    cluster.serving["app-1"] = (commit, b"text\n")
    pauses = []

    def patched(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            app.recorder.see(deployment(2.0, "newer", replicas=1, updated=1, total=1, ready=1))

    monkeypatch.setattr(app_module, "pause", patched)
    app.wait_normal(5)
    assert pauses == [app_module.NEXT_PATCH_S] * 2


def test_a_wait_for_a_commit_names_what_is_published() -> None:
    cluster = FakeCluster()
    app = app_with(cluster)
    settle(app, OLD)
    cluster.serving["app-1"] = (OLD, b"")
    with pytest.raises(TimedOut, match=r"serving 11111111.*published: 00000000"):
        app.wait_served(NEW)
    app.wait_served(OLD)


def test_a_deployment_is_complete_only_with_the_stamp_of_its_commit() -> None:
    app = app_with(timeout_s=0.05)
    commit = app.push("first")
    settle(app, commit)
    with pytest.raises(TimedOut, match="in the Service: app-1"):
        app.wait_deployed()
    event = deployment(2.0, stamp(commit), replicas=1, updated=1, total=1, ready=1)
    app.recorder.see(event)
    app.wait_deployed()


def test_scaling_waits_until_all_pods_are_ready_and_the_others_gone() -> None:
    cluster = FakeCluster()
    app = app_with(cluster)
    app.recorder.see(app_pod(1.0, "app-1"))
    with pytest.raises(TimedOut, match="app has 1 pods"):
        app.scale("app", 1)
    assert cluster.patches == [("/apis/apps/v1/namespaces/git-to-pod/deployments/app", {"spec": {"replicas": 1}})]
    cluster.ready = 1
    app.scale("app", 1)
    app.recorder.see(app_pod(2.0, "app-2", leaving=True))
    assert not app.is_scaled("app", 1)


def test_a_restart_changes_the_annotation_that_kubectl_changes() -> None:
    cluster = FakeCluster()
    app_with(cluster).restart("git-poller", "app")
    assert [path.rpartition("/")[2] for path, _ in cluster.patches] == ["git-poller", "app"]
    for _, body in cluster.patches:
        assert "kubectl.kubernetes.io/restartedAt" in body["spec"]["template"]["metadata"]["annotations"]


def test_closing_ends_the_recording() -> None:
    app = app_with()
    app.close()
    assert app.recorder.stopped.is_set()
    assert cast(Any, app.repository).closed


def test_a_recording_ends_with_its_owner() -> None:
    """A cell of the notebook that deploys again replaces the App."""
    app = app_with()
    recorder = app.recorder
    del app
    gc.collect()
    assert recorder.stopped.is_set()
