"""The size at which each way costs less than the one deployed, from what they take at rest in the same run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from git_to_pod.evidence import Row
from git_to_pod.findings import html_table

REPLICAS = 2  # that every way had when its cost was measured
MIB = 2**20


def sizes(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line for each other way. `rows` are summary.json's alternatives, the one deployed first."""
    deployed, *others = rows
    told = {"polling": in_every_pod, "patch": without_controller, "Flux": shared}
    return [
        {"way": other["name"], "costs less": size, "because": because}
        for other in others
        for word, of in told.items()
        if word in other["name"]
        for size, because in [of(deployed, other)]
    ]


def in_every_pod(deployed: Row, other: Row) -> tuple[str, str]:
    """It grows with the pods; one poller and Reloader do not."""
    each = other["cpu_cores"] / REPLICAS
    even = max(math.ceil(deployed["cpu_cores"] / each) - 1, 0)
    several = f"up to {even} pods that follow one repository"
    size = {0: "at no size", 1: "for 1 pod that follows one repository"}.get(even, several)
    once = f"one poller and Reloader {millicores(deployed['cpu_cores'])} for any number of pods"
    return size, f"a pod that polls takes {millicores(each)} at rest; {once}"


def without_controller(deployed: Row, other: Row) -> tuple[str, str]:
    """Its hook and its Role name each Deployment."""
    saved = (deployed["memory_bytes"] - other["memory_bytes"]) / MIB
    objects = sum(deployed["objects"].values()) - sum(other["objects"].values())
    rights = deployed["rights_pairs"] - other["rights_pairs"]
    return (
        "while one Deployment follows",
        f"no Reloader: {saved:.0f} MiB, {objects} objects and {rights} rights less; every further Deployment has to be "
        "named in the hook and in its Role",
    )


def shared(deployed: Row, other: Row) -> tuple[str, str]:
    """Its controllers serve the whole cluster; a poller and a Reloader serve a namespace."""
    even = math.ceil(other["memory_bytes"] / deployed["memory_bytes"])
    each = f"its controllers take {other['memory_bytes'] / MIB:.0f} MiB once, a poller and Reloader"
    return (
        f"from about {even} namespaces with a repository of their own",
        f"{each} {deployed['memory_bytes'] / MIB:.0f} MiB in each",
    )


def millicores(cores: float) -> str:
    return f"{1000 * cores:.0f} thousandths of a core"


def shown(rows: Sequence[Row]) -> str:
    """The table, as HTML."""
    return html_table(sizes(rows), "The size at which each way costs less than the one deployed")
