"""Deploys manifests/ as a user would, with kustomize, and takes it away again."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from git_to_pod.cluster import Cluster, Object, Unreachable, wait_for
from git_to_pod.observe import Recorder, described, is_complete, is_ready, pods_of, serving
from git_to_pod.repository import Repository
from git_to_pod.rights import check_rights
from git_to_pod.settings import ROOT, Credentials, InputError, Settings

MARK = "git-to-pod/evaluation"  # the label by which a run knows its own namespace again
# Set by scripts/notebook: what is deployed stays for more trials, and that command removes it when it ends.
SESSION = "GIT_TO_POD_SESSION"
MANIFESTS = ROOT / "manifests"
ALTERNATIVES = ROOT / "notebooks" / "alternatives"
MANIFESTS_NAMESPACE = "git-to-pod"
REMOVAL_S = 60.0
STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"  # the variable in which Reloader writes what stamp() gives
BESIDE = ("faults", "deployed", "polling", "patching", "flux")  # what the second notebook's namespaces end in


def check_cluster(cluster: Cluster, settings: Settings) -> None:
    """Before anything is applied: refuse what cannot or must not be done there."""
    check_rights(cluster, settings.namespace)
    check_namespace(cluster, settings.namespace)


def check_namespace(cluster: Cluster, namespace: str) -> None:
    """Refuse a namespace that holds someone else's objects."""
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    if found and MARK not in found["metadata"].get("labels", {}):
        raise InputError(
            f"--namespace {namespace}: exists and was not made by an evaluation; "
            f"choose another name, or remove it yourself (kubectl delete namespace {namespace})"
        )


def deploy(cluster: Cluster, repository: Repository, settings: Settings) -> Recorder:
    """Push a first commit, deploy to an empty namespace, and wait until the app serves it."""
    check_cluster(cluster, settings)
    remove(cluster, settings.namespace, settings.timeout_s)  # what an interrupted run left
    repository.push(repository.commit("What the evaluation begins with\n"))
    if not settings.keep:
        atexit.register(ask_to_remove, cluster, settings.namespace)  # however this process ends
    recorder = Recorder()
    recorder.follow(cluster, settings.namespace)
    apply(cluster, settings)
    wait_until_deployed(recorder, settings, repository.pushed[-1])
    return recorder


