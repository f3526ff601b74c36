"""Inventory of a deployment, read from the cluster: objects, RBAC permissions, and the fields that show a commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_to_pod.cluster.api import Cluster, Object

MADE_BY_KUBERNETES = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
NOT_COUNTED = {"Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics"}


def all_objects(cluster: Cluster, namespace: str) -> list[Object]:
    """Every object in a namespace, of every kind that the API server can list."""
    found: dict[str, Object] = {}
    for path, resource in namespaced_resources(cluster):
        listed = cluster.get(f"{path}/namespaces/{namespace}/{resource['name']}")
        for item in listed["items"]:
            found[item["metadata"]["uid"]] = {"kind": resource["kind"]} | item
    return list(found.values())


def namespaced_resources(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    """The base path and the description of each resource that can be listed, in its group's preferred version."""
    groups = cluster.get("/apis")["groups"]
    for path in ("/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)):
        for resource in cluster.get(path)["resources"]:
            if resource["namespaced"] and "list" in resource["verbs"]:
                yield path, resource


def applied(objects: list[Object]) -> Counter[str]:
    """The number of objects of each kind that a person applied. Pods and objects made by controllers do not count."""
    kinds = [
        str(item["kind"])
        for item in objects
        if not item["metadata"].get("ownerReferences")
        and item["kind"] not in NOT_COUNTED
        and (item["kind"], item["metadata"]["name"]) not in MADE_BY_KUBERNETES
        and item["kind"] != "Pod"
    ]
    return Counter(kinds)


@dataclass(frozen=True)
class Right:
    """One rule of a role, bound to one service account."""

    account: str
    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]  # resourceNames; empty: all objects
    everywhere: bool  # bound by a ClusterRoleBinding

    @property
    def pairs(self) -> int:
        """The number of verb/resource pairs."""
        return len(self.verbs) * len(self.resources)

    def __str__(self) -> str:
        named = f" named {', '.join(self.names)}" if self.names else ""
        where = " in every namespace" if self.everywhere else ""
        return f"{self.account}: {', '.join(self.verbs)} {', '.join(self.resources)}{named}{where}"


def rights(cluster: Cluster, namespace: str) -> list[Right]:
    """The RBAC rules of the namespace's service accounts, from RoleBindings and ClusterRoleBindings."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    local = f"{rbac}/namespaces/{namespace}"
    bindings = [(item, False) for item in cluster.items(f"{local}/rolebindings")]
    bindings += [(item, True) for item in cluster.items(f"{rbac}/clusterrolebindings")]
    found = []
    for binding, everywhere in bindings:
        role, holders = binding["roleRef"], accounts(binding, namespace)
        if holders:
            where = f"{rbac}/clusterroles" if role["kind"] == "ClusterRole" else f"{local}/roles"
            rules = cluster.get(f"{where}/{role['name']}").get("rules") or []
            found += [right(account, rule, everywhere) for account in holders for rule in rules]
    return sorted(found, key=str)


def accounts(binding: Object, namespace: str) -> list[str]:
    """The subjects of a binding that are service accounts of the namespace."""
    subjects, local = binding.get("subjects") or [], binding["metadata"].get("namespace")
    return [s["name"] for s in subjects if s["kind"] == "ServiceAccount" and s.get("namespace", local) == namespace]


def right(account: str, rule: dict[str, Any], everywhere: bool) -> Right:
    resources, names = rule.get("resources") or rule.get("nonResourceURLs", []), rule.get("resourceNames", [])
    return Right(account, tuple(rule["verbs"]), tuple(resources), tuple(names), everywhere)


def where_seen(objects: list[Object], commit: str) -> list[str]:
    """Each kind and field that holds the whole commit ID, as "ConfigMap data.commit". Events do not count."""
    counted = [item for item in objects if item["kind"] not in NOT_COUNTED]
    found = {f"{item['kind']} {field}" for item in counted for field in fields_with(item, commit)}
    return sorted(found)


def fields_with(value: object, text: str, path: str = "") -> Iterator[str]:
    """The paths of all strings that contain the text. Copies of the applied manifest do not count."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "managedFields" and "last-applied" not in key:
                yield from fields_with(item, text, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            named = item.get("name") if isinstance(item, dict) else None
            yield from fields_with(item, text, f"{path}[{named}]" if named else path)
    elif isinstance(value, str) and text in value:
        yield path
