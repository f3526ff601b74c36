"""An extra pod of the app that reads another URL, with another account, or at another ref."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from git_to_pod.app.overlay import common_settings, git_access, secret_files
from git_to_pod.app.pod_template import container_of, metadata_of
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.settings import Credentials


@dataclass(frozen=True)
class Access:
    """What an extra pod reads, and how. `repository` is the URL for pods."""

    repository: str
    reader: Credentials
    ref: str
    submodules: str = "off"  # as in manifests/git-source.yaml


@contextmanager
def pod_reading(cluster: Cluster, namespace: str, template: Object, name: str, access: Access) -> Iterator[None]:
    """Run a pod of the app's template with this access, without the Service's label; delete it at the end."""
    secrets, pods = (api_path(kind, namespace) for kind in ("Secret", "Pod"))
    files = secret_files(access.repository, access.reader)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": files}
    try:
        cluster.apply(secrets, secret)
        cluster.delete(f"{pods}/{name}", gracePeriodSeconds="0")  # an interrupted run may have left it
        cluster.call("POST", pods, pod(template, name, access))
        yield
    finally:
        cluster.delete(f"{pods}/{name}", gracePeriodSeconds="0")
        cluster.delete(f"{secrets}/{name}")


def pod(template: Object, name: str, access: Access) -> Object:
    """The app's pod with these settings for git-sync."""
    spec: dict[str, Any] = copy.deepcopy(template["spec"])
    git_sync = container_of(spec, "git-sync")
    git_sync.pop("envFrom")
    settings = common_settings() | {"GITSYNC_SUBMODULES": access.submodules}
    settings |= {"GITSYNC_REPO": access.repository, "GITSYNC_REF": access.ref}
    settings |= {name: value for name, value in git_access(access.repository, access.reader).items() if value}
    other = [variable for variable in git_sync.get("env", []) if variable["name"] not in settings]
    git_sync["env"] = [*other, *({"name": name, "value": value} for name, value in settings.items())]
    for volume in spec["volumes"]:
        if volume["name"] == "git-credentials":
            volume["secret"]["secretName"] = name
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name} | metadata_of(template), "spec": spec}
