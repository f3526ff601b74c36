"""kubectl for the contract suite, and the manifests from which the suite takes its pods."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from git_to_pod.cluster.waiting import wait_for

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "contract"


def manifest(file: str, kind: str = "Deployment") -> dict[str, Any]:
    """Return the object of a kind from a manifest, with this suite's namespace."""
    for document in yaml.safe_load_all((MANIFESTS / file).read_text()):
        if document["kind"] == kind:
            document["metadata"]["namespace"] = NAMESPACE
            return dict(document)
    raise LookupError(f"{file} has no {kind}")


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
        """Return an object or a list. If there is none, return a list without items."""
        arguments = [kind, *([name] if name else []), f"--selector={selector}", "--ignore-not-found"]
        return dict(json.loads(self.run("get", "--output=json", *arguments).stdout or '{"items": []}'))

    def exec(self, pod: str, *command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--stdin", pod, "--", *command, stdin=stdin, check=check)

    def shell(self, pod: str, script: str, stdin: str = "") -> str:
        return self.exec(pod, "sh", "-c", script, stdin=stdin).stdout.strip()

    def logs(self, pod: str) -> str:
        return self.run("logs", pod).stdout

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        wait_for(what, condition, timeout_s, self.last_words)

    def last_words(self) -> str:
        """The state of each pod and the last line of its log, for the message of a wait that times out."""
        states = self.run("get", "pods", "--no-headers", check=False).stdout.splitlines()
        return "\n".join(
            f"{state}: {self.run('logs', '--tail=1', state.split()[0], check=False).stdout}" for state in states
        )
