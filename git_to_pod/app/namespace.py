"""A run's namespaces: created with its id, refused if they are another run's, and removed."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from git_to_pod import watchdog
from git_to_pod.cluster.api import ApiError, Cluster, Object, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.settings import InputError, Settings
from git_to_pod.watchdog import RUN_LABEL, run_id

MARK = "git-to-pod/evaluation"  # label of every namespace that a run creates
# Annotations of these namespaces
PURPOSE, STARTED_BY, STARTED, UNTIL, KEPT = (
    f"git-to-pod/{name}" for name in ("purpose", "started-by", "started", "until", "keep")
)
UNTIL_S, UNTIL_S_PER_COMMIT, UNTIL_S_IN_JUPYTER = 3 * 3600, 60, 24 * 3600  # ample: no other run removes it before
REPLACE = "GIT_TO_POD_REPLACE"  # set by --replace, also for the notebook's kernel
# Set by scripts/notebook, which keeps the deployment for more trials and removes it when it ends.
SESSION = "GIT_TO_POD_SESSION"
REMOVAL_S = 60.0
BESIDE = (  # suffixes of the second notebook's namespaces
    "faults", "deployed", "annotations", "pause", "polling", "patching", "in-place", "no-restart", "flux",
)  # fmt: skip


def check_namespace(cluster: Cluster, namespace: str) -> None:
    """Refuse a namespace that holds someone else's objects. Raises InputError."""
    if found := cluster.find(api_path("Namespace", name=namespace)):
        check_owner(found)


def check_owner(found: Object) -> None:
    """Refuse a namespace that this run may not delete. Raises InputError."""
    metadata = found["metadata"]
    namespace = metadata["name"]
    if MARK not in metadata.get("labels", {}):
        raise InputError(
            f"--namespace {namespace}: it exists and no evaluation created it; "
            f"choose another name, or remove it yourself (kubectl delete namespace {namespace})"
        )
    if is_own(found) or REPLACE in os.environ:
        return
    if claim := claim_of(found):
        raise InputError(f"--namespace {namespace}: {claim}; choose another name, or delete it with --replace")


def claim_of(namespace: Object) -> str:
    """Who may still need a namespace of an evaluation, or nothing."""
    notes = namespace["metadata"].get("annotations", {})
    run = f"the run that {notes.get(STARTED_BY, 'someone')} started at {notes.get(STARTED, 'an unknown time')}"
    if "deletionTimestamp" in namespace["metadata"]:
        return ""
    if KEPT in notes:
        return f"{run} keeps it (--keep)"
    return f"{run} may use it until {notes[UNTIL]}" if notes.get(UNTIL, "") > timestamp() else ""


def is_own(namespace: Object) -> bool:
    """Whether a namespace of an evaluation is this run's. A namespace without a run's id counts as this run's."""
    labels = namespace["metadata"].get("labels", {})
    return MARK in labels and labels.get(RUN_LABEL, run_id()) == run_id()


def labels() -> dict[str, str]:
    """The labels of every namespace, and of every cluster-scoped object, that this run creates."""
    return {MARK: "true", RUN_LABEL: run_id()}


def run_annotations(commits: int, keep: bool) -> dict[str, str]:
    """What the namespace is for, who started the run and when, and until when the run needs it."""
    limit_s = UNTIL_S_IN_JUPYTER if SESSION in os.environ else UNTIL_S + UNTIL_S_PER_COMMIT * commits
    ends = {KEPT: "true"} if keep else {UNTIL: timestamp(limit_s)}
    purpose = "evaluation of git-to-pod, kept at its end" if keep else "evaluation of git-to-pod, deleted at its end"
    return {PURPOSE: purpose, STARTED_BY: user_and_host(), STARTED: timestamp()} | ends


