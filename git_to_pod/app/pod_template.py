"""What a user adds to the pod templates of manifests/: a cluster admits and schedules the run's own pods like them."""

from __future__ import annotations

import copy
import re
from typing import Any

from git_to_pod.cluster.api import Object
from git_to_pod.cluster.status import containers

# Fields of a pod's spec that decide whether a cluster admits the pod, and on which nodes
CARRIED = (
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "hostUsers",
    "imagePullSecrets",
    "nodeSelector",
    "os",
    "preemptionPolicy",
    "priorityClassName",
    "resources",
    "runtimeClassName",
    "schedulerName",
    "tolerations",
)
OF_A_ROLLOUT = re.compile(r"(^|\.)(reloader\.stakater\.com|kubectl\.kubernetes\.io)/")  # annotations
OF_A_CONTAINER = ("image", "imagePullPolicy", "resources")


def carried(spec: Object) -> Object:
    """The fields of the spec that every pod of the run carries. Rules about other pods do not apply to it."""
    found = {name: copy.deepcopy(spec[name]) for name in CARRIED if name in spec}
    if nodes := spec.get("affinity", {}).get("nodeAffinity"):
        found["affinity"] = {"nodeAffinity": copy.deepcopy(nodes)}
    return found


def carried_by_container(spec: Object, name: str) -> Object:
    """The container's image, and its resources, which a ResourceQuota or a LimitRange may ask for."""
    container = container_of(spec, name)
    return {"name": name} | {key: copy.deepcopy(container[key]) for key in OF_A_CONTAINER if key in container}


def container_of(spec: Object, name: str) -> Object:
    """By name: a user may have added other containers before it."""
    return next(container for container in containers(spec) if container["name"] == name)


def metadata_of(template: Object, **labels: str) -> dict[str, Any]:
    """The template's labels and annotations, which an admission policy may ask for, without the label that selects."""
    found = template.get("metadata", {})
    kept = {name: value for name, value in found.get("labels", {}).items() if name != "app"} | labels
    notes = {name: value for name, value in found.get("annotations", {}).items() if not OF_A_ROLLOUT.search(name)}
    metadata = {"labels": kept, "annotations": notes}
    return {name: values for name, values in metadata.items() if values}
