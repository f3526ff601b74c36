"""An API server that cannot reach the pods is named as such, with the way out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_to_pod.app import pod_proxy
from git_to_pod.app.pod_proxy import check_proxy
from git_to_pod.cluster import api
from git_to_pod.settings import InputError
from tests.api_server import ApiServer

PATH = "/api/v1/namespaces/mine/pods/{}:8080/proxy/"
REFUSED = "error trying to reach service: dial tcp 10.0.0.7:8080: i/o timeout"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(pod_proxy, "REACH_S", 0.5)
    with ApiServer(tmp_path) as running:
        yield running


def test_pods_that_answer_pass_whatever_their_status(server: ApiServer) -> None:
    server.answers[PATH.format("app-2")] = 404  # a commit without an index page
    check_proxy(server.cluster(), "mine", ["app-1", "app-2"])


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_pod_that_the_api_server_cannot_reach_is_named_with_the_next_step(server: ApiServer, status: int) -> None:
    server.answers[PATH.format("app-2")] = (status, {"kind": "Status", "message": REFUSED})
    with pytest.raises(InputError) as caught:
        check_proxy(server.cluster(), "mine", ["app-1", "app-2"])
    message = str(caught.value)
    assert "the API server cannot reach port 8080 of Ready pods in namespace mine" in message
    assert f"pod/app-2: {status} {REFUSED}" in message
    assert "app-1" not in message
    assert "open TCP port 8080 of the pods to the control plane" in message
    assert "\n" not in message


def test_a_pod_that_answers_after_a_moment_passes(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_proxy, "REACH_S", 5)
    path = PATH.format("app-1")
    server.answers[path] = (503, {"message": REFUSED})
    cluster, request = server.cluster(), api.Cluster.request

    def second_time(*arguments: object, **named: object) -> object:
        answer = request(*arguments, **named)  # type: ignore[arg-type]
        server.answers.pop(path, None)
        return answer

    monkeypatch.setattr(api.Cluster, "request", second_time)
    check_proxy(cluster, "mine", ["app-1"])


def test_a_proxy_that_does_not_answer_in_time_counts_as_unreachable(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "REQUEST_S", 0.3)
    request = api.Cluster.request

    def short(cluster: api.Cluster, method: str, path: str) -> object:
        return request(cluster, method, path, timeout_s=0.3)

    monkeypatch.setattr(api.Cluster, "request", short)
    server.answers[PATH.format("app-1")] = lambda: time.sleep(2)
    with pytest.raises(InputError, match="pod/app-1: no answer from https://127.0.0.1"):
        check_proxy(server.cluster(), "mine", ["app-1"])
