"""Check the user's permissions on a cluster before anything is applied."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby, product

import yaml

from git_to_pod.cluster.api import Cluster
from git_to_pod.settings import ROOT, InputError

RIGHTS = ROOT / "own-cluster" / "rights.yaml"  # README.md has an administrator apply it
RUN, GIT_HOST = "git-to-pod-evaluation", "git-to-pod-evaluation-git-host"  # the roles in it
NAMESPACE = "git-to-pod"  # the run's namespace in the roles
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AT_ONCE = 8  # requests in flight: a remote cluster takes long for each

Right = dict[str, str]  # the resourceAttributes of a SelfSubjectAccessReview


def check_rights(cluster: Cluster, namespace: str, roles: tuple[str, ...] = (RUN,), work_in: str = "") -> None:
    """Check the roles' rights in `work_in`, by default the run's namespace. Raises InputError with the missing ones."""
    work_in = work_in or namespace
    asked = [right for role in roles for right in rights_of(role, namespace, work_in)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        allowed = list(pool.map(partial(is_allowed, cluster), asked))
    missing = [right for right, is_one in zip(asked, allowed, strict=True) if not is_one]
    if missing:
        raise InputError(
            f"--context {cluster.context}: this user cannot {spelled(missing)} (namespace {work_in}); "
            f"ask an administrator to grant {RIGHTS.relative_to(ROOT)} as README.md describes"
        )


def rights_of(role: str, namespace: str, work_in: str) -> Iterator[Right]:
    """The single rights of a role, for a run in this namespace."""
    documents = {each["metadata"]["name"]: each for each in yaml.safe_load_all(RIGHTS.read_text())}
    for rule in documents[role]["rules"]:
        names = rule.get("resourceNames", [""])
        for group, resource, name, verb in product(rule["apiGroups"], rule["resources"], names, rule["verbs"]):
            kind, _, part = resource.partition("/")
            right = {"verb": verb, "group": group, "resource": kind, "subresource": part, "name": name}
            if kind == "namespaces":
                yield right | {"name": name.replace(NAMESPACE, namespace, 1)}
            else:
                yield right | {"namespace": work_in}


def is_allowed(cluster: Cluster, right: Right) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = cluster.call("POST", REVIEWS, review | {"spec": {"resourceAttributes": right}})
    return bool(answer["status"]["allowed"])


def spelled(rights: list[Right]) -> str:
    """The rights in the words of `kubectl auth can-i`, with the verbs for one resource together."""
    named = sorted((resource_of(right), right["verb"]) for right in rights)
    by_resource = groupby(named, key=lambda one: one[0])
    return "; ".join(f"{', '.join(verb for _, verb in same)} {resource}" for resource, same in by_resource)


def resource_of(right: Right) -> str:
    group = f".{right['group']}" if right["group"] else ""
    part = f"/{right['subresource']}" if right["subresource"] else ""
    name = f" {right['name']}" if right["name"] else ""
    return f"{right['resource']}{group}{part}{name}"
