"""The API server's proxy, through which the run reads what each pod serves. A cluster's firewall may block it."""

from __future__ import annotations

from collections.abc import Sequence

from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.settings import InputError

PORT = 8080
REACH_S = 10.0  # kube-apiserver itself gives up after 30 s
GATEWAY = (502, 503, 504)


def check_proxy(cluster: Cluster, namespace: str, pods: Sequence[str]) -> None:
    """Check that the API server reaches these pods, which are Ready. Raises InputError."""
    unreachable: dict[str, str] = {}

    def all_reached() -> bool:
        for pod in pods:
            unreachable[pod] = why_unreachable(cluster, namespace, pod)
        return not any(unreachable.values())

    try:
        wait_for("the pods through the API server", all_reached, REACH_S, pause_s=0.5)
    except TimedOut:
        reasons = "; ".join(f"pod/{pod}: {reason}" for pod, reason in unreachable.items() if reason)
        raise InputError(
            f"--context {cluster.context}: the API server cannot reach port {PORT} of Ready pods in namespace "
            f"{namespace} ({reasons}); the run reads each pod's commit through it: open TCP port {PORT} of the pods to "
            "the control plane in the cluster's firewall and NetworkPolicies"
        ) from None


def proxy_path(namespace: str, pod: str, file: str = "") -> str:
    return f"{api_path('Pod', namespace, pod)}:{PORT}/proxy/{file}"


def why_unreachable(cluster: Cluster, namespace: str, pod: str) -> str:
    """Why the pod itself did not answer, or nothing. Its nginx names the commit in every response."""
    path = proxy_path(namespace, pod)
    try:
        response = cluster.request("GET", path)
    except Unreachable as error:
        return str(error)
    if response.status not in GATEWAY or "X-Git-Commit" in response.headers:
        return ""
    return str(ApiError("GET", path, response.status, response.data)).removeprefix(f"GET {path}: ")
