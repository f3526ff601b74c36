"""A temporary private git host in the user's cluster, for a run with --context and without --repository."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import sh
import trustme
import yaml

from git_to_pod import watchdog
from git_to_pod.app.deployment import apply_folder
from git_to_pod.app.namespace import check_namespace, create_namespace, labels, make_room, remove_or_report
from git_to_pod.app.overlay import MANIFESTS
from git_to_pod.app.pod_template import carried, carried_by_container, metadata_of
from git_to_pod.cluster.api import Cluster, Object, reach
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.permissions import GIT_HOST, RUN, check_rights
from git_to_pod.cluster.status import deployment_state, is_complete
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.files import to_yaml, write_yaml
from git_to_pod.programs import start
from git_to_pod.settings import ROOT, Parameters, existing

FILES = ROOT / "own-cluster" / "git-host"
NAME = "git-host"  # of every object
PATH = "/content.git"
ACCOUNTS = ("reader", "writer")


@contextmanager
def git_host(given: Parameters) -> Iterator[Parameters]:
    """Deploy the git host, yield the parameters with its URLs and accounts, and remove it, unless `keep` is set."""
    cluster = reach(given.context, existing(given.kubeconfig, "--kubeconfig"))
    namespace = f"{given.namespace}-git"
    check_rights(cluster, given.namespace)  # before anything is applied: the rights of the run itself
    check_rights(cluster, given.namespace, (RUN, GIT_HOST), work_in=namespace)
    for name in (given.namespace, namespace):
        check_namespace(cluster, name)
    host = f"{NAME}.{namespace}.svc"
    folder = watchdog.make_folder()  # it holds the accounts' passwords
    try:
        make_accounts(folder, host)
        make_room(cluster, namespace, given.timeout)
        create_namespace(cluster, namespace, given.commits, given.keep, given.timeout, lab=False)
        deploy(cluster, namespace, given, folder)
        with forwarded(cluster, namespace, given.timeout) as port:
            yield replace(
                given,
                repository=f"https://{host}{PATH}",
                push_url=f"https://127.0.0.1:{port}{PATH}",
                credentials=str(folder / "reader"),
                push_credentials=str(folder / "writer"),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not given.keep:
            remove_or_report(cluster, namespace, given.timeout)


def make_accounts(folder: Path, host: str) -> None:
    """Make a folder for each account, as --credentials expects it, and `git-host` with the Secret's files."""
    ca = trustme.CA()
    server = ca.issue_cert(host, "127.0.0.1")  # for the pods, and for this machine's port-forward
    passwords = {account: secrets.token_urlsafe(24) for account in ACCOUNTS}
    for account, password in passwords.items():
        account_folder = folder / account
        account_folder.mkdir()
        (account_folder / "username").write_text(account)
        (account_folder / "password").write_text(password)
        ca.cert_pem.write_to_path(str(account_folder / "ca.crt"))
    (folder / NAME).mkdir()
    files = {
        "tls.crt": b"".join(part.bytes() for part in server.cert_chain_pems),
        "tls.key": server.private_key_pem.bytes(),
        "readers": "".join(f"{account}:{{PLAIN}}{password}\n" for account, password in passwords.items()).encode(),
        "writers": f"writer:{{PLAIN}}{passwords['writer']}\n".encode(),
    }
    for name, content in files.items():
        (folder / NAME / name).write_bytes(content)


def deploy(cluster: Cluster, namespace: str, given: Parameters, folder: Path) -> None:
    """Apply the overlay with one `kubectl apply --kustomize`, and wait until the git host is ready. Raises TimedOut."""
    write_overlay(folder, namespace, given.ref, objects_of_manifests(cluster))
    apply_folder(cluster, folder, given.timeout)
    state = "unknown"

    def up() -> bool:
        nonlocal state
        deployment = cluster.get(api_path("Deployment", namespace, NAME))
        state = deployment_state(deployment, cluster.items(api_path("Pod", namespace)))
        return is_complete(deployment)

    wait_for(f"git host ready in namespace {namespace}", up, given.timeout, lambda: state, pause_s=0.2)


