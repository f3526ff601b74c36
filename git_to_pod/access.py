"""One more pod of the app, reading a repository in a way of its own: another URL, account or ref."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from git_to_pod.cluster import Cluster, Object
from git_to_pod.deploy import git_access, secret_files
from git_to_pod.settings import Credentials


@dataclass(frozen=True)
class Access:
    """What git-sync is told. `repository` is the URL for pods."""

    repository: str
    reader: Credentials
    ref: str
    submodules: str = "off"  # as in manifests/git-source.yaml


@contextmanager
def pod_reading(cluster: Cluster, namespace: str, template: Object, name: str, access: Access) -> Iterator[None]:
    """A pod of the app's template with this access; gone, with its Secret, at the end. The Service does not know it."""
    secrets, pods = (f"/api/v1/namespaces/{namespace}/{kind}" for kind in ("secrets", "pods"))
    files = secret_files(access.repository, access.reader)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": files}
    try:
        cluster.apply(secrets, secret)
        cluster.delete(f"{pods}/{name}", gracePeriodSeconds="0")  # what an interrupted run left
        cluster.call("POST", pods, pod(template, name, access))
        yield
    finally:
        cluster.delete(f"{pods}/{name}", gracePeriodSeconds="0")
        cluster.delete(f"{secrets}/{name}")


def pod(template: Object, name: str, access: Access) -> Object:
    """The app's pod, but for git-sync's settings."""
    spec: dict[str, Any] = copy.deepcopy(template["spec"])
    git_sync = next(container for container in spec["containers"] if container["name"] == "git-sync")
    git_sync.pop("envFrom")
    told = {"GITSYNC_REPO": access.repository, "GITSYNC_REF": access.ref, "GITSYNC_SUBMODULES": access.submodules}
    told |= {key: value for key, value in git_access(access.repository, access.reader).items() if value}
    git_sync["env"] = [{"name": key, "value": value} for key, value in told.items()]
    for volume in spec["volumes"]:
        if volume["name"] == "git-credentials":
            volume["secret"]["secretName"] = name
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
