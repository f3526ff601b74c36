"""The definitions that Flux needs: this run's, those that an interrupted run left, and a user's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from git_to_pod.app.namespace import MARK
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.flux import DEFINITIONS, KINDS, definition, definitions, unavailable
from git_to_pod.watchdog import RUN_LABEL, run_id
from tests.samples import SETTINGS

NAMES = {f"{plural}.{group}" for plural, group in KINDS.values()}


class FakeCluster:
    """Definitions by path; each kind is served at once and has no objects."""

    def __init__(self, **labels: str) -> None:
        self.found = {f"{DEFINITIONS}/{name}": self.definition(name, labels) for name in (NAMES if labels else ())}

    def definition(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        plural, _, group = name.partition(".")
        return {"metadata": {"name": name, "labels": labels}, "spec": {"group": group, "names": {"plural": plural}}}

    def find(self, path: str) -> dict[str, Any] | None:
        return self.found.get(path)

    def delete(self, path: str) -> bool:
        return self.found.pop(path, None) is not None

    def apply(self, path: str, body: dict[str, Any]) -> None:
        assert f"{path}/{body['metadata']['name']}" not in self.found, "an earlier run's definition is removed first"
        self.found[f"{path}/{body['metadata']['name']}"] = body

    def request(self, _method: str, _path: str) -> Any:  # noqa: ANN401
        return type("Response", (), {"status": 200})


def lab_settings() -> Any:  # noqa: ANN401
    images = [{"ref": f"ghcr.io/fluxcd/{name}:v1.9.5"} for name in ("source-controller", "kustomize-controller")]
    return replace(SETTINGS, lab=cast(Any, type("Lab", (), {"images": images})))


def test_definitions_that_an_earlier_run_left_are_removed_and_flux_is_measured() -> None:
    cluster = FakeCluster(**{MARK: "true", RUN_LABEL: "0000abcd"})
    assert unavailable(cast(Any, cluster), lab_settings()) == ""
    with definitions(cast(Any, cluster)):
        assert {item["metadata"]["labels"][RUN_LABEL] for item in cluster.found.values()} == {run_id()}
    assert cluster.found == {}


def test_the_flux_of_a_user_is_left_alone() -> None:
    cluster = FakeCluster(owner="a user")
    assert unavailable(cast(Any, cluster), lab_settings()) == "this cluster already has Flux"
    flux.remove_definitions(cast(Any, cluster))
    assert len(cluster.found) == len(KINDS)


def test_a_definition_has_the_runs_labels() -> None:
    assert definition("Bucket")["metadata"]["labels"] == {MARK: "true", RUN_LABEL: run_id()}
