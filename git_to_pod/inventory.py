"""What a deployment consists of, counted from the cluster: objects, rights, and where a commit can be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_to_pod.cluster import Cluster, Object

MADE_BY_KUBERNETES = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
NOT_COUNTED = {"Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics"}


def all_objects(cluster: Cluster, namespace: str) -> list[Object]:
    """Everything in a namespace, whatever its kind."""
    found: dict[str, Object] = {}
    for path, resource in namespaced_resources(cluster):
        listed = cluster.get(f"{path}/namespaces/{namespace}/{resource['name']}")
        for item in listed["items"]:
            found[item["metadata"]["uid"]] = {"kind": resource["kind"]} | item
    return list(found.values())


def namespaced_resources(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    """As the API server lists them: each group in the version it prefers."""
    groups = cluster.get("/apis")["groups"]
    for path in ("/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)):
        for resource in cluster.get(path)["resources"]:
            if resource["namespaced"] and "list" in resource["verbs"]:
                yield path, resource


def applied(objects: list[Object]) -> Counter[str]:
    """How many of each kind somebody had to write: nothing that a controller made, and no load."""
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
    """One rule of a role, as it holds for one account."""

    account: str
    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]  # the only objects it holds for; empty: all
    everywhere: bool  # in every namespace

    @property
    def pairs(self) -> int:
        return len(self.verbs) * len(self.resources)

    def __str__(self) -> str:
        named = f" named {', '.join(self.names)}" if self.names else ""
        where = " in every namespace" if self.everywhere else ""
        return f"{self.account}: {', '.join(self.verbs)} {', '.join(self.resources)}{named}{where}"


def rights(cluster: Cluster, namespace: str) -> list[Right]:
    """What the namespace's accounts may do."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    own = f"{rbac}/namespaces/{namespace}"
    bindings = [(item, False) for item in cluster.items(f"{own}/rolebindings")]
    bindings += [(item, True) for item in cluster.items(f"{rbac}/clusterrolebindings")]
    found = []
    for binding, everywhere in bindings:
        role, holders = binding["roleRef"], accounts(binding, namespace)
        if holders:
            where = f"{rbac}/clusterroles" if role["kind"] == "ClusterRole" else f"{own}/roles"
            rules = cluster.get(f"{where}/{role['name']}").get("rules") or []
            found += [right(account, rule, everywhere) for account in holders for rule in rules]
    return sorted(found, key=str)


def accounts(binding: Object, namespace: str) -> list[str]:
    subjects, own = binding.get("subjects") or [], binding["metadata"].get("namespace")
    return [s["name"] for s in subjects if s["kind"] == "ServiceAccount" and s.get("namespace", own) == namespace]


def right(account: str, rule: dict[str, Any], everywhere: bool) -> Right:
    resources, names = rule.get("resources") or rule.get("nonResourceURLs", []), rule.get("resourceNames", [])
    return Right(account, tuple(rule["verbs"]), tuple(resources), tuple(names), everywhere)


def where_seen(objects: list[Object], commit: str) -> list[str]:
    """The kinds of object, and the fields in them, that hold the whole commit id."""
    found = {f"{item['kind']} {field}" for item in objects for field in fields_with(item, commit)}
    return sorted(found)


def fields_with(value: object, text: str, path: str = "") -> Iterator[str]:
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
