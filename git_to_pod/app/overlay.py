"""The kustomization over manifests/ for one run: its repository, credentials, replicas and namespace."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from git_to_pod.app.namespace import labels
from git_to_pod.app.pod_template import container_of
from git_to_pod.cluster.api import Object
from git_to_pod.files import to_yaml, write_yaml
from git_to_pod.settings import ROOT, Credentials, Settings

MANIFESTS = ROOT / "manifests"
ALTERNATIVES = ROOT / "alternatives"
SYNC_S = 120.0  # git-sync's default for --sync-timeout, and the limit of the app's postStart hook
MANIFESTS_NAMESPACE = "git-to-pod"


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
            *([hook_that_waits(settings.timeout_s)] if base == "manifests" and settings.timeout_s > SYNC_S else []),
        ],
    }
    write_yaml(folder / "kustomization.yaml", overlay)


def merge(kind: str, name: str, body: Object) -> dict[str, Any]:
    """A patch of one object. kustomize applies patches before it renames the Namespace."""
    known_as = MANIFESTS_NAMESPACE if kind == "Namespace" else name
    metadata = {"name": known_as} | body.get("metadata", {})
    patch = {"apiVersion": "v1", "kind": kind} | body | {"metadata": metadata}
    return {"target": {"kind": kind, "name": known_as}, "patch": to_yaml(patch)}


def git_source(settings: Settings) -> dict[str, str | None]:
    """The entries of git-source for this repository; None removes an entry that manifests/ has."""
    where = {"GITSYNC_REPO": settings.repository, "GITSYNC_REF": settings.ref, "GITSYNC_PERIOD": settings.period}
    if settings.timeout_s > SYNC_S:  # a slow link: git-sync would kill its fetch again and again
        where["GITSYNC_SYNC_TIMEOUT"] = f"{math.ceil(settings.timeout_s)}s"
    return where | git_access(settings.repository, settings.reader)


def hook_that_waits(timeout_s: float) -> dict[str, Any]:
    """A patch of the app: the postStart hook waits for as long as git-sync may take."""
    app = yaml.safe_load((MANIFESTS / "app-deployment.yaml").read_text())
    git_sync = container_of(app["spec"]["template"]["spec"], "git-sync")
    program, _, *command = git_sync["lifecycle"]["postStart"]["exec"]["command"]
    assert program == "timeout", "the hook has a limit"
    hook = {"exec": {"command": [program, str(math.ceil(timeout_s)), *command]}}
    changed = {"name": "git-sync", "lifecycle": {"postStart": hook}}
    body = {"apiVersion": "apps/v1", "spec": {"template": {"spec": {"initContainers": [changed]}}}}
    return merge("Deployment", "app", body)


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
