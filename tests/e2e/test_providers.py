"""The checks of every git host that the lab has, with right and with wrong credentials."""

from collections.abc import Iterator
from typing import Any

import pytest

from git_to_pod.app.app import App
from git_to_pod.cluster.api import connect
from git_to_pod.cluster.paths import api_path
from git_to_pod.experiments.git_hosts.matrix import SERVED, GitHostResult, run_providers, servers
from git_to_pod.git.repository import open_repository
from git_to_pod.settings import Parameters, Settings, resolve

NAMESPACE = "git-to-pod-e2e-providers"


@pytest.fixture(scope="module")
def settings(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    output = str(tmp_path_factory.mktemp("report"))
    return resolve(Parameters(namespace=NAMESPACE, commits=1, output=output))


@pytest.fixture(scope="module")
def rows(settings: Settings) -> Iterator[list[GitHostResult]]:
    cluster, repository = connect(settings), open_repository(settings)
    app = App(cluster, settings, repository)
    try:
        app.deploy()
        yield run_providers(cluster, app.template, repository, settings)
        left = [secret["metadata"]["name"] for secret in cluster.items(api_path("Secret", NAMESPACE))]
        assert left == ["git-credentials"]  # the Secrets of the checks are deleted
    finally:
        app.remove()
        app.close()


def test_every_try_ends_as_it_must(rows: list[GitHostResult]) -> None:
    assert [row for row in rows if not row.held] == []


def test_every_host_is_read_from_and_refuses(rows: list[GitHostResult], settings: Settings) -> None:
    assert settings.lab
    for server in servers(settings.lab, settings.reader):
        found = {row.found for row in rows if (row.server, row.authentication) == (server.name, server.authentication)}
        assert SERVED in found or server.way_in != SERVED
        assert found - {SERVED}


def test_a_full_git_service_is_among_them(rows: list[GitHostResult]) -> None:
    ways = {row.authentication for row in rows if row.server.startswith("Gitea")}
    if not ways:
        pytest.skip("the lab that is up was started without Gitea (scripts/lab up --extras)")
    assert ways == {"password", "token", "deploy key"}
