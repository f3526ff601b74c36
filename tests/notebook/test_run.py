"""The notebook, executed on the lab: the files that a run leaves, its exit status, and how it fails."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
import yaml

from git_to_pod.cluster.api import Cluster
from git_to_pod.evaluation.claims import CONSTRAINTS, REQUIREMENTS
from git_to_pod.timing.trial import PUSH
from git_to_pod.timing.trials import plan
from tests.one_run import NAMESPACE, ROOT, Run, evaluate
from tests.processes import started_with


@pytest.fixture
def cluster(lab: dict[str, Any]) -> Cluster:
    return Cluster(lab["context"], Path(lab["kubeconfig"]))


def namespace_exists(cluster: Cluster, name: str = NAMESPACE) -> bool:
    return cluster.find(f"/api/v1/namespaces/{name}") is not None


def test_a_run_that_meets_all_requirements_and_constraints_exits_with_0(short_run: Run) -> None:
    assert short_run.status == 0, short_run.err
    assert short_run.summary["holds"] is True
    assert {name: check["pass"] for name, check in short_run.summary["requirements"].items()} == dict.fromkeys(
        REQUIREMENTS, True
    )
    assert {name: check["pass"] for name, check in short_run.summary["constraints"].items()} == dict.fromkeys(
        CONSTRAINTS, True
    )


def test_it_leaves_the_page_the_notebook_the_trials_and_the_summary(short_run: Run) -> None:
    left = {"evaluation.html", "evaluation.ipynb", "trials.csv", "responses.csv", "summary.json"}
    left |= {f"{chart}.{suffix}" for chart in ("latency", "timeline") for suffix in ("svg", "png")}
    assert {path.name for path in short_run.folder.iterdir()} == left
    with (short_run.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["ok"] * 6


def test_the_page_can_be_made_again_from_its_folder(short_run: Run, tmp_path: Path) -> None:
    """Without a cluster: this process has no kubeconfig, and a home without a lab."""
    folder = shutil.copytree(short_run.folder, tmp_path / "report")
    page = (folder / "evaluation.html").read_bytes()
    (folder / "evaluation.html").unlink()
    again = [sys.executable, "-m", "git_to_pod.report.export", str(folder)]
    path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    subprocess.run(again, cwd=ROOT, env=path | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert (folder / "evaluation.html").read_bytes() == page


def test_every_figure_was_measured(short_run: Run) -> None:
    estimates = short_run.summary["latency_s"]
    assert {name: estimate["n"] for name, estimate in estimates.items()} == dict.fromkeys(estimates, 2)
    assert all(estimate["timeouts"] == 0 for estimate in estimates.values())
    assert estimates["push_to_restarted"]["median"] > estimates["requested_to_restarted"]["median"] > 0


def test_requests_were_sent_throughout_and_none_failed(short_run: Run) -> None:
    requests = short_run.summary["requests"]
    assert requests["sent"] > 10 * short_run.summary["timings_s"]["trials"]
    assert requests["failed"] == 0, requests["failures"]


def test_the_cost_of_both_tools_was_measured(short_run: Run) -> None:
    cost = short_run.summary["cost"]
    assert {"git-poller/git-sync", "reloader/reloader"} <= set(cost)
    assert all(entry["memory_bytes"] > 0 for entry in cost.values())


def test_the_terminal_shows_each_stage_and_the_answer(short_run: Run) -> None:
    for words in ("deploying manifests/", "checking the constraints", "6/6", "writing evaluation.html"):
        assert words in short_run.err
    assert short_run.summary["answer"] in short_run.err
    assert str(short_run.page) in short_run.out


def test_nothing_that_a_run_leaves_holds_a_secret_that_it_was_given(short_run: Run, lab: dict[str, Any]) -> None:
    folders = [Path(lab["git_credentials"]), Path(lab["push_credentials"])]
    secrets = [form for folder in folders for form in forms_of_secrets(folder)]
    secrets += keys_of_the_kubeconfig(Path(lab["kubeconfig"]))
    assert len(secrets) > 20
    left = {str(path): path.read_bytes() for path in short_run.folder.rglob("*") if path.is_file()}
    left |= {"standard output": short_run.out.encode(), "standard error": short_run.err.encode()}
    assert {Path(name).suffix for name in left} >= {".html", ".ipynb", ".csv", ".json"}
    assert not [name for name, content in left.items() for secret in secrets if secret in content]
    assert not [name for name, content in left.items() if b"PRIVATE KEY" in content]


def forms_of_secrets(folder: Path) -> list[bytes]:
    """An account's password and key as they are, line by line, in a URL, in base64 and in a basic-auth header."""
    texts = [(folder / name).read_text() for name in ("password", "ssh-privatekey")]
    lines = [line for text in texts for line in text.splitlines() if "PRIVATE KEY" not in line and len(line) > 8]
    basic = f"{(folder / 'username').read_text().strip()}:{texts[0].strip()}"
    encoded = [b64encode(text.encode()) for text in (*texts, *(text.strip() for text in texts), basic)]
    return [*(line.encode() for line in lines), quote(texts[0].strip(), safe="").encode(), *encoded]


