"""The deployment on a real node: rights, repeated apply, denied and missed publications, removal."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_to_pod.app.app import NOT_PUBLISHED, App
from git_to_pod.app.namespace import remove
from git_to_pod.cluster.api import ApiError, connect
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.status import container_statuses, containers, pods_of
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.git.repository import account, open_repository
from git_to_pod.settings import Parameters, Settings, resolve
from tests import processes

NAMESPACE = "git-to-pod-e2e"


class Deployed(App):
    """A deployment of manifests/ in a namespace of its own, which follows a branch of its own."""

    def generations(self) -> dict[str, int]:
        found = self.recorder.all("Deployment")
        return {item["metadata"]["name"]: item["metadata"]["generation"] for item in found}

    def delete_git_commit(self) -> None:
        self.cluster.delete(self.path("ConfigMap", "git-commit"))
        wait_for("git-commit is gone", lambda: self.published() == NOT_PUBLISHED, 10)

    def execute(self, target: str, container: str, script: str) -> str:
        """The output of a shell script in a container of a pod, or of a Deployment's first pod."""
        where = (f"--namespace={self.settings.namespace}", target, f"--container={container}")
        return self.cluster.kubectl("exec", *where, "--", "sh", "-c", script)


@contextmanager
def branch(settings: Settings) -> Iterator[None]:
    """Create the branch that the settings name from `main`, and delete it afterwards."""
    with account(settings.writer) as writer:
        clone = writer.folder / "main"
        writer.git("clone", "--quiet", "--depth=1", "--branch=main", settings.push_url, str(clone))
        push = ("push", "--quiet", "--force", settings.push_url)
        writer.git(*push, f"HEAD:refs/heads/{settings.ref}", folder=clone)
        try:
            yield
        finally:
            writer.git(*push, f":refs/heads/{settings.ref}", folder=clone)


@contextmanager
def deployment(namespace: str, ref: str, output: Path) -> Iterator[Deployed]:
    """Deploy manifests/ to the lab for a new branch; remove both afterwards."""
    settings = resolve(Parameters(namespace=namespace, commits=1, ref=ref, output=str(output)))
    cluster = connect(settings)
    with branch(settings):
        deployed = Deployed(cluster, settings, open_repository(settings))
        try:
            deployed.deploy()
            yield deployed
        finally:
            deployed.remove()
            deployed.close()


