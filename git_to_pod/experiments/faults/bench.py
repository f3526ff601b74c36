"""The deployment for the faults: its git host is behind Toxiproxy, and its Service has a load."""

from __future__ import annotations

import base64
import os
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import urllib3

from git_to_pod.app.deployment import STAMP, apply, check_cluster, deploy, stamp
from git_to_pod.app.load import Load, Response
from git_to_pod.app.namespace import remove
from git_to_pod.cluster.api import ApiError, Cluster, Object, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import container_statuses, described, is_complete, pods_of, settled
from git_to_pod.cluster.waiting import pause, wait_for
from git_to_pod.git.repository import FILE, Repository, open_repository
from git_to_pod.settings import Settings
from git_to_pod.timing.trials import served_commit
from lab import Lab, client

DEPLOYMENTS = ("git-poller", "reloader", "app")
BIG = "big.bin"


class Bench:
    """A deployment in its own namespace, with the operations that break and observe it."""

    def __init__(self, cluster: Cluster, settings: Settings, lab: Lab) -> None:
        self.cluster = cluster
        self.lab = lab
        self.settings = replace(settings, namespace=f"{settings.namespace}-faults", repository=lab.proxied_repository)
        self.accounts = Path(lab.git_passwords).read_text()  # as the lab created them
        self.password = self.settings.reader.password  # the reader's current one at the git host
        self.repository: Repository = open_repository(self.settings)
        self.recorder = Recorder()
        self.load: Load | None = None
        self.head = ""  # the commit that the branch points at
        git = self.repository.account.git
        for name, value in {"core.bigFileThreshold": "1m", "core.compression": "0"}.items():
            git("config", name, value, folder=self.repository.clone)  # random bytes do not compress
        self.repository.deepen()  # once the branch is deleted, a push must send the whole history

    # The deployment

    def deploy(self) -> None:
        """Deploy to an empty namespace and start the load."""
        self.stop_load()
        self.recorder = deploy(self.cluster, self.repository, self.settings)
        self.head = self.repository.pushed[-1]
        self.start_load()

    def deploy_with(self, password: str) -> None:
        """Deploy with this password for the git host. Does not wait, because the app may never become Ready."""
        self.stop_load()
        check_cluster(self.cluster, self.settings)
        remove(self.cluster, self.settings.namespace, self.settings.timeout_s)
        self.recorder = Recorder()
        self.recorder.follow(self.cluster, self.settings.namespace)
        reader = replace(self.settings.reader, password=password)
        apply(self.cluster, replace(self.settings, reader=reader))

    def apply(self) -> None:
        """Run `kubectl apply -k manifests/` again."""
        apply(self.cluster, self.settings)

    def start_load(self) -> None:
        self.load = Load(self.cluster, self.recorder, self.settings)
        self.load.start()

    def stop_load(self) -> None:
        if self.load:
            self.load.stop()
        self.load = None

    def close(self) -> None:
        """Undo everything that the faults may have changed in the lab."""
        try:
            self.stop_load()
            remove(self.cluster, self.settings.namespace, self.settings.timeout_s)
        finally:
            self.recorder.stop()
            self.let_in(self.accounts)
            self.proxy("POST", "reset")
            self.repository.close()

    # The repository

    def commit(self, text: str, big_mb: int = 0, served: bool = True) -> str:
        """Make the next commit: FILE with this text, or no FILE, and a file of `big_mb` megabytes beside it."""
        clone, git = self.repository.clone, self.repository.account.git
        for name, content in ((FILE, f"{text}\n".encode() if served else None), (BIG, os.urandom(big_mb * 10**6))):
            if content:
                (clone / name).write_bytes(content)
            else:
                (clone / name).unlink(missing_ok=True)
        git("add", "--all", folder=clone)
        git("commit", "--quiet", "--allow-empty", f"--message={text}", folder=clone)
        commit = git("rev-parse", "HEAD", folder=clone).strip()
        if served:
            self.repository.contents[commit] = f"{text}\n".encode()
        return commit

    def push(self, text: str, big_mb: int = 0, served: bool = True) -> None:
        self.push_commit(self.commit(text, big_mb, served))

    def push_commit(self, commit: str, *options: str) -> None:
        self.repository.push(commit, *options)
        self.head = self.repository.pushed[-1]

    def delete_branch(self) -> None:
        url, ref = self.repository.url, self.settings.ref
        self.repository.account.git("push", "--quiet", url, f":refs/heads/{ref}", folder=self.repository.clone)

    def matches(self, response: Response) -> bool:
        """Whether a response is the file of the commit that it names."""
        content = self.repository.contents.get(response.commit)
        if content is None:  # a commit without FILE
            return response.status == 404 and response.commit in self.repository.pushed
        return response.status == 200 and response.body.encode() == content

    # Its state

    @property
    def published(self) -> str:
        return str((self.recorder.get("ConfigMap", "git-commit") or {}).get("data", {}).get("commit", "nothing"))

    def served(self) -> dict[str, str]:
        """The commit that each app pod serves, or "wrong content" if the file is not that commit's."""
        found = {}
        for pod in pods_of(self.recorder, "app"):
            name = str(pod["metadata"]["name"])
            commit, body = served_commit(self.cluster, self.settings.namespace, name)
            there = self.repository.contents.get(commit, b"")
            found[name] = commit if not there or body == there else f"wrong content for {commit}"
        return found

    def served_if_asked(self) -> dict[str, str]:
        """As `served`; empty if the API server or a pod does not answer."""
        with suppress(ApiError, Unreachable):
            return self.served()
        return {}

    def catch_up(self) -> None:
        """Wait until the load's log shows the branch's commit. After an outage, the log may lag."""
        if load := self.load:
            newest = lambda: bool(load.responses) and load.responses[-1].commit == self.head  # noqa: E731
            wait_for(f"the load served {self.head[:8]}", newest, 30, lambda: str(load.responses[-1:]))

    def wait_normal(self, limit_s: float) -> float:
        """Wait until every pod serves the branch's commit and no rollout is under way. Returns when that began."""

        def normal() -> bool:
            up = all(is_complete(self.recorder.get("Deployment", name)) for name in DEPLOYMENTS)
            quiet = up and self.published == self.head and settled(self.recorder, "app", self.settings.replicas)
            return quiet and set(self.served_if_asked().values()) == {self.head}

        def last_seen() -> str:
            pods = ", ".join(f"{pod} serves {commit[:8]}" for pod, commit in self.served_if_asked().items())
            words = [f"published {self.published[:8]}", *(described(self.recorder, d) for d in DEPLOYMENTS), pods]
            return "; ".join(filter(None, words))

        limit = time.monotonic() + limit_s
        while True:
            left = max(limit - time.monotonic(), 0)
            wait_for(f"{self.head[:8]} served by every pod", normal, left, last_seen, pause_s=0.1)
            reached, template = time.monotonic(), self.template
            pause(1.5)  # long enough for another patch by Reloader
            if self.template == template and normal():
                return reached

    @property
    def template(self) -> Object:
        return dict((self.recorder.get("Deployment", "app") or {"spec": {"template": {}}})["spec"]["template"])

    def wait_published(self) -> None:
        what = f"{self.head[:8]} published"
        self.recorder.wait_for(what, lambda: self.published == self.head, 30, lambda: self.published)

    # Breaking its parts

    def proxy(self, method: str, path: str, body: Object | None = None) -> None:
        """Toxiproxy's API."""
        answer = urllib3.request(method, f"{self.lab.proxy_api}/{path}", json=body, timeout=5, retries=False)
        if answer.status >= 300:
            raise RuntimeError(f"Toxiproxy: {method} /{path}: {answer.status} {answer.data.decode()}")

    def toxic(self, kind: str, **attributes: int) -> None:
        """Add a toxic to the connection between the cluster and the git host."""
        self.proxy("POST", "proxies/git/toxics", {"name": kind, "type": kind, "attributes": attributes})

    def let_in(self, accounts: str) -> None:
        """Replace the accounts that the git host accepts over HTTPS."""
        Path(self.lab.git_passwords).write_text(accounts)

    def without_reader(self) -> str:
        return "".join(line for line in self.accounts.splitlines(keepends=True) if not line.startswith("reader:"))

    def with_reader(self) -> str:
        return f"{self.without_reader()}reader:{{PLAIN}}{self.password}\n"

    def change_password(self) -> None:
        """Change the reader's password on the git host. The cluster keeps the old one."""
        self.password = secrets.token_urlsafe()
        self.let_in(self.with_reader())

    def tell_password(self) -> None:
        """Write the new password into the Secret."""
        data = {"password": base64.b64encode(self.password.encode()).decode()}
        self.cluster.patch(api_path("Secret", self.settings.namespace, "git-credentials"), {"data": data})
        self.settings = replace(self.settings, reader=replace(self.settings.reader, password=self.password))

    def scale(self, name: str, replicas: int) -> None:
        path = api_path("Deployment", self.settings.namespace, name)
        self.cluster.patch(path, {"spec": {"replicas": replicas}})
        self.recorder.wait_for(
            f"{name} has {replicas} pods",
            lambda: len(self.recorder.all("Pod", app=name)) == replicas,
            30,
            lambda: described(self.recorder, name),
        )

    def stamp(self, commit: str) -> None:
        """Write Reloader's stamp for this commit into the app's pod template, and wait for the rollout."""
        path = api_path("Deployment", self.settings.namespace, "app")
        containers = self.cluster.get(path)["spec"]["template"]["spec"]["containers"]
        for container in containers:
            for variable in container.get("env", []):
                if variable["name"] == STAMP:
                    variable["value"] = stamp(commit)
        generation = self.cluster.patch(path, {"spec": {"template": {"spec": {"containers": containers}}}})["metadata"]

        def rolled_out() -> bool:
            app = self.recorder.get("Deployment", "app")
            current = app is not None and app["metadata"]["generation"] >= generation["generation"]
            return current and settled(self.recorder, "app", self.settings.replicas)

        self.recorder.wait_for("rollout of app", rolled_out, 30, lambda: described(self.recorder, "app"))

    def pod(self, app: str) -> Object:
        return pods_of(self.recorder, app)[0]

    def delete_pod(self, app: str) -> None:
        name = self.pod(app)["metadata"]["name"]
        self.cluster.delete(api_path("Pod", self.settings.namespace, name))

    def signal(self, app: str, container: str, signal: str) -> None:
        """Send a signal to every process of a container."""
        statuses = container_statuses(self.pod(app))
        task = next(str(s["containerID"]) for s in statuses if s["name"] == container).removeprefix("containerd://")
        self.in_node("/opt/parts/ctr", "--namespace=k8s.io", "tasks", "kill", "--all", f"--signal={signal}", task)

    def restart(self, app: str, container: str) -> None:
        """Kill a container and wait until the kubelet has restarted it."""
        pod = str(self.pod(app)["metadata"]["name"])

        def restarts() -> int:
            found = self.recorder.get("Pod", pod) or {"status": {}}
            running = [s for s in container_statuses(found) if s["name"] == container and s.get("started")]
            return int(running[0]["restartCount"]) if running else 0

        before = restarts()
        self.signal(app, container, "SIGKILL")
        what = f"{container} of pod/{pod} restarted"
        self.recorder.wait_for(what, lambda: restarts() > before, 30, lambda: described(self.recorder, app))

    def volume(self, app: str) -> str:
        """The folder on the node that holds a pod's content volume."""
        uid = self.pod(app)["metadata"]["uid"]
        return f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/git"

    def in_node(self, *command: str) -> str:
        return self.run_in("node", *command)

    def run_in(self, place: str, *command: str) -> str:
        done = self.lab.run_in(place, *command)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def in_git_host(self, *command: str) -> str:
        return self.run_in("git-host", *command)

    def component(self, verb: str, name: str) -> None:
        """Stop or start one of the lab's components."""
        client.command(verb, name)
