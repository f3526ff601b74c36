"""Deploys manifests/ as a user would, with kustomize, and removes it again."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from git_to_pod.cluster import ApiError, Cluster, Object, Unreachable, wait_for
from git_to_pod.observe import Recorder, described, is_complete, is_ready, pods_of, serving
from git_to_pod.repository import Repository
from git_to_pod.rights import check_rights
from git_to_pod.settings import ROOT, Credentials, InputError, Settings

MARK = "git-to-pod/evaluation"  # label of every namespace that a run creates
# Set by scripts/notebook, which keeps the deployment for more trials and removes it when it ends.
SESSION = "GIT_TO_POD_SESSION"
MANIFESTS = ROOT / "manifests"
ALTERNATIVES = ROOT / "notebooks" / "alternatives"
MANIFESTS_NAMESPACE = "git-to-pod"
REMOVAL_S = 60.0
STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"  # the environment variable that Reloader sets to stamp()
BESIDE = ("faults", "deployed", "polling", "patching", "flux")  # suffixes of the second notebook's namespaces


def check_cluster(cluster: Cluster, settings: Settings) -> None:
    """Refuse a cluster on which the run lacks rights or would touch someone else's namespace."""
    check_rights(cluster, settings.namespace)
    check_namespace(cluster, settings.namespace)


def check_namespace(cluster: Cluster, namespace: str) -> None:
    """Refuse a namespace that holds someone else's objects."""
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    if found and MARK not in found["metadata"].get("labels", {}):
        raise InputError(
            f"--namespace {namespace}: it exists and no evaluation created it; "
            f"choose another name, or remove it yourself (kubectl delete namespace {namespace})"
        )


def deploy(cluster: Cluster, repository: Repository, settings: Settings) -> Recorder:
    """Push a first commit, deploy to an empty namespace, and wait until the app serves it."""
    check_cluster(cluster, settings)
    remove(cluster, settings.namespace, settings.timeout_s)  # of an interrupted run
    repository.push(repository.commit("First commit of the evaluation\n"))
    if not settings.keep:
        atexit.register(ask_to_remove, cluster, settings.namespace)  # however this process ends
    recorder = Recorder()
    recorder.follow(cluster, settings.namespace)
    apply(cluster, settings)
    wait_until_deployed(recorder, settings, repository.pushed[-1])
    return recorder


