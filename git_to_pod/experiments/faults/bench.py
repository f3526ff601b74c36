"""The deployment for the faults: its git host is behind Toxiproxy, and its Service has a load."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import replace

from git_to_pod.app.app import App
from git_to_pod.app.deployment import STAMP, check_cluster, stamp
from git_to_pod.app.load import Load, Response
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.status import container_statuses, described, is_complete, pods_of
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.experiments.faults.lab_operations import LabOperations
from git_to_pod.git.repository import FILE, Repository, open_repository
from git_to_pod.settings import Settings
from lab import Lab

BIG = "big.bin"
BRANCHES = "git-to-pod-*"  # the experiments' branches in the lab's repository


class Bench(App):
    """The app in its own namespace, with the operations that break and observe it."""

    def __init__(self, cluster: Cluster, settings: Settings, lab: Lab) -> None:
        self.lab = LabOperations(lab, settings.reader.password)
        self.lab.reset()  # an earlier run may have been interrupted
        settings = replace(settings, namespace=f"{settings.namespace}-faults", repository=lab.proxied_repository)
        super().__init__(cluster, settings, open_repository(settings))
        self.load: Load | None = None
        self.repository.expect_random_files()
        self.repository.deepen()  # once the branch is deleted, a push must send the whole history
        delete_branches(self.repository, BRANCHES, kept=settings.ref)

    # The deployment

    def deploy(self) -> None:
        """Deploy to an empty namespace and start the load."""
        self.stop_load()
        super().deploy()
        self.start_load()

    def deploy_with(self, password: str) -> None:
        """Deploy with this password for the git host. Does not wait, because the app may never become Ready."""
        self.stop_load()
        check_cluster(self.cluster, self.settings)
        self.remove()
        self.record()
        self.use_password(password)
        try:
            self.apply()
        finally:
            self.use_password(self.lab.password)

    def use_password(self, password: str) -> None:
        """The password that the next apply writes into the Secret."""
        self.settings = replace(self.settings, reader=replace(self.settings.reader, password=password))

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
            self.remove()
        finally:
            self.stop_recorder()
            try:
                self.lab.reset()
            finally:
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

    def push(self, text: str, big_mb: int = 0, served: bool = True) -> str:
        return self.push_commit(self.commit(text, big_mb, served))

    def push_commit(self, commit: str, *options: str) -> str:
        self.repository.push(commit, *options)
        return self.head

    def delete_branch(self) -> None:
        url, ref = self.repository.url, self.settings.ref
        self.repository.account.git("push", "--quiet", url, f":refs/heads/{ref}", folder=self.repository.clone)

    def matches(self, response: Response) -> bool:
        """Whether a response is the file of the commit that it names."""
        content = self.repository.contents.get(response.commit)
        if content is None:  # a commit without FILE
            return response.status == 404 and response.commit in self.repository.pushed
        return response.status == 200 and response.body.encode() == content

    def catch_up(self) -> None:
        """Wait until the load's log shows the branch's commit. After an outage, the log may lag."""
        if load := self.load:
            newest = lambda: bool(load.responses) and load.responses[-1].commit == self.head  # noqa: E731
            wait_for(f"the load served {self.head[:8]}", newest, 30, lambda: str(load.responses[-1:]))

    # Changes to its objects and containers

    def update_secret(self) -> None:
        """Write the reader's current password into the Secret."""
        data = {"password": base64.b64encode(self.lab.password.encode()).decode()}
        self.cluster.patch(self.path("Secret", "git-credentials"), {"data": data})
        self.use_password(self.lab.password)

    def resize(self, name: str, replicas: int) -> None:
        """Set a Deployment's replicas and wait until it has as many pods, Ready or not: recovery counts from here."""
        self.set_replicas(name, replicas)
        self.recorder.wait_for(
            f"{name} has {replicas} pods",
            lambda: len(self.recorder.all("Pod", app=name)) == replicas,
            30,
            lambda: described(self.recorder, name),
        )

    def stamp(self, commit: str) -> None:
        """Write Reloader's stamp for this commit into the app's pod template, and wait for the rollout."""
        path = self.path("Deployment", "app")
        containers = self.cluster.get(path)["spec"]["template"]["spec"]["containers"]
        for container in containers:
            for variable in container.get("env", []):
                if variable["name"] == STAMP:
                    variable["value"] = stamp(commit)
        generation = self.cluster.patch(path, {"spec": {"template": {"spec": {"containers": containers}}}})["metadata"]

        def rolled_out() -> bool:
            app = self.recorder.get("Deployment", "app")
            current = app is not None and app["metadata"]["generation"] >= generation["generation"]
            return current and self.is_settled()

        self.recorder.wait_for("rollout of app", rolled_out, 30, lambda: described(self.recorder, "app"))

    def change_pods(self, name: str, change: Callable[[Object], None]) -> None:
        """Change the pod template of a Deployment, and wait until its new pods are Ready."""
        path = self.path("Deployment", name)
        template = self.cluster.get(path)["spec"]["template"]
        change(template["spec"])
        generation = self.cluster.patch(path, {"spec": {"template": template}})["metadata"]["generation"]

        def rolled_out() -> bool:
            found = self.recorder.get("Deployment", name)
            return found is not None and found["metadata"]["generation"] >= generation and is_complete(found)

        self.recorder.wait_for(f"rollout of {name}", rolled_out, 60, lambda: described(self.recorder, name))

    def evict(self, name: str) -> None:
        """Evict a pod, as `kubectl drain` does."""
        pod = str(self.pod(name)["metadata"]["name"])
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        self.cluster.call("POST", f"{self.path('Pod', pod)}/eviction", eviction)

    def pod(self, app: str) -> Object:
        return pods_of(self.recorder, app)[0]

    def delete_pod(self, app: str) -> None:
        self.cluster.delete(self.path("Pod", self.pod(app)["metadata"]["name"]))

    def signal(self, app: str, container: str, signal: str, pod: str = "") -> None:
        """Send a signal to every process of a container, in this pod or else in the first."""
        task = self.container_id(app, container, pod)
        self.lab.in_node("/opt/parts/ctr", "--namespace=k8s.io", "tasks", "kill", "--all", f"--signal={signal}", task)

    def container_id(self, app: str, container: str, pod: str = "") -> str:
        """A container's id in containerd, in this pod or else in the first."""
        statuses = container_statuses(next(p for p in self.pods(app) if pod in ("", p["metadata"]["name"])))
        return next(str(s["containerID"]) for s in statuses if s["name"] == container).removeprefix("containerd://")

    def kill_container(self, app: str, container: str) -> None:
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

    def poller_clone(self) -> str:
        """The folder on the node that holds the poller's clone, which is in its container."""
        task = self.container_id("git-poller", "git-sync")
        return f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{task}/rootfs/tmp/git"

    def app_clone(self) -> str:
        """The folder on the node that holds the clone of one app pod, which is in a volume."""
        uid = self.pod("app")["metadata"]["uid"]
        return f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/git"


def delete_branches(repository: Repository, pattern: str, kept: str) -> None:
    """Delete the branches of this pattern from the git host, but for one. Raises GitError."""
    git, url = repository.account.git, repository.url
    branches = [line.partition("\t")[2] for line in git("ls-remote", url, f"refs/heads/{pattern}").splitlines()]
    if left := [f":{branch}" for branch in branches if branch != f"refs/heads/{kept}"]:
        git("push", "--quiet", url, *left, folder=repository.clone)
