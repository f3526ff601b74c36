"""Deploys manifests/ as a user would, with kustomize, and removes it again."""

from __future__ import annotations

import atexit
import getpass
import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from git_to_pod import watchdog
from git_to_pod.cluster.api import ApiError, Cluster, Object, TimedOut, Unreachable, wait_for
from git_to_pod.cluster.permissions import check_rights
from git_to_pod.cluster.recorder import Recorder, described, is_complete, is_ready, pods_of, serving
from git_to_pod.git.repository import Repository
from git_to_pod.settings import ROOT, Credentials, InputError, Settings
from git_to_pod.watchdog import RUN_LABEL, run_id

MARK = "git-to-pod/evaluation"  # label of every namespace that a run creates
# Annotations of these namespaces
PURPOSE, STARTED_BY, STARTED, UNTIL, KEPT = (
    f"git-to-pod/{name}" for name in ("purpose", "started-by", "started", "until", "keep")
)
UNTIL_S, UNTIL_S_PER_COMMIT, UNTIL_S_IN_JUPYTER = 3 * 3600, 60, 24 * 3600  # ample: no other run removes it before
REPLACE = "GIT_TO_POD_REPLACE"  # set by --replace, also for the notebook's kernel
FIELD_MANAGER = "git-to-pod-evaluation"
# Set by scripts/notebook, which keeps the deployment for more trials and removes it when it ends.
SESSION = "GIT_TO_POD_SESSION"
MANIFESTS = ROOT / "manifests"
ALTERNATIVES = ROOT / "alternatives"
MANIFESTS_NAMESPACE = "git-to-pod"
REMOVAL_S = 60.0
STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"  # the environment variable that Reloader sets to stamp()
BESIDE = ("faults", "deployed", "polling", "patching", "flux")  # suffixes of the second notebook's namespaces


def check_cluster(cluster: Cluster, settings: Settings) -> None:
    """Refuse a cluster if the run lacks rights there or would touch someone else's namespace."""
    check_rights(cluster, settings.namespace)
    check_namespace(cluster, settings.namespace)


def check_namespace(cluster: Cluster, namespace: str) -> None:
    """Refuse a namespace that holds someone else's objects. Raises InputError."""
    if found := cluster.find(f"/api/v1/namespaces/{namespace}"):
        check_owner(found)


def check_owner(found: Object) -> None:
    """Refuse a namespace that this run may not delete. Raises InputError."""
    metadata = found["metadata"]
    namespace, notes = metadata["name"], metadata.get("annotations", {})
    if MARK not in metadata.get("labels", {}):
        raise InputError(
            f"--namespace {namespace}: it exists and no evaluation created it; "
            f"choose another name, or remove it yourself (kubectl delete namespace {namespace})"
        )
    if is_own(found) or REPLACE in os.environ or "deletionTimestamp" in metadata:
        return
    started = f"{notes.get(STARTED_BY, 'someone')} started at {notes.get(STARTED, 'an unknown time')}"
    if KEPT in notes:
        raise InputError(
            f"--namespace {namespace}: the run that {started} kept it (--keep); "
            "choose another name, or delete it with --replace"
        )
    if notes.get(UNTIL, "") > timestamp():
        raise InputError(
            f"--namespace {namespace}: the run that {started} may use it until {notes[UNTIL]}; "
            "choose another name, wait for the end of that run, or delete the namespace with --replace"
        )


def is_own(namespace: Object) -> bool:
    """Whether a namespace of an evaluation is this run's. A namespace without a run's id counts as this run's."""
    labels = namespace["metadata"].get("labels", {})
    return MARK in labels and labels.get(RUN_LABEL, run_id()) == run_id()


def labels() -> dict[str, str]:
    """The labels of every namespace, and of every cluster-scoped object, that this run creates."""
    return {MARK: "true", RUN_LABEL: run_id()}


def run_annotations(commits: int, keep: bool) -> dict[str, str]:
    """What the namespace is for, who started the run and when, and until when the run needs it."""
    limit_s = UNTIL_S_IN_JUPYTER if SESSION in os.environ else UNTIL_S + UNTIL_S_PER_COMMIT * commits
    ends = {KEPT: "true"} if keep else {UNTIL: timestamp(limit_s)}
    purpose = "evaluation of git-to-pod, kept at its end" if keep else "evaluation of git-to-pod, deleted at its end"
    return {PURPOSE: purpose, STARTED_BY: user_and_host(), STARTED: timestamp()} | ends


