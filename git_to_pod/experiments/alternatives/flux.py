"""The candidate Flux: its source and kustomize controllers apply the app and its content from git."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import yaml

from git_to_pod.app.baseline import WORKTREE, baseline_deployment
from git_to_pod.app.namespace import MARK, create_namespace, labels
from git_to_pod.app.overlay import ALTERNATIVES, MANIFESTS
from git_to_pod.cluster.api import ApiError, Cluster, Object
from git_to_pod.cluster.paths import api_path, custom_path
from git_to_pod.cluster.recorder import Event
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.files import write_yaml
from git_to_pod.git.repository import FILE
from git_to_pod.settings import Settings

if TYPE_CHECKING:
    from git_to_pod.experiments.alternatives.candidate import Candidate

SOURCE, KUSTOMIZE = "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"
KINDS = {
    "Bucket": ("buckets", SOURCE),
    "ExternalArtifact": ("externalartifacts", SOURCE),
    "GitRepository": ("gitrepositories", SOURCE),
    "HelmChart": ("helmcharts", SOURCE),
    "HelmRepository": ("helmrepositories", SOURCE),
    "OCIRepository": ("ocirepositories", SOURCE),
    "Kustomization": ("kustomizations", KUSTOMIZE),
}
DEFINITIONS = api_path("CustomResourceDefinition")


def unavailable(cluster: Cluster, settings: Settings) -> str:
    """Why Flux cannot be measured here; empty if it can. Definitions that an earlier run left are no reason."""
    images = {image["ref"] for image in settings.lab.images} if settings.lab else set()
    wanted = {f"ghcr.io/fluxcd/{name}:v1.9.5" for name in ("source-controller", "kustomize-controller")}
    if not settings.lab:
        return "it needs CustomResourceDefinitions, so it is measured in the embedded lab only"
    if not wanted <= images:
        return "its images are not in --images DIR"
    if any(MARK not in found["metadata"].get("labels", {}) for found in existing_definitions(cluster)):
        return "this cluster already has Flux"
    return ""


@contextmanager
def definitions(cluster: Cluster) -> Iterator[None]:
    """Create Flux's CustomResourceDefinitions, without schemas, and delete them at the end of the block."""
    try:
        remove_definitions(cluster)  # of a run that was interrupted
        wait_for("no definitions of an earlier run", lambda: not existing_definitions(cluster), 30)
        for kind in KINDS:
            cluster.apply(DEFINITIONS, definition(kind))
        wait_for("Flux's kinds", lambda: all(served(cluster, kind) for kind in KINDS), 30)
        yield
    finally:
        remove_definitions(cluster)


def existing_definitions(cluster: Cluster) -> list[Object]:
    """Flux's definitions in this cluster, whoever created them."""
    paths = [f"{DEFINITIONS}/{plural}.{group}" for plural, group in KINDS.values()]
    return [found for path in paths if (found := cluster.find(path))]


def remove_definitions(cluster: Cluster) -> None:
    """Delete Flux's definitions that an evaluation created, with their objects."""
    for found in existing_definitions(cluster):
        spec, name = found["spec"], found["metadata"]["name"]
        if MARK in found["metadata"].get("labels", {}):
            release(cluster, spec["names"]["plural"], spec["group"])
            cluster.delete(f"{DEFINITIONS}/{name}")


def release(cluster: Cluster, plural: str, group: str) -> None:
    """Delete the objects of a kind. Their controller is gone, so nothing else would remove their finalizers."""
    if cluster.find(custom_path(group, plural)) is None:
        return
    for item in cluster.items(custom_path(group, plural)):
        path = custom_path(group, plural, item["metadata"]["namespace"], item["metadata"]["name"])
        cluster.delete(path)  # first: a terminating object gets no new finalizers
        with suppress(ApiError):  # it had none
            cluster.patch(path, {"metadata": {"finalizers": None}})


def served(cluster: Cluster, kind: str) -> bool:
    plural, group = KINDS[kind]
    return cluster.request("GET", custom_path(group, plural)).status == 200  # 404, then 429, until it is ready


def definition(kind: str) -> Object:
    plural, group = KINDS[kind]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{plural}.{group}", "labels": labels()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def cluster_objects(cluster: Cluster) -> dict[str, int]:
    """Flux's objects outside its namespace."""
    return {"CustomResourceDefinition": len(cluster.items(DEFINITIONS, labelSelector=MARK))}