def keys_of_the_kubeconfig(path: Path) -> list[bytes]:
    """Its private keys and tokens, in the file's base64 and decoded."""
    users = [entry["user"] for entry in yaml.safe_load(path.read_text())["users"]]
    encoded = [user["client-key-data"].encode() for user in users if "client-key-data" in user]
    decoded = [line for key in encoded for line in b64decode(key).splitlines() if b"PRIVATE KEY" not in line]
    return [*encoded, *decoded, *(user["token"].encode() for user in users if "token" in user)]


def test_nothing_is_left_in_the_cluster(short_run: Run, cluster: Cluster) -> None:
    assert short_run.status == 0
    assert not namespace_exists(cluster)


def test_a_requirement_that_is_not_met_fails_the_run_and_the_report_is_written(cluster: Cluster) -> None:
    # git-sync polls once when it starts and not again within the run, so it detects no change.
    # The seed decides which part of the poll interval a push waits; here it must be a small part.
    seed = next(
        seed
        for seed in range(100_000)
        if all(planned.offset_s < 1 for planned in plan(1, seed, 3600) if planned.kind == PUSH)
    )
    run = evaluate("--commits", "1", "--period", "1h", "--timeout", "10", "--seed", str(seed))
    assert run.status == 1
    summary = run.summary
    assert summary["holds"] is False
    assert summary["requirements"]["R1"]["pass"] is True
    assert [summary["requirements"][name]["pass"] for name in ("R2", "R3", "R4")] == [False] * 3
    assert "No. Not met: R2, R3 and R4." in summary["answer"]
    assert summary["latency_s"]["push_to_restarted"]["timeouts"] == 1
    assert re.search(r"git-sync did not publish commit [0-9a-f]{8}: timed out", run.page.read_text())
    assert "not met" in run.page.read_text()
    assert not namespace_exists(cluster)


def test_an_aborted_run_says_why_and_still_leaves_its_report(cluster: Cluster) -> None:
    run = evaluate("--commits", "1", "--timeout", "1")  # too short to deploy anything
    assert run.status == 1
    assert "No. The run was aborted: TimedOut: " in run.summary["answer"]
    assert "No. The run was aborted: TimedOut: " in run.page.read_text()
    errors = [o for cell in nbformat.read(run.folder / "evaluation.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert any(output.output_type == "error" for output in errors)
    assert not namespace_exists(cluster)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_removes_everything_that_was_started(cluster: Cluster, number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "git_to_pod.cli.evaluate", "--namespace", NAMESPACE, "--output", str(tmp_path)]
    marked = os.environ | {"GIT_TO_POD_TEST": str(tmp_path)}  # all its children inherit it
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=marked)
    limit = threading.Timer(120, process.kill)
    limit.start()
    assert process.stderr
    for line in process.stderr:
        if "pushing the first change" in line:
            break
    assert namespace_exists(cluster)
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(60) == 128 + number, rest
    limit.cancel()
    assert f"stopped by {number.name}" in rest
    assert not namespace_exists(cluster)
    assert not started_with(f"GIT_TO_POD_TEST={tmp_path}")


def bad_input(message: str, *options: str) -> None:
    """Check that a run with these options exits with 2 and one line with this text."""
    run = evaluate("--commits", "1", *options)
    assert run.status == 2, run.err
    errors = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not run.page.exists()


def test_an_unknown_ref_is_bad_input(cluster: Cluster) -> None:
    bad_input("--ref no-such-branch: no such branch in https://", "--ref", "no-such-branch")
    assert not namespace_exists(cluster)


def test_a_missing_repository_is_bad_input(lab: dict[str, Any]) -> None:
    url = lab["push_url"].replace("content.git", "missing.git")
    own = ("--repository", url, "--credentials", lab["git_credentials"], "--push-credentials", lab["push_credentials"])
    bad_input(f"no repository at {url}", *own)


def test_wrong_credentials_are_bad_input(lab: dict[str, Any], tmp_path: Path) -> None:
    for name in ("username", "ca.crt"):
        (tmp_path / name).write_text((Path(lab["git_credentials"]) / name).read_text())
    (tmp_path / "password").write_text("wrong")
    bad_input("--credentials: 198.18.0.6 refused this account", "--credentials", str(tmp_path))


def test_credentials_that_cannot_push_are_bad_input(lab: dict[str, Any]) -> None:
    bad_input("--push-credentials: this account cannot push to https://", "--push-credentials", lab["git_credentials"])


def test_a_certificate_that_is_not_trusted_is_bad_input(lab: dict[str, Any], tmp_path: Path) -> None:
    for name in ("username", "password"):
        (tmp_path / name).write_text((Path(lab["git_credentials"]) / name).read_text())
    bad_input("the certificate of 198.18.0.6 is not trusted", "--credentials", str(tmp_path))


def test_a_namespace_of_someone_else_is_refused_and_left_alone(cluster: Cluster) -> None:
    cluster.apply("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    try:
        bad_input(f"--namespace {NAMESPACE}: it exists and no evaluation created it")
        assert namespace_exists(cluster)
    finally:
        cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")