@pytest.fixture(scope="module")
def deployed(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployment(NAMESPACE, "e2e/deployment", tmp_path_factory.mktemp("report")) as running:
        yield running


def test_a_push_reaches_every_pod(deployed: Deployed) -> None:
    commit = deployed.push("a push reaches every pod")
    deployed.wait_served(commit)
    assert deployed.published() == commit


def test_a_repeated_apply_restarts_nothing_and_resets_nothing(deployed: Deployed) -> None:
    generations, published = deployed.generations(), deployed.published()
    unmoved = deployed.uids("git-poller") | deployed.uids("reloader")
    deployed.apply()
    assert deployed.published() == published != NOT_PUBLISHED
    deployed.wait_served(deployed.push("after a repeated apply"))  # had anything been reset, it would show by now
    assert deployed.generations() == generations | {"app": generations["app"] + 1}  # for the push, and nothing else
    assert deployed.uids("git-poller") | deployed.uids("reloader") == unmoved


def test_publishing_goes_on_once_it_is_no_longer_denied(deployed: Deployed) -> None:
    binding = api_path("RoleBinding", NAMESPACE, "git-poller")
    original = deployed.cluster.get(binding)
    before = deployed.published()
    deployed.cluster.delete(binding)
    commit = deployed.push("pushed while publishing is denied")

    def denied() -> bool:
        log = deployed.cluster.kubectl("logs", f"--namespace={NAMESPACE}", "deployment/git-poller", "--tail=20")
        return "403" in log and commit in log

    wait_for("git-sync's hook is refused", denied, 30)
    assert deployed.published() == before
    original["metadata"] = {"name": "git-poller", "namespace": NAMESPACE}
    deployed.cluster.call("POST", binding.rpartition("/")[0], original)
    deployed.wait_served(commit)


def test_a_commit_pushed_while_reloader_is_down_is_caught_up(deployed: Deployed) -> None:
    deployed.scale("reloader", 0)
    commit = deployed.push("pushed while Reloader is down")
    wait_for("published", lambda: deployed.published() == commit, 30, deployed.published)
    pods = deployed.uids("app")
    deployed.scale("reloader", 1)
    deployed.wait_served(commit)
    assert pods.isdisjoint(deployed.uids("app"))


def test_a_restart_of_reloader_restarts_nothing(deployed: Deployed) -> None:
    pods = deployed.uids("app")
    deployed.scale("reloader", 0)
    deployed.scale("reloader", 1)
    commit = deployed.push("after Reloader's restart")
    deployed.wait_served(commit)
    templates = [item for item in deployed.recorder.events if item.kind == "ReplicaSet" and item.type == "ADDED"]
    commits = len(deployed.repository.pushed)
    # one ReplicaSet for the first template, and one for each commit
    assert len([item for item in templates if item.name.startswith("app-")]) <= commits + 1
    assert pods.isdisjoint(deployed.uids("app"))


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("git-poller", "patch", "configmaps/git-commit", True),
        ("git-poller", "patch", "configmaps/git-source", False),
        ("git-poller", "create", "configmaps/git-commit", True),  # server-side apply of a missing one
        ("git-poller", "create", "configmaps/git-source", False),
        ("git-poller", "create", "configmaps", False),
        ("git-poller", "get", "configmaps/git-commit", False),
        ("git-poller", "get", "configmaps/git-source", False),
        ("git-poller", "delete", "configmaps/git-commit", False),
        ("git-poller", "get", "secrets/git-credentials", False),
        ("git-poller", "patch", "deployments.apps/app", False),
        ("reloader", "watch", "configmaps", True),
        ("reloader", "patch", "deployments.apps/app", True),
        ("reloader", "patch", "configmaps/git-commit", False),
        ("reloader", "get", "secrets/git-credentials", False),
        ("reloader", "list", "secrets", False),
        ("reloader", "create", "pods", False),
        ("reloader", "delete", "deployments.apps/app", False),
        ("default", "get", "configmaps/git-commit", False),
    ],
)
def test_what_each_account_may_do(deployed: Deployed, account: str, verb: str, resource: str, allowed: bool) -> None:
    kind, _, name = resource.partition("/")
    plural, _, group = kind.partition(".")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": {
                "namespace": NAMESPACE, "verb": verb, "group": group, "resource": plural, "name": name,
            },
        },
    }  # fmt: skip
    answer = deployed.cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is allowed
    elsewhere = review["spec"]["resourceAttributes"] | {"namespace": "kube-system"}  # type: ignore[index]
    review["spec"]["resourceAttributes"] = elsewhere  # type: ignore[index]
    answer = deployed.cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is False


def test_the_pollers_own_token_is_refused_elsewhere(deployed: Deployed) -> None:
    """The same with the ServiceAccount's token, in the container that mounts it."""
    script = (
        "d=/var/run/secrets/kubernetes.io/serviceaccount; "
        'printf \'header = "Authorization: Bearer %s"\' "$(cat $d/token)" |'
        " curl --config - --silent --cacert $d/ca.crt --output /dev/null --write-out '%{http_code}' "
        f"https://kubernetes.default.svc/api/v1/namespaces/{NAMESPACE}/secrets"
    )
    assert deployed.execute("deployment/git-poller", "git-sync", script).strip() == "403"


def test_the_pods_have_git_sync_as_a_native_sidecar_and_the_apps_own_container(deployed: Deployed) -> None:
    pods = pods_of(deployed.recorder, "app")
    assert len(pods) == deployed.settings.replicas
    for pod in pods:
        (sidecar,), (nginx,) = pod["spec"]["initContainers"], pod["spec"]["containers"]
        assert (sidecar["name"], sidecar["restartPolicy"], nginx["name"]) == ("git-sync", "Always", "nginx")
        assert all(status["ready"] for status in container_statuses(pod))
    for app, container in (("git-poller", "git-sync"), ("reloader", "reloader")):
        (pod,) = pods_of(deployed.recorder, app)
        assert [one["name"] for one in containers(pod["spec"])] == [container]


