"""The contract holds for the upstream images and for the lab's stand-ins alike; the closing lines say which these were.

The fixture `lab` is the running lab: what its lab.json says.
"""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubectl import NAMESPACE, Kubectl, manifest, wait_for

TESTED = pytest.StashKey[list[str]]()


def image_of(file: str) -> str:
    return str(manifest(file)["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.fixture(scope="session", autouse=True)
def sources(
    lab: dict[str, Any], pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> dict[str, str]:
    """Where each image under test comes from, as the lab says: archive, pulled or stand-in."""
    images = {image["ref"]: image for image in lab["images"]}
    tested = [images[image_of(file)] for file in ("git-poller.yaml", "reloader.yaml")]
    pytestconfig.stash[TESTED] = [f"{image['ref']}: {image['source']}, {image['digest']}" for image in tested]
    record_testsuite_property("contract", pytestconfig.stash[TESTED])
    return {image["ref"]: image["source"] for image in tested}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TESTED, []):
        terminalreporter.write_line(f"contract ran against {line}")


@pytest.fixture(scope="session")
def kubectl(lab: dict[str, Any]) -> Iterator[Kubectl]:
    """A fresh namespace, as strict as the deployment's own."""
    client = Kubectl(lab["kubeconfig"])
    client.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    namespace = manifest("namespace.yaml", "Namespace")
    namespace["metadata"] = {"name": NAMESPACE, "labels": namespace["metadata"]["labels"]}
    client.apply(namespace)
    wait_for("service account", lambda: client.get("serviceaccount", "default"))  # pods are refused before
    yield client
    client.run("delete", "namespace", NAMESPACE, "--timeout=60s")


class Branch:
    """A branch of the lab's repository for this run alone, pushed to as the writer."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        self.folder, self.url, self.name = folder, str(lab["push_url"]), f"contract-{secrets.token_hex(4)}"
        self.commits: list[str] = []
        credentials = Path(lab["push_credentials"])
        settings = {
            "http.sslCAInfo": str(credentials / "ca.crt"),
            # a shell function that prints the files: arguments and the environment hold no secret
            "credential.helper": f"!f() {{ echo username=$(cat {credentials}/username); "
            f"echo password=$(cat {credentials}/password); }}; f",
            "user.name": "contract",
            "user.email": "contract@git.example.test",
        }
        self.environment = os.environ | {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
        for number, (key, value) in enumerate(settings.items()):
            self.environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        self.git("init", "--quiet", f"--initial-branch={self.name}")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout.strip()

    def push(self) -> str:
        """Push a commit whose file `number` says which it is, and return its id."""
        (self.folder / "number").write_text(f"{len(self.commits)}\n")
        self.git("add", "number")
        self.git("commit", "--quiet", f"--message=Contract {len(self.commits)}")
        self.git("push", "--quiet", self.url, self.name)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def delete(self) -> None:
        self.git("push", "--quiet", self.url, f":{self.name}")


@pytest.fixture(scope="session")
def branch(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    branch = Branch(lab, tmp_path_factory.mktemp("branch"))
    branch.push()
    yield branch
    branch.delete()