def timestamp(later_s: float = 0) -> str:
    """The time in UTC, as RFC 3339."""
    return (datetime.now(UTC) + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_and_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def create_namespace(cluster: Cluster, namespace: str, commits: int, keep: bool, timeout_s: float, lab: bool) -> None:
    """Create the namespace for this run, unless it is this run's already. Raises InputError."""
    path = f"/api/v1/namespaces/{namespace}"
    found = cluster.find(path)
    if found and is_own(found) and "deletionTimestamp" not in found["metadata"]:
        return
    make_room(cluster, namespace, timeout_s)
    if not keep:
        watchdog.guard_namespace(cluster, namespace, lab=lab)
    metadata = {"name": namespace, "labels": labels(), "annotations": run_annotations(commits, keep)}
    try:
        cluster.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    except ApiError as error:
        if error.status != 409:
            raise
        check_namespace(cluster, namespace)
        raise InputError(
            f"--namespace {namespace}: another run created it at the same moment; choose another name"
        ) from None


def make_room(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Delete a namespace that an earlier run left, and wait until it is gone. Raises InputError and TimedOut."""
    if found := cluster.find(f"/api/v1/namespaces/{namespace}"):
        check_owner(found)
        request_deletion(cluster, namespace)
        wait_until_gone(cluster, namespace, timeout_s)


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
            merge("Namespace", settings.namespace, {"metadata": {"labels": labels()}}),
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
    """The entries of git-source for this repository; None removes an entry that manifests/ has."""
    where = {"GITSYNC_REPO": settings.repository, "GITSYNC_REF": settings.ref, "GITSYNC_PERIOD": settings.period}
    return where | git_access(settings.repository, settings.reader)


def git_access(repository: str, reader: Credentials) -> dict[str, str | None]:
    """The entries of git-source that say how git authenticates; None removes an entry that manifests/ has."""
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


def settled(recorder: Recorder, app: str, replicas: int, service: str | None = None) -> bool:
    """Whether the rollout is complete and the Service sends requests to the new pods alone."""
    pods = pods_of(recorder, app)
    names = {str(pod["metadata"]["name"]) for pod in pods}
    quiet = is_complete(recorder.get("Deployment", app)) and len(pods) == replicas and all(map(is_ready, pods))
    return quiet and serving(recorder, service or app) == names


def ask_to_remove(cluster: Cluster, namespace: str) -> bool:
    """Delete a namespace of this run without waiting; False if there is none, or if it is not this run's."""
    with suppress(Unreachable):  # the watchdog tries again
        return remove_own(cluster, namespace)
    return False


def remove_own(cluster: Cluster, namespace: str) -> bool:
    """The same, for a caller that handles Unreachable."""
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    if not found or not is_own(found):
        return False
    request_deletion(cluster, namespace)
    return True


def request_deletion(cluster: Cluster, namespace: str) -> None:
    """Delete the namespace without waiting."""
    path = f"/api/v1/namespaces/{namespace}"
    cluster.delete(path)
    # The pods need no grace period any more, and a terminating namespace gets no new ones.
    cluster.delete(f"{path}/pods", gracePeriodSeconds="1")


def remove_all(cluster: Cluster, settings: Settings, beside: bool) -> None:
    """Remove the run's namespace and, with `beside`, those of the second notebook's experiments.

    What cannot be removed is reported on stderr.
    """
    remove_or_report(cluster, settings.namespace, settings.timeout_s)
    for end in BESIDE if beside else ():
        remove_or_report(cluster, f"{settings.namespace}-{end}", settings.timeout_s)


def remove_or_report(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Remove a namespace. If that fails, say so on stderr: the run's answer does not depend on it."""
    try:
        remove(cluster, namespace, timeout_s)
    except (ApiError, Unreachable, TimedOut) as error:
        report_left(cluster, namespace, error)


def report_left(cluster: Cluster, namespace: str, error: Exception) -> None:
    command = f"scripts/evaluate --clean-up --context {cluster.context}"
    print(f"warning: namespace {namespace} is left: {error}; {command} removes it", file=sys.stderr, flush=True)


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


def remove(cluster: Cluster, namespace: str, timeout_s: float) -> bool:
    """Delete this run's namespace and wait until it is gone; False if there was none. Raises TimedOut."""
    removed = remove_own(cluster, namespace)
    if removed:
        wait_until_gone(cluster, namespace, timeout_s)
    watchdog.forget(namespace)
    return removed


def wait_until_gone(cluster: Cluster, namespace: str, timeout_s: float) -> None:
    """Wait until a terminating namespace is gone. Raises TimedOut with the namespace's conditions."""
    found: Object | None = None
    limit_s = max(timeout_s, REMOVAL_S)  # a short --timeout is for the trials

    def gone() -> bool:
        nonlocal found
        with suppress(Unreachable):
            found = cluster.find(f"/api/v1/namespaces/{namespace}")
            return found is None
        return False

    if not gone() and found and (since := found["metadata"].get("deletionTimestamp")):
        terminating_s = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
        limit_s = max(REMOVAL_S / 4, limit_s - terminating_s)  # an earlier wait may have timed out

    def last_seen() -> str:
        conditions = (found or {}).get("status", {}).get("conditions", [])
        return "; ".join(c["message"] for c in conditions if c["status"] == "True") or "Terminating"

    wait_for(f"namespace {namespace} removed", gone, limit_s, last_seen, pause_s=0.2)
