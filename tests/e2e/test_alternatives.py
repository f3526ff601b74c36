"""The API server accepts every candidate's manifests as they are written, Flux's custom resources apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.overlay import ALTERNATIVES, write_overlay
from git_to_pod.cluster.api import Cluster, connect
from git_to_pod.cluster.paths import api_path
from git_to_pod.settings import Parameters, Settings, resolve

NAMESPACE = "git-to-pod-dry-run"
BASES = sorted(path.parent.name for path in ALTERNATIVES.glob("*/kustomization.yaml"))


@pytest.fixture(scope="module")
def empty(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Settings]]:
    settings = resolve(Parameters(namespace=NAMESPACE, output=str(tmp_path_factory.mktemp("report"))))
    cluster = connect(settings)
    cluster.apply(api_path("Namespace"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield cluster, settings
    cluster.delete(api_path("Namespace", name=NAMESPACE))


@pytest.mark.parametrize("base", [name for name in BASES if name != "flux"])
def test_the_api_server_accepts_it(empty: tuple[Cluster, Settings], base: str, tmp_path: Path) -> None:
    cluster, settings = empty
    write_overlay(tmp_path, settings, f"alternatives/{base}")
    accepted = cluster.kubectl("apply", "--dry-run=server", f"--kustomize={tmp_path}")
    assert "deployment.apps/app created" in accepted
    assert "Warning" not in accepted
