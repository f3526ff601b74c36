"""Deploys manifests/ as a user would, with kustomize, and removes it again."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import yaml

from git_to_pod import watchdog
from git_to_pod.app.namespace import (
    SESSION,
    ask_to_remove,
    check_namespace,
    create_namespace,
    make_room,
    remove_or_report,
)
from git_to_pod.app.overlay import MANIFESTS, write_overlay
from git_to_pod.app.pod_proxy import check_proxy
from git_to_pod.cluster.api import ApiError, Cluster
from git_to_pod.cluster.permissions import check_rights
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import described, is_complete, pods_of, serving, settled
from git_to_pod.git.repository import Repository
from git_to_pod.settings import InputError, Settings

FIELD_MANAGER = "git-to-pod-evaluation"
STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"  # the environment variable that Reloader sets to stamp()


def check_cluster(cluster: Cluster, settings: Settings) -> None:
    """Refuse a cluster if the run lacks rights there or would touch someone else's namespace."""
    check_rights(cluster, settings.namespace)
    check_namespace(cluster, settings.namespace)


def deploy(cluster: Cluster, repository: Repository, settings: Settings) -> Recorder:
    """Push a first commit, deploy to an empty namespace, and wait until the app serves it."""
    check_cluster(cluster, settings)
    make_room(cluster, settings.namespace, settings.timeout_s)
    watchdog.log_to(settings.output)
    watchdog.guard_path(repository.account.folder)
    repository.push(repository.commit("First commit of the evaluation\n"))
    if not settings.keep:
        # When a kernel exits that scripts/notebook started. If a process is killed, its watchdog does this.
        atexit.register(ask_to_remove, cluster, settings.namespace)
    recorder = Recorder()
    recorder.follow(cluster, settings.namespace)
    apply(cluster, settings)
    wait_until_deployed(recorder, settings, repository.pushed[-1])
    check_proxy(cluster, settings.namespace, [pod["metadata"]["name"] for pod in pods_of(recorder, "app")])
    return recorder


def apply(cluster: Cluster, settings: Settings, base: str = "manifests") -> None:
    """Apply manifests/, or another kustomization, with one `kubectl apply --kustomize`."""
    lab = settings.lab is not None
    create_namespace(cluster, settings.namespace, settings.commits, settings.keep, settings.timeout_s, lab)
    folder = Path(tempfile.mkdtemp(prefix="git-to-pod-"))  # 0700: it holds the Secret's files
    watchdog.guard_path(folder)
    try:
        write_overlay(folder, settings, base)
        apply_folder(cluster, folder, settings.timeout_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def apply_folder(cluster: Cluster, folder: Path, timeout_s: float) -> None:
    """Apply on the server: kubectl would otherwise keep a copy of the Secret in an annotation. Raises InputError."""
    how = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts")
    try:
        cluster.kubectl("apply", *how, f"--kustomize={folder}", timeout_s=timeout_s)
    except RuntimeError as error:
        raise InputError(f"the API server does not accept the manifests: {error}") from None


def wait_until_deployed(recorder: Recorder, settings: Settings, commit: str) -> None:
    """Wait until all Deployments are complete and the app's pods run the published commit."""
    deployments = ("git-poller", *(["reloader"] if has_reloader() else []), "app")

    def published() -> str:
        found = (recorder.get("ConfigMap", "git-commit") or {}).get("data", {})
        return str(found.get("commit", "nothing"))

    def stamped() -> bool:
        """Whether Reloader has patched the app for this commit. If not, another rollout follows."""
        return stamp(commit) in str(recorder.get("Deployment", "app"))

    def up() -> bool:
        deployed = stamped() and all(is_complete(recorder.get("Deployment", name)) for name in deployments)
        return deployed and published() == commit and settled(recorder, "app", settings.replicas)

    def last_seen() -> str:
        seen = [f"published: {published()[:8]}", f"in the Service: {', '.join(serving(recorder, 'app')) or 'no pod'}"]
        return "; ".join([*seen, *(described(recorder, name) for name in deployments)])

    what = f"manifests/ deployed to {settings.namespace}, serving {commit[:8]}"
    recorder.wait_for(what, up, settings.timeout_s, last_seen)


def has_reloader() -> bool:
    """Whether manifests/ deploys a Reloader. A user may have removed it in favour of the cluster's."""
    return "reloader.yaml" in yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]


def other_reloaders(cluster: Cluster, namespace: str) -> list[str]:
    """Reloaders elsewhere in the cluster that watch this namespace too; none if this user may not list Deployments.

    One with KUBERNETES_NAMESPACE watches its own namespace only.
    """
    try:
        deployments = cluster.items("/apis/apps/v1/deployments")
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


def finish(cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings) -> None:
    """Remove the deployment at the end of the run, unless --keep or scripts/notebook keeps it."""
    if not settings.keep and SESSION not in os.environ:
        recorder.stop()
        repository.close()
        if watchdog.RUN in os.environ:  # scripts/evaluate waits, and reports a namespace that does not terminate
            with suppress(ApiError):
                ask_to_remove(cluster, settings.namespace)
        else:
            remove_or_report(cluster, settings.namespace, settings.timeout_s)