def apply(cluster: Cluster, settings: Settings, base: str = "manifests") -> None:
    """Everything in manifests/ or in another folder of kustomize's, with one `kubectl apply --kustomize`."""
    folder = Path(tempfile.mkdtemp(prefix="git-to-pod-"))  # 0700: the Secret's files go through it
    try:
        write_overlay(folder, settings, base)
        apply_folder(cluster, folder, settings.timeout_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def apply_folder(cluster: Cluster, folder: Path, timeout_s: float) -> None:
    try:
        cluster.kubectl("apply", f"--kustomize={folder}", timeout_s=timeout_s)
    except RuntimeError as error:
        raise InputError(f"the manifests cannot be applied: {error}") from None


def write_overlay(folder: Path, settings: Settings, base: str = "manifests") -> None:
    """A kustomization over `base`: the namespace, the replicas, the repository, and the Secret."""
    for source in (MANIFESTS, ALTERNATIVES):  # the second are made of the first
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
    """A patch of one object. kustomize knows the Namespace by its name in manifests/ until it has renamed it."""
    known_as = MANIFESTS_NAMESPACE if kind == "Namespace" else name
    metadata = {"name": known_as} | body.get("metadata", {})
    patch = {"apiVersion": "v1", "kind": kind} | body | {"metadata": metadata}
    return {"target": {"kind": kind, "name": known_as}, "patch": yaml.safe_dump(patch)}


def git_source(settings: Settings) -> dict[str, str | None]:
    """git-source for this repository; None takes an entry of manifests/git-source.yaml away."""
    where = {"GITSYNC_REPO": settings.repository, "GITSYNC_REF": settings.ref, "GITSYNC_PERIOD": settings.period}
    return where | git_access(settings.repository, settings.reader)


def git_access(repository: str, reader: Credentials) -> dict[str, str | None]:
    """git-sync's settings for the way in: user and password with a CA, or a key."""
    over_https = urlsplit(repository).scheme == "https"
    folder = "/etc/git-credentials"
    own_ca = f"http.sslCAInfo:{folder}/ca.crt" if reader.ca_crt else None
    if over_https:
        return {
            "GITSYNC_USERNAME": reader.username,
            "GITSYNC_PASSWORD_FILE": f"{folder}/password",
            "GITSYNC_GIT_CONFIG": own_ca,
        }
    return {
        "GITSYNC_USERNAME": None,
        "GITSYNC_PASSWORD_FILE": None,
        "GITSYNC_GIT_CONFIG": None,
        "GITSYNC_SSH_KEY_FILE": f"{folder}/ssh-privatekey",
        "GITSYNC_SSH_KNOWN_HOSTS_FILE": f"{folder}/known_hosts",
    }


def secret_files(repository: str, reader: Credentials) -> dict[str, str]:
    """Only what this way in needs."""
    wanted = {"https": ("password", "ca.crt"), "ssh": ("ssh-privatekey", "known_hosts")}[urlsplit(repository).scheme]
    return {name: text for name, text in reader.files().items() if name in wanted}


def wait_until_deployed(recorder: Recorder, settings: Settings, commit: str) -> None:
    """All three Deployments are up, the commit is published and restarted for, and nothing moves any more."""
    deployments = ("git-poller", "reloader", "app")

    def published() -> str:
        found = (recorder.get("ConfigMap", "git-commit") or {}).get("data", {})
        return str(found.get("commit", "nothing"))

    def stamped() -> bool:
        """Reloader has seen the commit: else it is still about to restart the app for it."""
        return stamp(commit) in str(recorder.get("Deployment", "app"))

    def up() -> bool:
        deployed = stamped() and all(is_complete(recorder.get("Deployment", name)) for name in deployments)
        return deployed and published() == commit and settled(recorder, "app", settings.replicas)

    def last_seen() -> str:
        seen = [f"published: {published()[:8]}", f"in the Service: {', '.join(serving(recorder, 'app')) or 'no pod'}"]
        return "; ".join([*seen, *(described(recorder, name) for name in deployments)])

    what = f"manifests/ deployed to {settings.namespace}, serving {commit[:8]}"
    recorder.wait_for(what, up, settings.timeout_s, last_seen)


def stamp(commit: str) -> str:
    """What Reloader writes into the app's pod template for a commit; held by tests/contract/test_reloader.py."""
    return hashlib.sha1(f"commit={commit}".encode()).hexdigest()


def settled(recorder: Recorder, app: str, replicas: int, service: str | None = None) -> bool:
    """Nothing moves: the rollout is complete, and the Service sends requests to its pods and to no others."""
    pods = pods_of(recorder, app)
    names = {str(pod["metadata"]["name"]) for pod in pods}
    quiet = is_complete(recorder.get("Deployment", app)) and len(pods) == replicas and all(map(is_ready, pods))
    return quiet and serving(recorder, service or app) == names


def namespaces_beside(cluster: Cluster, namespace: str) -> list[str]:
    """Those that a run's experiments made beside its own."""
    found = cluster.items("/api/v1/namespaces", labelSelector=MARK)
    names = [str(item["metadata"]["name"]) for item in found]
    return [name for name in names if name in {f"{namespace}-{end}" for end in BESIDE}]


def ask_to_remove(cluster: Cluster, namespace: str) -> bool:
    """Ask for the deletion of a run's namespace, and of nobody else's; False where there is none."""
    path = f"/api/v1/namespaces/{namespace}"
    try:
        found = cluster.find(path)
        if not found or MARK not in found["metadata"].get("labels", {}):
            return False
        cluster.delete(path)
        # Nobody is served any more, so the pods need not take their time; and none can be made in their place by now.
        cluster.delete(f"{path}/pods", gracePeriodSeconds="1")
        return True
    except Unreachable:  # the cluster is gone, and the namespace with it
        return False


def remove_all(cluster: Cluster, settings: Settings, beside: bool) -> None:
    """The run's namespace, and those beside it that the second notebook's experiments made."""
    remove(cluster, settings.namespace, settings.timeout_s)
    for namespace in namespaces_beside(cluster, settings.namespace) if beside else ():
        remove(cluster, namespace, settings.timeout_s)


def finish(cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings) -> None:
    """The end of a run's last trial: nothing of it stays, unless it is to stay."""
    if not settings.keep and SESSION not in os.environ:
        recorder.stop()
        repository.close()
        remove(cluster, settings.namespace, settings.timeout_s)


def remove(cluster: Cluster, namespace: str, timeout_s: float) -> bool:
    """Delete the namespace of a run and wait until it is gone; False where there was none."""
    timeout_s = max(timeout_s, REMOVAL_S)  # a short --timeout is for what is measured: what was made must go
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
