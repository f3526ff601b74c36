"""The size at which a candidate is cheaper than the deployed design, from the idle cost of the same run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from git_to_pod.experiments.results import ResultRow
from git_to_pod.wording import counted, millicores, names

REPLICAS = 2  # that every candidate had when its idle cost was measured
MIB = 2**20


def sizes(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    """A line for each other candidate; none without the deployed one. `rows` are summary.json's alternatives."""
    by_key = {row["key"]: row for row in rows}
    compared: dict[str, Callable[[Any, Any], tuple[str, str]]] = {
        "polling": in_every_pod,
        "patching": without_controller,
        "flux": shared,
    }
    if "deployed" not in by_key:
        return []
    return [
        {"candidate": by_key[key]["name"], "cheaper": size, "because": because}
        for key, compare in compared.items()
        if key in by_key
        for size, because in [compare(by_key["deployed"], by_key[key])]
    ]


def in_every_pod(deployed: ResultRow, other: ResultRow) -> tuple[str, str]:
    """Its cost grows with the pods; that of one poller does not."""
    each, once = (other["cpu_cores"] or math.nan) / REPLICAS, deployed["cpu_cores"] or math.nan
    if math.isnan(each) or math.isnan(once):
        return "not measured", "the CPU of one of the two was not measured"
    even = max(math.ceil(once / each) - 1, 0)
    size = {0: "never", 1: "for a single pod"}.get(even, f"up to {even} pods")
    return size, f"each pod that polls takes {millicores(each)}; the deployed design takes {millicores(once)} in all"


def without_controller(deployed: ResultRow, other: ResultRow) -> tuple[str, str]:
    """Its hook and its Role name each Deployment."""
    objects, rights, mib = saved(deployed, other)
    savings = [f"{mib} MiB"] if mib > 0 else []
    savings += [counted(n, noun) for n, noun in ((objects, "object"), (rights, "right")) if n > 0]
    saves = f", which saves {names(savings)}" if savings else ""
    return (
        "measured for one",
        f"it needs no Reloader{saves}; for each further Deployment, its hook and its Role need one more name",
    )


def saved(deployed: ResultRow, other: ResultRow) -> tuple[int, int, int]:
    """How many objects, rights and MiB the other candidate needs less than the deployed one."""
    objects = sum(deployed["objects"].values()) - sum(other["objects"].values())
    mib = round((deployed["memory_bytes"] - other["memory_bytes"]) / MIB)
    return objects, deployed["rights_pairs"] - other["rights_pairs"], mib


def shared(deployed: ResultRow, other: ResultRow) -> tuple[str, str]:
    """Its controllers serve the whole cluster; a poller and a Reloader serve a namespace."""
    if not deployed["memory_bytes"] or not other["memory_bytes"]:
        return "not measured", "the memory of one of the two was not measured"
    count = namespaces(deployed, other)
    return (
        f"from about {count} namespaces with a repository of their own" if count > 1 else "from one namespace on",
        f"its controllers take {other['memory_bytes'] / MIB:.0f} MiB once; the deployed design takes "
        f"{deployed['memory_bytes'] / MIB:.0f} MiB in each namespace",
    )


def namespaces(deployed: ResultRow, other: ResultRow) -> int:
    """The number of namespaces whose pollers and Reloaders take as much memory as the other candidate's controllers."""
    return math.ceil(float(other["memory_bytes"]) / float(deployed["memory_bytes"]))