def write_overlay(folder: Path, namespace: str, ref: str, manifests: Sequence[Object]) -> None:
    """Write a kustomization over the git host: the namespace, the branch, the Secret, and what manifests/ carry."""
    shutil.copytree(FILES, folder / "base")
    app = next(item for item in manifests if (item["kind"], item["metadata"]["name"]) == ("Deployment", "app"))
    template = pod_template(app["spec"]["template"], ref)
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": {"template": template}}
    namespace_patch = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": labels()}}
    (folder / "pull-secrets.yaml").touch(0o600)
    write_yaml(folder / "pull-secrets.yaml", *pull_secrets(template["spec"], manifests))
    overlay = {
        "namespace": namespace,
        "resources": ["base", "pull-secrets.yaml"],
        "patches": [{"patch": to_yaml(patch)}, {"patch": to_yaml(namespace_patch)}],
        "secretGenerator": [{"name": NAME, "files": [f"{NAME}/{f.name}" for f in sorted((folder / NAME).iterdir())]}],
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    write_yaml(folder / "kustomization.yaml", overlay)


def objects_of_manifests(cluster: Cluster) -> list[Object]:
    """The objects of manifests/ as kustomize renders them: with the mirror, the tolerations and so on set there."""
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(MANIFESTS))))


def pod_template(app: Object, ref: str) -> Object:
    """A patch of the git host's pod template: the branch, and what the app's pod template carries."""
    git_sync, nginx = (carried_by_container(app["spec"], name) for name in ("git-sync", "nginx"))
    git_sync["env"] = [{"name": "BRANCH", "value": ref.replace("$", "$$")}]
    return {"metadata": metadata_of(app), "spec": carried(app["spec"]) | {"containers": [git_sync, nginx]}}


def pull_secrets(spec: Object, manifests: Sequence[Object]) -> list[Object]:
    """The Secrets of manifests/ with which the pods pull their images, for the git host's namespace."""
    wanted = [reference["name"] for reference in spec.get("imagePullSecrets", [])]
    found = [item for item in manifests if item["kind"] == "Secret" and item["metadata"]["name"] in wanted]
    return [item | {"metadata": {"name": item["metadata"]["name"]}} for item in found]


class Forward:
    """`kubectl port-forward` from a free local port, restarted whenever it ends."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.port = 0  # until kubectl has chosen one
        self.stopped = threading.Event()
        self.launching = threading.Lock()
        self.message = ""
        self.process: sh.RunningCommand | None = None
        self.thread = threading.Thread(target=self.keep, name="port-forward", daemon=True)
        self.thread.start()

    def keep(self) -> None:
        while self.launch():
            assert self.process is not None
            self.process.wait()
            self.stopped.wait(0.2)

    def read(self, line: str) -> None:
        """A line of kubectl's output: the local port, or why it fails."""
        if found := re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", line):
            self.port = int(found[1])
        elif line.strip() and not line.startswith("Handling connection"):
            self.message = line.strip()

    def launch(self) -> bool:
        """Start kubectl, unless `stop` came first. A restart keeps the port."""
        command = [*self.command, f"{self.port or ''}:https"]
        with self.launching:
            if self.stopped.is_set():
                return False
            # Its parent is this thread, which lasts as long as the process.
            self.process = start(*command, on_line=self.read)
        return True

    def stop(self) -> None:
        with self.launching:
            self.stopped.set()
            if self.process is not None and self.process.is_alive():  # its truth value waits for its end
                with suppress(ProcessLookupError):
                    self.process.terminate()
        self.thread.join(10)


@contextmanager
def forwarded(cluster: Cluster, namespace: str, timeout_s: float) -> Iterator[int]:
    """A local port that is forwarded to the git host. Raises TimedOut."""
    command = ("port-forward", f"--namespace={namespace}", "--address=127.0.0.1", f"service/{NAME}")
    forward = Forward(cluster.kubectl_command(*command))
    try:
        what = f"port-forward to service/{NAME}"
        wait_for(
            what, lambda: forward.port and answers(forward.port), timeout_s, lambda: forward.message or "no answer"
        )
        yield forward.port
    finally:
        forward.stop()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
