"""The catalogue of faults."""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus

from git_to_pod.app.app import NOT_PUBLISHED, deployments
from git_to_pod.cluster.api import ApiError, Object
from git_to_pod.cluster.status import containers
from git_to_pod.cluster.waiting import pause, wait_for
from git_to_pod.experiments.faults.bench import Bench
from git_to_pod.experiments.faults.experiment import Fault, Step, nothing, push_one
from git_to_pod.git.repository import FILE

CONTENT = "/srv/git/content.git"
LARGE_MB = 320  # by default, git holds a file below 512 MiB in memory (core.bigFileThreshold)
LARGE_FILE = "large-file"
LEASE = "stakater-reloader-lock"  # by which two Reloaders elect their leader
SECRET_NOTE = "by default, the kubelet updates a Secret in a running pod within 90 s"
UNMENDED_S = 15.0  # the limit for faults that nothing in manifests/ repairs


def then(*steps: Step) -> Step:
    """The steps in this order."""

    def all_of_them(bench: Bench) -> None:
        for step in steps:
            step(bench)

    return all_of_them


def wrong_password(bench: Bench) -> None:
    bench.deploy_with(password=secrets.token_urlsafe())


def disconnect(bench: Bench) -> None:
    bench.lab.disconnect()


def reconnect(bench: Bench) -> None:
    bench.lab.reset_proxy()


def push_older(bench: Bench) -> None:
    bench.push_commit(bench.repository.pushed[-3], "--force")


def delete_branch(bench: Bench) -> None:
    # a bare repository refuses to delete the branch that HEAD names
    bench.lab.in_git_host(
        "git", "-c", "safe.directory=*", "-C", CONTENT, "config", "receive.denyDeleteCurrent", "ignore"
    )
    bench.delete_branch()


def push_burst(bench: Bench) -> None:
    commits = [bench.commit(f"burst {number} at {time.time():.3f}") for number in range(10)]
    began = time.monotonic()
    for number, commit in enumerate(commits):
        pause(max(0.0, began + number * 0.2 - time.monotonic()))
        bench.push_commit(commit)


def push_nothing_new(bench: Bench) -> None:
    text = bench.repository.contents[bench.head].decode().rstrip("\n")
    bench.push(text)


def freeze_reloader(bench: Bench) -> None:
    bench.signal("reloader", "reloader", "SIGSTOP")


def kill_reloader(bench: Bench) -> None:
    bench.wait_published()
    bench.signal("reloader", "reloader", "SIGKILL")


def kill_git_sync(bench: Bench) -> None:
    for app in ("git-poller", "app"):
        bench.signal(app, "git-sync", "SIGKILL")


def kill_poller_in_a_sync(bench: Bench) -> None:
    """Leave the lock that git leaves if it is killed while it updates a ref, then kill the poller's git-sync."""
    bench.lab.in_node("touch", f"{bench.poller_clone()}/.git/refs/heads/git-sync.lock")
    bench.kill_container("git-poller", "git-sync")


def damage_clones(bench: Bench) -> None:
    for clone in (bench.poller_clone(), bench.app_clone()):
        bench.lab.in_node("find", f"{clone}/.git/objects", "-type", "f", "-exec", "truncate", "--size=10", "{}", "+")


def fill_disk(bench: Bench) -> None:
    """Mount an empty file system of 4 MB over the poller's clone. The container sees it too."""
    bench.lab.in_node("mount", "-t", "tmpfs", "-o", "size=4m,mode=2777,gid=65533", "tmpfs", bench.poller_clone())


def free_disk(bench: Bench) -> None:
    bench.lab.in_node("umount", "--lazy", bench.poller_clone())


def push_after_pods_start(bench: Bench) -> None:
    """Start new pods with the old commit, although their template already has Reloader's stamp of the new one."""
    commit = bench.commit(f"pods started before {time.time():.3f}")
    bench.stamp(commit)
    bench.push_commit(commit)
    bench.wait_published()


def delete_git_commit(bench: Bench) -> None:
    bench.cluster.delete(bench.path("ConfigMap", "git-commit"))
    bench.recorder.wait_for("git-commit is gone", lambda: bench.published() == NOT_PUBLISHED, 10, bench.published)


def as_on_openshift(bench: Bench) -> None:
    """Run every pod as a random user of group 0, as OpenShift's restricted-v2 policy does."""
    user = 1_000_660_000

    def random_user(pod: Object) -> None:
        pod["securityContext"] |= {"runAsUser": user, "runAsGroup": 0, "fsGroup": user}
        for container in containers(pod):
            container["securityContext"].pop("runAsUser", None)

    for name in deployments():
        bench.change_pods(name, random_user)


def require_the_file(bench: Bench) -> None:
    """From now on, a pod is Ready only if it serves FILE."""

    def probe(pod: Object) -> None:
        pod["containers"][0]["readinessProbe"] = {"httpGet": {"path": f"/{FILE}", "port": "http"}, "periodSeconds": 1}

    bench.change_pods("app", probe)


