"""Commands and their output in the notebook."""

from __future__ import annotations

from typing import Any, cast

from git_to_pod.cluster.api import Cluster, KubectlError
from git_to_pod.report import console


class FakeCluster:
    def __init__(self, output: str | Exception) -> None:
        self.output = output
        self.arguments: tuple[str, ...] = ()

    def kubectl(self, *arguments: str, **_: Any) -> str:  # noqa: ANN401
        self.arguments = arguments
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


def shown(cluster: FakeCluster, *arguments: str) -> str:
    return console.kubectl(cast(Cluster, cluster), "mine", *arguments).text


def test_the_command_stands_before_its_output_and_runs_in_the_namespace() -> None:
    cluster = FakeCluster("NAME  READY\napp-1 2/2\n")
    assert shown(cluster, "get", "pods").endswith("$ kubectl get pods</b>\nNAME  READY\napp-1 2/2</pre>")
    assert cluster.arguments == ("get", "pods", "--namespace=mine")


def test_output_is_escaped() -> None:
    assert "&lt;none&gt;" in shown(FakeCluster("<none>"), "get", "services")


def test_a_command_that_fails_shows_its_error_and_does_not_end_the_run() -> None:
    refused = KubectlError("get", "services is forbidden")
    assert "services is forbidden" in shown(FakeCluster(refused), "get", "services")