def prepare(candidate: Candidate) -> None:
    """Write into the clone what Flux applies: the app, and the content as a ConfigMap with a hash in its name."""
    clone, git = candidate.repository.clone, candidate.repository.account.git
    files = [FILE, *(path.name for path in clone.glob("*.bin"))]
    generated = [{"name": "content", "files": files}, {"name": "nginx-conf", "files": ["nginx.conf"]}]
    write_yaml(clone / "kustomization.yaml", {"resources": ["app.yaml"], "configMapGenerator": generated})
    conf = (MANIFESTS / "nginx.conf").read_text().replace("/git/current", WORKTREE)
    (clone / "nginx.conf").write_text(conf)
    write_yaml(clone / "app.yaml", *app(candidate))
    git("add", "kustomization.yaml", "nginx.conf", "app.yaml", folder=clone)


def app(candidate: Candidate) -> list[Object]:
    """The app of manifests/ without git-sync, and its Service. The trials set the replicas."""
    built = list(yaml.safe_load_all(candidate.cluster.kubectl("kustomize", str(MANIFESTS))))
    deployed = next(item for item in built if item["kind"] == "Deployment" and item["metadata"]["name"] == "app")
    service = next(item for item in built if item["kind"] == "Service")
    found = baseline_deployment(deployed)
    found["metadata"] = {"name": "app"}
    spec = found["spec"]
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = {"app": "app"}
    del spec["replicas"]
    for volume in spec["template"]["spec"]["volumes"]:
        if volume["name"] in ("git", "nginx-conf"):
            volume["configMap"] = {"name": {"git": "content"}.get(volume["name"], volume["name"])}
    del service["metadata"]["namespace"]
    return [found, service]


def put(candidate: Candidate) -> None:
    """Apply the controllers, the credentials, the GitRepository and the Kustomization."""
    cluster, settings = candidate.cluster, candidate.settings
    name = settings.namespace
    lab = settings.lab is not None
    create_namespace(cluster, name, settings.commits, settings.keep, settings.timeout_s, lab)
    restricted = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    cluster.patch(api_path("Namespace", name=name), {"metadata": restricted})
    put_controllers(cluster, settings, settings.ref, interval="10m")
    path = candidate.path("Deployment", "app")
    wait_for("Flux has applied the app", lambda: cluster.find(path), settings.timeout_s, lambda: message(cluster, name))
    cluster.patch(path, {"spec": {"replicas": settings.replicas}})


def put_controllers(cluster: Cluster, settings: Settings, branch: str, interval: str) -> None:
    """Apply both controllers, and let them apply this branch to the namespace, again after each interval."""
    reader, name = settings.reader, settings.namespace
    access = {"username": reader.username, "password": reader.password, "ca.crt": reader.ca_crt}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "flux-credentials"}, "stringData": access}
    cluster.apply(api_path("Secret", name), secret)
    cluster.kubectl("apply", f"--namespace={name}", f"--kustomize={ALTERNATIVES / 'flux'}")
    source = {
        "interval": settings.period,
        "timeout": "20s",
        "url": settings.repository,
        "ref": {"branch": branch},
        "secretRef": {"name": "flux-credentials"},
    }
    kustomization = {
        "interval": interval,
        "retryInterval": settings.period,
        "timeout": "30s",
        "path": "./",
        "prune": True,
        "sourceRef": {"kind": "GitRepository", "name": "content"},
        "targetNamespace": name,
    }
    for kind, spec in (("GitRepository", source), ("Kustomization", kustomization)):
        plural, group = KINDS[kind]
        item = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "content"}, "spec": spec}
        cluster.apply(custom_path(group, plural, name), item)


def message(cluster: Cluster, namespace: str) -> str:
    """The messages of both objects' conditions."""
    words = []
    for kind in ("GitRepository", "Kustomization"):
        plural, group = KINDS[kind]
        item = cluster.find(custom_path(group, plural, namespace, "content")) or {}
        words += [f"{kind}: {c.get('message', '')}" for c in item.get("status", {}).get("conditions", [])]
    return "; ".join(words) or "no conditions yet"


def limit(cluster: Cluster, namespace: str) -> int | None:
    """The largest content, from Flux's own error message."""
    found = re.search(r"more than (\d+) bytes", message(cluster, namespace))
    return int(found[1]) if found else None


def commit(event: Event) -> str:
    """The content that an event publishes: the ConfigMap does not name its commit."""
    if event.kind == "ConfigMap" and event.type == "ADDED" and event.name.startswith("content-"):
        return str(event.object.get("data", {}).get(FILE, ""))
    return ""
