"""The candidates on a real API server: it accepts their manifests, and nothing of Flux outlasts a run."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.namespace import create_namespace
from git_to_pod.app.overlay import ALTERNATIVES, write_overlay
from git_to_pod.cli.session import remove_everything
from git_to_pod.cluster.api import Cluster, connect
from git_to_pod.cluster.paths import api_path, custom_path
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.experiments.alternatives import flux
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


def test_flux_does_not_hold_up_the_end_of_a_run(empty: tuple[Cluster, Settings]) -> None:
    """A run that is ended early stops before it removes Flux, whose objects have finalizers."""
    cluster, settings = empty
    beside = replace(settings, namespace=f"{NAMESPACE}-flux")
    objects = custom_path(flux.SOURCE, "gitrepositories", beside.namespace)
    held = {
        "apiVersion": f"{flux.SOURCE}/v1",
        "kind": "GitRepository",
        "metadata": {"name": "content", "finalizers": ["finalizers.fluxcd.io"]},
    }
    try:
        create_namespace(cluster, beside.namespace, commits=1, keep=False, timeout_s=60, lab=True)
        cluster.apply(flux.DEFINITIONS, flux.definition("GitRepository"))
        wait_for("the kind GitRepository", lambda: flux.served(cluster, "GitRepository"), 30)
        cluster.apply(objects, held)
        began = time.monotonic()
        remove_everything(cluster, settings, second=True)
        assert time.monotonic() - began < 30  # with the finalizer: 60 s and a warning
        assert cluster.find(api_path("Namespace", name=beside.namespace)) is None
        wait_for("no kinds of Flux", lambda: not flux.existing_definitions(cluster), 30)
    finally:
        flux.remove_definitions(cluster)