def push_mended(bench: Bench) -> None:
    """Raises RuntimeError if clients got the commit with which no pod becomes Ready."""
    if bench.load and bench.head in {response.commit for response in bench.load.responses}:
        raise RuntimeError("clients got the commit with which no pod becomes Ready")
    push_one(bench)


def scale_up_behind_reloader(bench: Bench) -> None:
    """Add a pod after a commit is published and before Reloader rolls it out.

    Raises RuntimeError unless the new pod serves this commit, and the others the one before.
    """
    others = bench.pod_names()
    push_one(bench)
    bench.wait_published()
    bench.scale("app", bench.settings.replicas + 1)
    served = bench.served()
    if {served[pod] for pod in others} != {bench.repository.pushed[-2]} or bench.head not in served.values():
        raise RuntimeError(f"expected the new commit from the new pod only; served: {served}")


def scale_back(bench: Bench) -> None:
    bench.scale("app", bench.settings.replicas)
    bench.resize("reloader", 1)


def autoscale(bench: Bench) -> None:
    """Let a HorizontalPodAutoscaler ask for one pod more. Its minimum needs no metrics, which the lab lacks."""
    most = bench.settings.replicas + 1
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}
    spec = {"scaleTargetRef": target, "minReplicas": most, "maxReplicas": most}
    bench.cluster.call("POST", bench.path("HorizontalPodAutoscaler"), {"metadata": {"name": "app"}, "spec": spec})


def push_while_autoscaled(bench: Bench) -> None:
    """Wait until there is one pod more, and all of them serve the new commit. Raises TimedOut."""
    push_one(bench)
    most = bench.settings.replicas + 1

    def served() -> bool:
        return bench.is_scaled("app", most) and set(bench.served_if_reachable().values()) == {bench.head}

    wait_for(f"{most} pods serve the commit", served, 60, lambda: str(bench.served_if_reachable()), pause_s=0.2)


def stop_autoscaling(bench: Bench) -> None:
    bench.cluster.delete(bench.path("HorizontalPodAutoscaler", "app"))
    bench.scale("app", bench.settings.replicas)


def forbid_evictions(bench: Bench) -> None:
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "app"}}}
    bench.cluster.call("POST", bench.path("PodDisruptionBudget"), {"metadata": {"name": "app"}, "spec": spec})


def push_and_evict_in_vain(bench: Bench) -> None:
    """Raises RuntimeError if the budget does not keep a pod from being evicted."""
    push_one(bench)
    try:
        bench.evict("app")
    except ApiError as error:
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            return
        raise
    raise RuntimeError("a pod was evicted in spite of the PodDisruptionBudget")


def allow_evictions(bench: Bench) -> None:
    bench.cluster.delete(bench.path("PodDisruptionBudget", "app"))


def two_reloaders(bench: Bench) -> None:
    """Run two replicas of Reloader with leader election, and wait until there is a leader."""
    role = bench.path("Role", "reloader")
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    bench.cluster.patch(role, {"rules": [*bench.cluster.get(role)["rules"], leases]})

    def elect(pod: Object) -> None:
        (container,) = pod["containers"]
        container["args"].append("--enable-ha=true")
        for name, field in (("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")):
            container["env"].append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}})

    bench.change_pods("reloader", elect)
    bench.scale("reloader", 2)
    wait_for("Reloader has a leader", lambda: leader(bench) in bench.pod_names("reloader"), 60, lambda: leader(bench))


def leader(bench: Bench) -> str:
    """The name of Reloader's leading pod; empty if there is none."""
    lease = bench.cluster.find(bench.path("Lease", LEASE)) or {"spec": {}}
    return str(lease["spec"].get("holderIdentity", ""))


def freeze_leader(bench: Bench) -> None:
    """Raises RuntimeError if another one leads by then."""
    frozen = leader(bench)
    bench.signal("reloader", "reloader", "SIGSTOP", frozen)
    if leader(bench) != frozen:
        raise RuntimeError(f"{frozen} no longer leads")


