"""The size at which a candidate is cheaper."""

from __future__ import annotations

from typing import Any

import pytest

from git_to_pod.experiments.alternatives.break_even import sizes


def candidate(key: str, cpu: float | None, mib: int, objects: int, rights: int) -> dict[str, Any]:
    return {
        "key": key,
        "name": f"candidate {key}",
        "cpu_cores": cpu,
        "memory_bytes": mib * 2**20,
        "objects": {"all": objects},
        "rights_pairs": rights,
    }


DEPLOYED = candidate("deployed", 0.1, 25, 12, 9)


@pytest.mark.parametrize(("cpu", "size"), [(0.08, "up to 2 pods"), (0.11, "for a single pod"), (0.3, "never")])
def test_polling_in_every_pod_is_cheaper_below_the_pods_that_cost_as_much(cpu: float, size: str) -> None:
    (line,) = sizes([DEPLOYED, candidate("polling", cpu, 20, 11, 9)])
    assert line["cheaper"] == size


def test_what_is_saved_without_a_controller_is_counted() -> None:
    (line,) = sizes([DEPLOYED, candidate("patching", 0.1, 15, 8, 2)])
    assert "saves 10 MiB, 4 objects and 7 rights" in line["because"]


def test_controllers_for_the_whole_cluster_pay_off_with_the_namespaces() -> None:
    (line,) = sizes([DEPLOYED, candidate("flux", 0.1, 110, 30, 60)])
    assert line["cheaper"] == "from about 5 namespaces with a repository of their own"


def test_what_was_not_measured_is_said_to_be_so() -> None:
    lines = sizes(
        [candidate("deployed", None, 0, 12, 9), candidate("polling", None, 0, 1, 1), candidate("flux", 1, 1, 1, 1)]
    )
    assert [line["cheaper"] for line in lines] == ["not measured", "not measured"]
    assert sizes([candidate("flux", 1, 1, 1, 1)]) == []
    assert sizes([]) == []