def test_no_pod_of_the_app_mounts_a_token(deployed: Deployed) -> None:
    for pod in pods_of(deployed.recorder, "app"):
        script = "ls /var/run/secrets/kubernetes.io/serviceaccount 2>&1 || true"
        for container in ("git-sync", "nginx"):
            assert "No such file" in deployed.execute(pod["metadata"]["name"], container, script)


def test_a_pod_that_is_not_restricted_is_refused(deployed: Deployed) -> None:
    container = {"name": "root", "image": "example.test/any"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(ApiError, match=r"403 .*violates PodSecurity .restricted"):
        deployed.cluster.call("POST", api_path("Pod", NAMESPACE), pod)


def test_no_container_ever_crashed(deployed: Deployed) -> None:
    restarts = {
        f"{pod['metadata']['name']}/{status['name']}": status["restartCount"]
        for event in deployed.recorder.events
        if event.kind == "Pod"
        for pod in [event.object]
        for status in container_statuses(pod)
    }
    assert {name.rpartition("/")[2] for name in restarts} == {"git-sync", "nginx", "reloader"}
    assert set(restarts.values()) == {0}


def test_a_deleted_git_commit_comes_back_with_the_next_push(deployed: Deployed) -> None:
    deployed.delete_git_commit()
    deployed.wait_served(deployed.push("after git-commit was deleted"))


def test_a_deleted_git_commit_comes_back_with_a_restart_of_the_poller(deployed: Deployed) -> None:
    before, pods = deployed.published(), deployed.uids("app")
    deployed.delete_git_commit()
    deployed.restart("git-poller")
    wait_for("published again", lambda: deployed.published() == before, 60, deployed.published)
    deployed.wait_served(before)
    assert deployed.uids("app") == pods, "the commit is the same: nothing to restart for"


def test_the_credentials_are_in_no_log_and_no_argument(deployed: Deployed, lab: dict[str, Any]) -> None:
    password = (Path(lab["git_credentials"]) / "password").read_text()
    logs = [
        deployed.cluster.kubectl("logs", f"--namespace={NAMESPACE}", pod["metadata"]["name"], "--all-containers")
        for pod in deployed.recorder.all("Pod")
        if "deletionTimestamp" not in pod["metadata"]
    ]
    assert all(logs)
    assert not any(password in log for log in logs)
    lines = [" ".join(processes.command_line(pid)) for pid in processes.running()]
    assert any(lines)
    assert not any(password in line for line in lines)


def test_the_manifests_name_no_latest_image_and_ask_for_limits() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", Path(__file__).parent.parent.parent / "manifests"], capture_output=True, text=True
    )
    objects = [item for item in yaml.safe_load_all(built.stdout) if item["kind"] == "Deployment"]
    specs = [item["spec"]["template"]["spec"] for item in objects]
    assert all(spec["securityContext"]["runAsNonRoot"] for spec in specs)
    found = [container for spec in specs for container in containers(spec)]
    assert len(found) == 4
    for container in found:
        assert ":" in container["image"]
        assert not container["image"].endswith(":latest")
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "secret" not in json.dumps([item for item in yaml.safe_load_all(built.stdout) if item["kind"] == "Role"])


def test_removal_leaves_nothing(deployed: Deployed) -> None:
    """Last, because it ends the deployment."""
    assert remove(deployed.cluster, NAMESPACE, 60)
    assert deployed.cluster.find(api_path("Namespace", name=NAMESPACE)) is None
    everywhere = deployed.cluster.items(api_path("ClusterRoleBinding"))
    assert not [item for item in everywhere if NAMESPACE in json.dumps(item.get("subjects") or [])]
