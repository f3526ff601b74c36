"""Several Deployments follow one commit, on the lab's simulated node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.app import App
from git_to_pod.cluster.api import connect
from git_to_pod.cluster.paths import api_path
from git_to_pod.experiments.effort import SMALLEST, VARIABLE
from git_to_pod.experiments.scale import fan_out
from git_to_pod.git.repository import open_repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Parameters, resolve

NAMESPACE = "git-to-pod-fan-out"


def test_each_is_told_then_restarted_and_nothing_is_left(
    lab: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not lab["simulated_nodes"]:
        pytest.skip("the lab that is up was started without KWOK (scripts/lab up --extras)")
    monkeypatch.setenv(VARIABLE, "smallest")
    settings = resolve(Parameters(namespace=NAMESPACE, commits=1, output=str(tmp_path)))
    assert settings.lab
    cluster = connect(settings)
    app = App(cluster, settings, open_repository(settings))
    try:
        app.deploy()
        fans = fan_out.run_fan_out(cluster, app.recorder, settings, settings.lab, Progress())
        assert [fan.deployments for fan in fans] == list(SMALLEST.fan_out)
        for fan in fans:
            assert 0 < fan.last_patched_s < fan.last_restarted_s
            assert fan.api_writes > 5 * fan.deployments  # the template, two ReplicaSets, the pods, and each status
            assert fan.reloader_memory_bytes > 0
        assert cluster.find(api_path("Node", name=fan_out.NODE)) is None
        left = cluster.items(api_path("Deployment", NAMESPACE), labelSelector="git-to-pod/fan-out")
        assert left == []
    finally:
        app.remove()
        app.close()
