"""Paths of the Kubernetes API, by kind."""

from __future__ import annotations

RBAC = "apis/rbac.authorization.k8s.io/v1"
# The kinds of one namespace, and those of the whole cluster: the group and version, and the plural.
NAMESPACED = {
    "ConfigMap": ("api/v1", "configmaps"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "Event": ("api/v1", "events"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": ("apis/networking.k8s.io/v1", "ingresses"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "Pod": ("api/v1", "pods"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "Role": (RBAC, "roles"),
    "RoleBinding": (RBAC, "rolebindings"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
}
CLUSTER_SCOPED = {
    "ClusterRole": (RBAC, "clusterroles"),
    "ClusterRoleBinding": (RBAC, "clusterrolebindings"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Namespace": ("api/v1", "namespaces"),
    "Node": ("api/v1", "nodes"),
}


def api_path(kind: str, namespace: str = "", name: str = "") -> str:
    """The path of an object, or without a name of the kind's list. Without a namespace, the list of all namespaces."""
    group, plural = NAMESPACED.get(kind) or CLUSTER_SCOPED[kind]
    return join(group, plural, namespace, name)


def custom_path(group: str, plural: str, namespace: str = "", name: str = "") -> str:
    """The same for a kind that a CustomResourceDefinition defines, in version v1."""
    return join(f"apis/{group}/v1", plural, namespace, name)


def join(group: str, plural: str, namespace: str, name: str) -> str:
    within = f"namespaces/{namespace}" if namespace else ""
    return "/" + "/".join(filter(None, [group, within, plural, name]))
