"""What a report says of the cluster and its images."""

from typing import Any, cast

from git_to_pod.cluster.api import Unreachable
from git_to_pod.evaluation.environment import nginx_version
from tests.samples import SETTINGS


def test_the_version_of_a_pod_that_does_not_answer_is_unknown() -> None:
    class Silent:
        def request(self, *_: str) -> None:
            raise Unreachable("https://127.0.0.1", OSError("read timed out"))

    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pod = {"metadata": {"name": "app-1", "labels": {"app": "app"}}, "status": ready}
    assert nginx_version(cast(Any, Silent()), SETTINGS, [pod]) == "unknown"