FAULTS = (
    Fault("wrong-password", "wrong password from the start",
          wrong_password, undo=lambda b: b.apply(), lasts_s=8, blocks=True, limit_s=180, deploys=True,
          note=f"the first fault: the app is not up yet, so there is no load; {SECRET_NOTE}"),
    Fault("git-host-down", "git host down", disconnect, undo=reconnect, lasts_s=6, blocks=True),
    Fault(
        "git-host-down-at-pod-start", "git host down when a pod must start",
        then(disconnect, lambda b: b.delete_pod("app")),
        undo=reconnect, lasts_s=8, blocks=True,
    ),
    Fault("git-host-hangs", "git host hangs",
          lambda b: b.lab.add_toxic("timeout", timeout=0), undo=reconnect, lasts_s=8, blocks=True),
    Fault("git-host-slow", "git host slow: 200 ms", lambda b: b.lab.add_toxic("latency", latency=200), undo=reconnect),
    Fault("git-host-resets", "git host resets connections", lambda b: b.lab.add_toxic("reset_peer", timeout=0),
          undo=reconnect, lasts_s=6, blocks=True),
    Fault("password-rotated", "password rotated", lambda b: b.lab.rotate_password(), undo=lambda b: b.update_secret(),
          lasts_s=4, blocks=True, limit_s=180, note=SECRET_NOTE),
    Fault("password-revoked", "password revoked", lambda b: b.lab.revoke_reader(),
          undo=lambda b: b.lab.restore_reader(), lasts_s=6, blocks=True),
    Fault("force-push", "force-push to an older commit", push=push_older),
    Fault("branch-deleted", "branch deleted and re-created", delete_branch, push=nothing, undo=push_one, lasts_s=5),
    Fault("burst", "10 pushes in 2 s", push=push_burst),
    Fault("empty-commit", "empty commit", push=push_nothing_new),
    Fault("served-file-deleted", "commit deletes the served file",
          push=lambda b: b.push("without the file", served=False), undo=push_one),
    Fault(LARGE_FILE, f"one file of {LARGE_MB} MB",
          push=lambda b: b.push("one large file", big_mb=LARGE_MB), undo=push_one, limit_s=180),
    Fault("api-server-down", "API server down for 20 s", lambda b: b.lab.component("stop", "kube-apiserver"),
          undo=lambda b: b.lab.component("start", "kube-apiserver"), lasts_s=20, limit_s=180,
          note="kube-proxy and Reloader reconnect with client-go's backoff of up to a minute"),
    Fault("reloader-down", "Reloader down", lambda b: b.resize("reloader", 0),
          push=then(push_one, lambda b: b.wait_published()), undo=lambda b: b.resize("reloader", 1),
          lasts_s=2, blocks=True),
    Fault("pods-behind-reloader", "pods start with the old commit after Reloader's patch",
          lambda b: b.resize("reloader", 0),
          push=push_after_pods_start, undo=lambda b: b.resize("reloader", 1), lasts_s=0, limit_s=UNMENDED_S,
          note="provoked: the run writes the new commit's stamp into the Deployment before it publishes that commit"),
    Fault("reloader-killed", "Reloader killed between publish and rollout",
          freeze_reloader, undo=kill_reloader, lasts_s=2, blocks=True),
    Fault("git-sync-killed", "git-sync killed, in the poller and in one pod", kill_git_sync),
    Fault("git-sync-killed-in-a-sync", "the poller's git-sync killed in the middle of a sync", kill_poller_in_a_sync,
          note="provoked: the run creates the lock file that git then leaves"),
    Fault("kubelet-down", "kubelet down for 4 s", lambda b: b.lab.component("stop", "kubelet"),
          undo=lambda b: b.lab.component("start", "kubelet"), lasts_s=4, blocks=True),
    Fault("containerd-down", "containerd down for 4 s", lambda b: b.lab.component("stop", "containerd"),
          undo=lambda b: b.lab.component("start", "containerd"), lasts_s=4, blocks=True),
    Fault("clone-corrupted", "clone corrupted on disk, in the poller and in one pod", damage_clones),
    Fault("disk-full", "the poller's disk full", fill_disk, push=lambda b: b.push("8 MB", big_mb=8),
          undo=free_disk, lasts_s=6, blocks=True),
    Fault("git-commit-deleted-then-push", "ConfigMap git-commit deleted, then a push", delete_git_commit),
    Fault("git-commit-deleted-no-push", "ConfigMap git-commit deleted, no push",
          delete_git_commit, push=nothing, limit_s=UNMENDED_S),
    Fault("pod-evicted", "an app pod evicted, as by kubectl drain", push=then(push_one, lambda b: b.evict("app"))),
    Fault("evictions-forbidden", "a PodDisruptionBudget allows no eviction", forbid_evictions,
          push=push_and_evict_in_vain, undo=allow_evictions, lasts_s=0,
          note="the API server refuses an eviction, but rollouts do not ask it"),
    Fault("autoscaled", "a HorizontalPodAutoscaler adds a pod during the rollout", autoscale,
          push=push_while_autoscaled, undo=stop_autoscaling, lasts_s=0,
          note="it asks for its minReplicas; the lab has no metrics by which it would scale further"),
    Fault("random-user", "pods run as a random user, as on OpenShift", as_on_openshift, undo=lambda b: b.deploy(),
          note="nginx's runAsUser removed, which OpenShift would refuse"),
    Fault("scaled-up-behind-reloader", "app scaled up while Reloader is down", lambda b: b.resize("reloader", 0),
          push=scale_up_behind_reloader, undo=scale_back, lasts_s=2,
          note="meanwhile, the new pod serves the new commit and the others the one before"),
    Fault("reloader-leader-hangs", "two Reloaders (--enable-ha), the leader hangs", then(two_reloaders, freeze_leader),
          undo=lambda b: b.deploy(), real_reloader=True,
          note="the other replica leads once the lease has expired, after 15 s"),
    Fault("never-ready", "a commit with which new pods never become Ready", require_the_file,
          push=lambda b: b.push("without the file", served=False), undo=push_mended, lasts_s=20,
          note="the run gives nginx a readiness probe that requests the file; a good commit ends it"),
)  # fmt: skip
