"""The cluster, the images and the project's version that a run is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from git_to_pod.app.pod_proxy import proxy_path
from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.status import container_statuses, containers, is_ready
from git_to_pod.programs import run
from git_to_pod.settings import ROOT, Settings


def project_version() -> str:
    """`git describe` of this project, or the version in pyproject.toml if it is no git checkout.

    "-dirty" means that files were changed. Those in reports/ do not count: a run writes them.
    """
    with suppress(OSError):  # no git, or it timed out
        if described := git("describe", "--always"):
            changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")
            return f"{described}-dirty" if changed else described
    pyproject = ROOT / "pyproject.toml"
    version = re.search(r'^version = "(.*)"', pyproject.read_text(), re.MULTILINE) if pyproject.exists() else None
    return version[1] if version else "unknown"


def git(*arguments: str) -> str:
    """What git prints about this project's own checkout; empty if it fails."""
    return run("git", *arguments, timeout_s=10, folder=ROOT).stdout.decode().strip()


def environment(cluster: Cluster) -> dict[str, str]:
    """The cluster, as far as this user may see it."""
    found = {"context": cluster.context, "version": str(cluster.get("/version")["gitVersion"])}
    try:
        nodes = cluster.items(api_path("Node"))
    except ApiError:  # a user of a shared cluster may not list the nodes
        return found
    if nodes:
        info = nodes[0]["status"]["nodeInfo"]
        found |= {
            "nodes": str(len(nodes)),
            "container_runtime": info["containerRuntimeVersion"],
            "node_os": info["osImage"],
            "architecture": info["architecture"],
            "cpus": str(nodes[0]["status"]["capacity"]["cpu"]),
        }
    return found


def images(cluster: Cluster, settings: Settings) -> list[dict[str, str]]:
    """Each image that ran, with its origin. The lab knows the origin. Another cluster may have pulled it or not.

    `ran` is the version that nginx itself names in the header Server.
    """
    pods = cluster.items(api_path("Pod", settings.namespace))
    statuses = [status for pod in pods for status in container_statuses(pod)]
    used = {container["image"] for pod in pods for container in containers(pod["spec"])}
    digests = {status["image"]: status["imageID"].rpartition("@")[2] for status in statuses}
    found = [
        {
            "ref": ref,
            "source": "cluster",
            "digest": digests.get(ref, ""),
            "note": "the image that this cluster has under this name",
        }
        for ref in sorted(used)
    ]
    if settings.lab:
        found = [dict(image) for image in settings.lab.images if image["ref"] in used]
    ran = nginx_version(cluster, settings, pods)
    return [image | ({"ran": ran} if "/nginx" in image["ref"] else {}) for image in found]


def nginx_version(cluster: Cluster, settings: Settings, pods: Sequence[dict[str, Any]]) -> str:
    """The version that a pod of the app names in its responses; "unknown" if no pod answers."""
    for pod in pods:
        if pod["metadata"].get("labels", {}).get("app") == "app" and is_ready(pod):
            path = proxy_path(settings.namespace, pod["metadata"]["name"])
            with suppress(Unreachable):
                return str(cluster.request("GET", path).headers.get("Server", "unknown"))
    return "unknown"