def apply(cluster: Cluster, settings: Settings, base: str = "manifests") -> None:
    """Apply manifests/, or another kustomization, with one `kubectl apply --kustomize`."""
    folder = Path(tempfile.mkdtemp(prefix="git-to-pod-"))  # 0700: it holds the Secret's files
    try:
        write_overlay(folder, settings, base)
        apply_folder(cluster, folder, settings.timeout_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def apply_folder(cluster: Cluster, folder: Path, timeout_s: float) -> None:
    try:
        cluster.kubectl("apply", f"--kustomize={folder}", timeout_s=timeout_s)
    except RuntimeError as error:
        raise InputError(f"the API server does not accept the manifests: {error}") from None


def write_overlay(folder: Path, settings: Settings, base: str = "manifests") -> None:
    """A kustomization over `base`: the namespace, the replicas, the repository, and the Secret."""
    for source in (MANIFESTS, ALTERNATIVES):  # the alternatives patch the manifests
        shutil.copytree(source, folder / source.relative_to(ROOT))
    secret = secret_files(settings.repository, settings.reader)
    for name, text in secret.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
    overlay = {
        "namespace": settings.namespace,
        "resources": [base],
        "replicas": [{"name": "app", "count": settings.replicas}],
        "secretGenerator": [{"name": "git-credentials", "files": list(secret)}],
        "generatorOptions": {"disableNameSuffixHash": True},
        "patches": [
            merge("Namespace", settings.namespace, {"metadata": {"labels": {MARK: "true"}}}),
            merge("ConfigMap", "git-source", {"data": git_source(settings)}),
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))


def merge(kind: str, name: str, body: Object) -> dict[str, Any]:
    """A patch of one object. kustomize applies patches before it renames the Namespace."""
    known_as = MANIFESTS_NAMESPACE if kind == "Namespace" else name
    metadata = {"name": known_as} | body.get("metadata", {})
    patch = {"apiVersion": "v1", "kind": kind} | body | {"metadata": metadata}
    return {"target": {"kind": kind, "name": known_as}, "patch": yaml.safe_dump(patch)}


def git_source(settings: Settings) -> dict[str, str | None]:
    """The entries of git-source for this repository; None removes an entry that stands in manifests/."""
    where = {"GITSYNC_REPO": settings.repository, "GITSYNC_REF": settings.ref, "GITSYNC_PERIOD": settings.period}
    return where | git_access(settings.repository, settings.reader)


def git_access(repository: str, reader: Credentials) -> dict[str, str | None]:
    """The entries of git-source that say how git authenticates; None removes an entry that stands in manifests/."""
    folder = "/etc/git-credentials"
    if urlsplit(repository).scheme == "https":
        private_ca = {"GIT_SSL_CAINFO": f"{folder}/ca.crt"} if reader.ca_crt else {}
        return {
            "GITSYNC_USERNAME": reader.username,
            "GITSYNC_PASSWORD_FILE": f"{folder}/password",
            **private_ca,
        }
    return {
        "GITSYNC_USERNAME": None,
        "GITSYNC_PASSWORD_FILE": None,
        "GITSYNC_SSH_KEY_FILE": f"{folder}/ssh-privatekey",
        "GITSYNC_SSH_KNOWN_HOSTS_FILE": f"{folder}/known_hosts",
    }


def common_settings() -> dict[str, str]:
    """The entries of manifests/git-source.yaml that are the same for every repository."""
    data: dict[str, str] = yaml.safe_load((MANIFESTS / "git-source.yaml").read_text())["data"]
    specific = ("GITSYNC_REPO", "GITSYNC_REF", "GITSYNC_PERIOD", "GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE")
    return {name: value for name, value in data.items() if name not in specific}


def secret_files(repository: str, reader: Credentials) -> dict[str, str]:
    """The files that the URL's scheme needs."""
    wanted = {"https": ("password", "ca.crt"), "ssh": ("ssh-privatekey", "known_hosts")}[urlsplit(repository).scheme]
    return {name: text for name, text in reader.files().items() if name in wanted}


def wait_until_deployed(recorder: Recorder, settings: Settings, commit: str) -> None:
    """Wait until all Deployments are complete and the app's pods run the published commit."""
    deployments = ("git-poller", *(["reloader"] if has_reloader() else []), "app")

    def published() -> str:
        found = (recorder.get("ConfigMap", "git-commit") or {}).get("data", {})
        return str(found.get("commit", "nothing"))

    def stamped() -> bool:
        """Whether Reloader has patched the app for this commit; else one more rollout is to come."""
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
    """Whether manifests/ brings a Reloader of its own; a user may have removed it for the cluster's."""
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


def settled(recorder: Recorder, app: str, replicas: int, service: str | None = None) -> bool:
    """Whether the rollout is complete and the Service sends requests to the new pods alone."""
    pods = pods_of(recorder, app)
    names = {str(pod["metadata"]["name"]) for pod in pods}
    quiet = is_complete(recorder.get("Deployment", app)) and len(pods) == replicas and all(map(is_ready, pods))
    return quiet and serving(recorder, service or app) == names


def namespaces_beside(cluster: Cluster, namespace: str) -> list[str]:
    """The namespaces that the second notebook's experiments created."""
    found = cluster.items("/api/v1/namespaces", labelSelector=MARK)
    names = [str(item["metadata"]["name"]) for item in found]
    return [name for name in names if name in {f"{namespace}-{end}" for end in BESIDE}]


def ask_to_remove(cluster: Cluster, namespace: str) -> bool:
    """Delete a run's namespace without waiting; False if there is none, or if it is not a run's."""
    path = f"/api/v1/namespaces/{namespace}"
    try:
        found = cluster.find(path)
        if not found or MARK not in found["metadata"].get("labels", {}):
            return False
        cluster.delete(path)
        # The pods need no grace period any more, and a terminating namespace gets no new ones.
        cluster.delete(f"{path}/pods", gracePeriodSeconds="1")
        return True
    except Unreachable:  # the cluster is gone, and the namespace with it
        return False


def remove_all(cluster: Cluster, settings: Settings, beside: bool) -> None:
    """Remove the run's namespace and, with `beside`, those of the second notebook's experiments."""
    remove(cluster, settings.namespace, settings.timeout_s)
    for namespace in namespaces_beside(cluster, settings.namespace) if beside else ():
        remove(cluster, namespace, settings.timeout_s)


def finish(cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings) -> None:
    """Remove the deployment at the end of the run, unless --keep or scripts/notebook keeps it."""
    if not settings.keep and SESSION not in os.environ:
        recorder.stop()
        repository.close()
        remove(cluster, settings.namespace, settings.timeout_s)


def remove(cluster: Cluster, namespace: str, timeout_s: float) -> bool:
    """Delete the namespace of a run and wait until it is gone; False if there was none."""
    timeout_s = max(timeout_s, REMOVAL_S)  # a short --timeout is for the trials
    if not ask_to_remove(cluster, namespace):
        return False
    found: Object | None = None

    def gone() -> bool:
        nonlocal found
        found = cluster.find(f"/api/v1/namespaces/{namespace}")
        return found is None

    def last_seen() -> str:
        conditions = (found or {}).get("status", {}).get("conditions", [])
        return "; ".join(c["message"] for c in conditions if c["status"] == "True") or "Terminating"

    wait_for(f"namespace {namespace} removed", gone, timeout_s, last_seen, pause_s=0.2)
    return True
