"""Applies manifests/ as a user would, with kustomize, and knows what Reloader does to the app."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import yaml

from git_to_pod import watchdog
from git_to_pod.app.namespace import check_namespace, create_namespace
from git_to_pod.app.overlay import MANIFESTS, write_overlay
from git_to_pod.cluster.api import ApiError, Cluster
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.permissions import check_rights
from git_to_pod.settings import InputError, Settings

FIELD_MANAGER = "git-to-pod-evaluation"
STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"  # the environment variable that Reloader sets to stamp()


def check_cluster(cluster: Cluster, settings: Settings) -> None:
    """Refuse a cluster if the run lacks rights there or would touch someone else's namespace."""
    check_rights(cluster, settings.namespace)
    check_namespace(cluster, settings.namespace)


def apply(cluster: Cluster, settings: Settings, base: str = "manifests") -> None:
    """Apply manifests/, or another kustomization, with one `kubectl apply --kustomize`."""
    lab = settings.lab is not None
    create_namespace(cluster, settings.namespace, settings.commits, settings.keep, settings.timeout_s, lab)
    with watchdog.temporary_folder() as folder:  # it holds the Secret's files
        write_overlay(folder, settings, base)
        apply_folder(cluster, folder, settings.timeout_s)


def apply_folder(cluster: Cluster, folder: Path, timeout_s: float) -> None:
    """Apply on the server: kubectl would otherwise keep a copy of the Secret in an annotation. Raises InputError."""
    how = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts")
    try:
        cluster.kubectl("apply", *how, f"--kustomize={folder}", timeout_s=timeout_s)
    except RuntimeError as error:
        raise InputError(f"the API server does not accept the manifests: {error}") from None


def has_reloader() -> bool:
    """Whether manifests/ deploys a Reloader. A user may have removed it in favour of the cluster's."""
    return "reloader.yaml" in yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]


def other_reloaders(cluster: Cluster, namespace: str) -> list[str]:
    """Reloaders elsewhere in the cluster that watch this namespace too; none if this user may not list Deployments.

    One with KUBERNETES_NAMESPACE watches its own namespace only.
    """
    try:
        deployments = cluster.items(api_path("Deployment"))
    except ApiError:
        return []
    return [
        f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
        for deployment in deployments
        for container in deployment["spec"]["template"]["spec"]["containers"]
        if deployment["metadata"]["namespace"] != namespace
        and re.search(r"(^|/)reloader(-ubi)?([:@]|$)", container.get("image", ""))
        and all(variable["name"] != "KUBERNETES_NAMESPACE" for variable in container.get("env", []))
    ]


def stamp(commit: str) -> str:
    """The hash that Reloader writes into the app's pod template; tests/contract/test_reloader.py checks it."""
    return hashlib.sha1(f"commit={commit}".encode()).hexdigest()
