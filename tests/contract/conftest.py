"""The contract applies to the upstream images and to the lab's stand-ins. The last lines of a run name those it used.

The fixture `lab` has the fields of the running lab's lab.json.
"""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.git.repository import Account
from git_to_pod.settings import Credentials
from tests.contract.kubectl import NAMESPACE, Kubectl, manifest

TESTED = pytest.StashKey[list[str]]()


def image_of(file: str) -> str:
    return str(manifest(file)["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.fixture(scope="session", autouse=True)
def sources(
    lab: dict[str, Any], pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> dict[str, str]:
    """The source of each image under test: archive, pulled or stand-in."""
    images = {image["ref"]: image for image in lab["images"]}
    tested = [images[image_of(file)] for file in ("git-poller.yaml", "reloader.yaml")]
    fields = ("source", "digest", "note")
    pytestconfig.stash[TESTED] = [f"{i['ref']}: {', '.join(i[field] for field in fields)}" for i in tested]
    record_testsuite_property("contract", pytestconfig.stash[TESTED])
    return {image["ref"]: image["source"] for image in tested}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TESTED, []):
        terminalreporter.write_line(f"contract ran against {line}")


@pytest.fixture(scope="session")
def kubectl(lab: dict[str, Any]) -> Iterator[Kubectl]:
    """A new namespace with the labels of the deployment's, so that the same Pod Security level applies."""
    client = Kubectl(lab["kubeconfig"])
    client.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    namespace = manifest("namespace.yaml", "Namespace")
    namespace["metadata"] = {"name": NAMESPACE, "labels": namespace["metadata"]["labels"]}
    client.apply(namespace)
    # until it exists, the API server rejects pods
    client.wait("service account", lambda: "metadata" in client.get("serviceaccount", "default"))
    yield client
    client.run("delete", "namespace", NAMESPACE, "--timeout=60s")


class Branch:
    """A branch of the lab's repository for this run only. The writer pushes to it."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        keys = {file.name: file.read_text().strip() for file in Path(lab["push_credentials"]).iterdir()}
        self.account = Account(Credentials(keys["username"], keys["password"], keys["ca.crt"]))
        self.folder, self.url, self.name = folder, str(lab["push_url"]), f"contract-{secrets.token_hex(4)}"
        self.commits: list[str] = []
        self.git("init", "--quiet", f"--initial-branch={self.name}")

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=contract", "-c", "user.email=contract@git.example.test")
        return self.account.git(*author, *arguments, folder=self.folder).strip()

    def push(self) -> str:
        """Push a commit whose file `number` has its number, from 0. Return its hash."""
        (self.folder / "number").write_text(f"{len(self.commits)}\n")
        self.git("add", "number")
        self.git("commit", "--quiet", f"--message=Contract {len(self.commits)}")
        self.git("push", "--quiet", self.url, self.name)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def close(self) -> None:
        self.git("push", "--quiet", self.url, f":{self.name}")
        self.account.close()


@pytest.fixture(scope="session")
def branch(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    branch = Branch(lab, tmp_path_factory.mktemp("branch"))
    branch.push()
    yield branch
    branch.close()
