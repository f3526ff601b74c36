"""kubectl for the contract suite, the manifests it takes its pods from, and the one wait that it has."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "contract"
Found = TypeVar("Found")


def manifest(file: str, kind: str = "Deployment") -> dict[str, Any]:
    """Return the object of a kind from one of the manifests, in this suite's namespace."""
    for document in yaml.safe_load_all((MANIFESTS / file).read_text()):
        if document["kind"] == kind:
            document["metadata"]["namespace"] = NAMESPACE
            return dict(document)
    raise LookupError(f"{file} has no {kind}")


def wait_for(what: str, probe: Callable[[], Found], timeout_s: float = 30) -> Found:
    """Call probe until it returns something true, and return that; on a timeout say what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {timeout_s:.0f} s, last seen: {found!r}")
        time.sleep(0.1)
    return found


class Kubectl:
    """kubectl in the suite's namespace."""

    def __init__(self, kubeconfig: str) -> None:
        self.command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}", "--request-timeout=30s"]

    def run(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments], input=stdin, capture_output=True, text=True, timeout=90, check=False
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
        return done

    def apply(self, *objects: dict[str, Any]) -> None:
        self.run("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str, name: str = "", selector: str = "") -> dict[str, Any]:
        """Return one object or a list; empty where it does not exist."""
        arguments = [kind, *([name] if name else []), f"--selector={selector}", "--ignore-not-found"]
        return dict(json.loads(self.run("get", "--output=json", *arguments).stdout or "{}"))

    def exec(self, pod: str, *command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--stdin", pod, "--", *command, stdin=stdin, check=check)

    def shell(self, pod: str, script: str, stdin: str = "") -> str:
        return self.exec(pod, "sh", "-c", script, stdin=stdin).stdout.strip()

    def logs(self, pod: str) -> str:
        return self.run("logs", pod).stdout