def timestamp(later_s: float = 0) -> str:
    """The time in UTC, as RFC 3339."""
    return (datetime.now(UTC) + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_and_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def create_namespace(cluster: Cluster, namespace: str, commits: int, keep: bool, timeout_s: float, lab: bool) -> None:
    """Create the namespace for this run, unless it is this run's already. Raises InputError."""
    path = api_path("Namespace", name=namespace)
    found = cluster.find(path)
    if found and is_own(found) and "deletionTimestamp" not in found["metadata"]:
        return
    make_room(cluster, namespace, timeout_s)
    if not keep:
        watchdog.guard_namespace(cluster, namespace, lab=lab)
    metadata = {"name": namespace, "labels": labels(), "annotations": run_annotations(commits, keep)}
    try:
        cluster.call("POST", api_path("Namespace"), {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    except ApiError as error:
        if error.status != 409:
            raise
        check_namespace(cluster, namespace)
        raise InputError(
            f"--namespace {namespace}: another run created it at the same moment; choose another name"
        ) from None


def make_room(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Delete a namespace that an earlier run left, and wait until it is gone. Raises InputError and TimedOut."""
    if found := cluster.find(api_path("Namespace", name=namespace)):
        check_owner(found)
        request_deletion(cluster, namespace)
        wait_until_gone(cluster, namespace, timeout_s)


def ask_to_remove(cluster: Cluster, namespace: str) -> bool:
    """Delete a namespace of this run without waiting; False if there is none, or if it is not this run's."""
    with suppress(Unreachable):  # the watchdog tries again
        return remove_own(cluster, namespace)
    return False


def remove_own(cluster: Cluster, namespace: str) -> bool:
    """The same, for a caller that handles Unreachable."""
    found = cluster.find(api_path("Namespace", name=namespace))
    if not found or not is_own(found):
        return False
    request_deletion(cluster, namespace)
    return True


def request_deletion(cluster: Cluster, namespace: str) -> None:
    """Delete the namespace without waiting."""
    path = api_path("Namespace", name=namespace)
    cluster.delete(path)
    # The pods need no grace period any more, and a terminating namespace gets no new ones.
    cluster.delete(f"{path}/pods", gracePeriodSeconds="1")


def remove_all(cluster: Cluster, settings: Settings, beside: bool) -> None:
    """Remove the run's namespace and, with `beside`, those of the second notebook's experiments.

    What cannot be removed is reported on stderr.
    """
    names = [settings.namespace, *(f"{settings.namespace}-{end}" for end in BESIDE if beside)]
    with suppress(ApiError, Unreachable):
        for name in names:  # they terminate at the same time
            remove_own(cluster, name)
    for name in names:
        remove_or_report(cluster, name, settings.timeout_s)


def remove_or_report(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Remove a namespace. If that fails, say so on stderr: the run's answer does not depend on it."""
    try:
        remove(cluster, namespace, timeout_s)
    except (ApiError, Unreachable, TimedOut) as error:
        report_left(cluster, namespace, error)


def report_left(cluster: Cluster, namespace: str, error: Exception) -> None:
    where = ["--context", cluster.context, *(["--kubeconfig", str(cluster.kubeconfig)] if cluster.kubeconfig else [])]
    command = shlex.join(["scripts/evaluate", "--clean-up", *where, "--namespace", namespace])
    print(f"warning: namespace {namespace} is left: {error}; {command} removes it", file=sys.stderr, flush=True)


def remove(cluster: Cluster, namespace: str, timeout_s: float) -> bool:
    """Delete this run's namespace and wait until it is gone; False if there was none. Raises TimedOut."""
    removed = remove_own(cluster, namespace)
    if removed:
        wait_until_gone(cluster, namespace, timeout_s)
    watchdog.forget(namespace)
    return removed


def wait_until_gone(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Wait until a terminating namespace is gone. Raises TimedOut with the namespace's conditions."""
    found: Object | None = None
    limit_s = max(timeout_s, REMOVAL_S)  # a short --timeout is for the trials

    def gone() -> bool:
        nonlocal found
        with suppress(Unreachable):
            found = cluster.find(api_path("Namespace", name=namespace))
            return found is None
        return False

    if not gone() and found and (since := found["metadata"].get("deletionTimestamp")):
        terminating_s = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
        limit_s = max(REMOVAL_S / 4, limit_s - terminating_s)  # an earlier wait may have timed out

    def last_seen() -> str:
        conditions = (found or {}).get("status", {}).get("conditions", [])
        return "; ".join(c["message"] for c in conditions if c["status"] == "True") or "Terminating"

    wait_for(f"namespace {namespace} removed", gone, limit_s, last_seen, pause_s=0.2)
