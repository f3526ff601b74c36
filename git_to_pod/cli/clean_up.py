"""scripts/evaluate --clean-up: remove what runs left on a cluster, if no watchdog could do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from git_to_pod.app.namespace import BESIDE, MARK, STARTED, STARTED_BY, claim_of, request_deletion, wait_until_gone
from git_to_pod.cli.terminal import print_line
from git_to_pod.cluster.api import ApiError, Cluster, Object, reach
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments.alternatives.flux import DEFINITIONS, release
from git_to_pod.settings import InputError, Parameters, check_values, existing, running_lab
from git_to_pod.watchdog import RUN_LABEL

BELONG = ("git", *BESIDE)  # suffixes of the other namespaces of a run
NODE, SIMULATED = "simulated", "git-to-pod/simulated"  # the second notebook's simulated node, and the lab's label on it


def run(context: str, kubeconfig: str, namespace: str | None, timeout_s: float) -> int:
    """Remove one namespace and what belongs to its run, or what ended runs left. Prints each object, and returns 0.

    Raises InputError, ApiError, and TimedOut if a namespace does not terminate.
    """
    if namespace is not None:  # an empty one must not mean all
        check_values(Parameters(namespace=namespace))
    cluster = chosen_cluster(context, kubeconfig)
    empty = True
    for line in clean_up(cluster, namespace, timeout_s):
        print_line(line)
        empty = False
    if empty:
        print_line(f"nothing to remove on {cluster.server}")
    return 0


def chosen_cluster(context: str, kubeconfig: str) -> Cluster:
    """The cluster of the context, or the running lab. Raises InputError."""
    if context:
        return reach(context, existing(kubeconfig, "--kubeconfig"))
    if lab := running_lab():
        return reach(lab.context, Path(lab.kubeconfig))
    raise InputError("--clean-up: no cluster; name a kubeconfig context (--context NAME)")


def clean_up(cluster: Cluster, namespace: str | None, timeout_s: float) -> Iterator[str]:
    """Remove what runs left; without `namespace`, not what a run may still use or keeps.

    Yields one line for each object that is gone, and for each namespace that stays. Raises InputError and TimedOut.
    """
    if namespace:
        found = named(cluster, namespace)
        runs = {run_of(item) for item in found} - {""}
        yield from remove_cluster_scoped(cluster, lambda item: run_of(item) in runs)
    else:
        found, everything = [], all_namespaces(cluster)
        claims = {run_of(item): claim for item in everything if (claim := claim_of(item))}
        for item in everything:
            name, claim = item["metadata"]["name"], claims.get(run_of(item), "")
            if claim:
                yield f"left namespace {name}: {claim}; --clean-up --namespace {name} removes it"
            else:
                found.append(item)
        yield from remove_cluster_scoped(cluster, lambda item: run_of(item) not in claims)
    for item in found:
        request_deletion(cluster, item["metadata"]["name"])
    late = []
    for item in found:
        try:
            wait_until_gone(cluster, item["metadata"]["name"], timeout_s)
            yield f"removed {described(item)}"
        except TimedOut as error:
            late.append(str(error))
    if late:
        raise TimedOut("; ".join(late))


def all_namespaces(cluster: Cluster) -> list[Object]:
    """Every namespace that a run created. Raises InputError if this user may not list namespaces."""
    try:
        return cluster.items(api_path("Namespace"), labelSelector=MARK)
    except ApiError as error:
        if error.status != 403:
            raise
        raise InputError(
            f"--context {cluster.context}: this user cannot list namespaces; add --namespace NAME"
        ) from None


def named(cluster: Cluster, namespace: str) -> list[Object]:
    """The namespace and those that belong to the same run, as far as they exist. Raises InputError."""
    first = cluster.find(api_path("Namespace", name=namespace))
    if first and not is_of_a_run(first):
        raise InputError(f"--namespace {namespace}: no evaluation created it; name another one")
    found = [first] if first else []
    for end in BELONG:
        try:
            other = cluster.find(api_path("Namespace", name=f"{namespace}-{end}"))
        except ApiError as error:
            if error.status != 403:
                raise
            continue  # a user who may not see it has not created it
        found += [other] if other and is_of_a_run(other) else []
    return found


def is_of_a_run(item: Object) -> bool:
    return MARK in item["metadata"].get("labels", {})


def run_of(item: Object) -> str:
    """The id of the run that created it; empty if it says none."""
    return str(item["metadata"].get("labels", {}).get(RUN_LABEL, ""))


def described(namespace: Object) -> str:
    """The namespace's name, and who started the run and when, if it says so."""
    name, notes = namespace["metadata"]["name"], namespace["metadata"].get("annotations", {})
    if STARTED_BY not in notes:
        return f"namespace {name}"
    return f"namespace {name} (started by {notes[STARTED_BY]} at {notes.get(STARTED, 'an unknown time')})"


def remove_cluster_scoped(cluster: Cluster, chosen: Callable[[Object], bool]) -> Iterator[str]:
    """Remove those of the second notebook's CustomResourceDefinitions and of its simulated node that are chosen.

    Does nothing if this user may not see them.
    """
    try:
        for item in cluster.items(DEFINITIONS, labelSelector=MARK):
            if not chosen(item):
                continue
            name = item["metadata"]["name"]
            release(cluster, item["spec"]["names"]["plural"], item["spec"]["group"])
            cluster.delete(f"{DEFINITIONS}/{name}")
            yield f"removed customresourcedefinition {name}"
        node = cluster.find(api_path("Node", name=NODE))
        if node and SIMULATED in node["metadata"].get("labels", {}) and chosen(node):
            cluster.delete(api_path("Node", name=NODE))
            yield f"removed node {NODE}"
    except ApiError as error:
        if error.status != 403:
            raise
