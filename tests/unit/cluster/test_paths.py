"""The paths of the Kubernetes API, by kind."""

from __future__ import annotations

import pytest

from git_to_pod.cluster.paths import api_path, custom_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (api_path("Deployment", "demo", "app"), "/apis/apps/v1/namespaces/demo/deployments/app"),
        (api_path("ConfigMap", "demo"), "/api/v1/namespaces/demo/configmaps"),
        (api_path("EndpointSlice", "demo"), "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"),
        (api_path("RoleBinding", "demo", "r"), "/apis/rbac.authorization.k8s.io/v1/namespaces/demo/rolebindings/r"),
        (api_path("Deployment"), "/apis/apps/v1/deployments"),
        (api_path("Namespace"), "/api/v1/namespaces"),
        (api_path("Namespace", name="demo"), "/api/v1/namespaces/demo"),
        (api_path("Node", name="n1"), "/api/v1/nodes/n1"),
        (custom_path("source.toolkit.fluxcd.io", "buckets"), "/apis/source.toolkit.fluxcd.io/v1/buckets"),
        (
            custom_path("source.toolkit.fluxcd.io", "buckets", "demo", "b"),
            "/apis/source.toolkit.fluxcd.io/v1/namespaces/demo/buckets/b",
        ),
    ],
)
def test_a_path_follows_from_the_kind(path: str, expected: str) -> None:
    assert path == expected


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        api_path("Deployments", "demo")
