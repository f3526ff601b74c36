"""At what size a way costs less."""

from __future__ import annotations

from typing import Any

from git_to_pod.sizes import sizes


def way(name: str, cpu: float, mib: int, objects: int, rights: int) -> dict[str, Any]:
    return {
        "name": name,
        "cpu_cores": cpu,
        "memory_bytes": mib * 2**20,
        "objects": {"all": objects},
        "rights_pairs": rights,
    }


DEPLOYED = way("one poller, pinned pods, Reloader", 0.1, 25, 12, 9)


def test_polling_in_every_pod_is_cheaper_below_the_pods_that_cost_as_much() -> None:
    (line,) = sizes([DEPLOYED, way("git-sync polling in every pod, Reloader", 0.08, 20, 11, 9)])
    assert line["costs less"] == "up to 2 pods that follow one repository"
    (line,) = sizes([DEPLOYED, way("git-sync polling in every pod, Reloader", 0.11, 20, 11, 9)])
    assert line["costs less"] == "for 1 pod that follows one repository"
    (line,) = sizes([DEPLOYED, way("git-sync polling in every pod, Reloader", 0.3, 20, 11, 9)])
    assert line["costs less"] == "at no size"


def test_what_is_saved_without_a_controller_is_counted() -> None:
    (line,) = sizes([DEPLOYED, way("one poller that patches the pod template, no Reloader", 0.1, 15, 8, 2)])
    assert line["because"].startswith("no Reloader: 10 MiB, 4 objects and 7 rights less")


def test_controllers_for_the_whole_cluster_pay_off_with_the_namespaces() -> None:
    (line,) = sizes([DEPLOYED, way("Flux's source and kustomize controllers", 0.1, 110, 30, 60)])
    assert line["costs less"] == "from about 5 namespaces with a repository of their own"
