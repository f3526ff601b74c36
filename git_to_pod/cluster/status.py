"""The state of Deployments, pods and Services, read from a Recorder's objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from git_to_pod.cluster.api import Object
from git_to_pod.cluster.recorder import Recorder


def pods_of(recorder: Recorder, app: str) -> list[Object]:
    """The app's pods that are not being deleted."""
    return [pod for pod in recorder.all("Pod", app=app) if "deletionTimestamp" not in pod["metadata"]]


def containers(spec: Object) -> list[Object]:
    """All containers of a pod's spec: native sidecars are among the init containers."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def container_statuses(pod: Object) -> list[Object]:
    """The status of each of a pod's containers, native sidecars included."""
    return [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def is_complete(deployment: Object | None) -> bool:
    """Whether all replicas are updated and available, and no others exist, as `kubectl rollout status` waits for."""
    if deployment is None:
        return False
    status: dict[str, Any] = deployment.get("status", {})
    wanted = deployment["spec"]["replicas"]
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("replicas", 0) == wanted
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def serving(recorder: Recorder, service: str) -> set[str]:
    """The names of the Service's ready endpoints, which are pods."""
    return {
        endpoint["targetRef"]["name"]
        for part in recorder.all("EndpointSlice", **{"kubernetes.io/service-name": service})
        for endpoint in part.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready")
    }


def described(recorder: Recorder, app: str) -> str:
    """The state of a Deployment, for a timeout's message: its counts, and why pods are not ready."""
    deployment = recorder.get("Deployment", app)
    return deployment_state(deployment, pods_of(recorder, app)) if deployment else f"no deployment/{app}"


def deployment_state(deployment: Object, pods: Iterable[Object]) -> str:
    """The same, of objects from anywhere."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    words = [f"deployment/{deployment['metadata']['name']} {status.get('updatedReplicas', 0)} of {wanted} updated"]
    words += [f"{status.get('readyReplicas', 0)} ready", *refused(status)]
    return ", ".join([*words, *(pod_state(pod) for pod in pods if not is_ready(pod))])


def refused(status: Object) -> list[str]:
    """Why the API server refuses a Deployment's pods: a quota, an admission policy, Pod Security."""
    failures = [c for c in status.get("conditions", []) if c["type"] == "ReplicaFailure" and c["status"] == "True"]
    return [" ".join(condition["message"].split()) for condition in failures]


def described_pod(recorder: Recorder, name: str) -> str:
    """Why a pod is not ready, for a timeout's message."""
    pod = recorder.get("Pod", name)
    return pod_state(pod) if pod else f"no pod/{name}"


def pod_state(pod: Object) -> str:
    """Why the pod or its containers wait, else its phase."""
    name = pod["metadata"]["name"]
    reasons = [
        c["state"]["waiting"].get("reason", "waiting")
        for c in container_statuses(pod)
        if "waiting" in c.get("state", {})
    ]
    unscheduled = [c["message"] for c in pod["status"].get("conditions", []) if c.get("reason") == "Unschedulable"]
    why = ", ".join(unscheduled or reasons)
    return f"pod/{name} waiting: {why}" if why else f"pod/{name} {pod['status'].get('phase', 'Unknown')}, not ready"


def settled(recorder: Recorder, app: str, replicas: int, service: str | None = None) -> bool:
    """Whether the rollout is complete and the Service sends requests to the new pods alone."""
    pods = pods_of(recorder, app)
    names = {str(pod["metadata"]["name"]) for pod in pods}
    quiet = is_complete(recorder.get("Deployment", app)) and len(pods) == replicas and all(map(is_ready, pods))
    return quiet and serving(recorder, service or app) == names
