"""The watchdog removes what a killed process has left, and nothing of another run."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from git_to_pod.app import namespace
from git_to_pod.cli import clean_up, watchdog_process
from git_to_pod.cli.evaluate import main
from git_to_pod.cli.watchdog_process import Leftovers
from git_to_pod.cluster.api import ApiError, Unreachable
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.experiments.alternatives.flux import DEFINITIONS
from git_to_pod.settings import InputError
from git_to_pod.watchdog import LOG, RUN, RUN_LABEL, run_id
from tests.api_server import CONTEXT, ApiServer
from tests.processes import children, command_line, environment, has_ended
from tests.samples import SETTINGS

ROOT = Path(__file__).parent.parent.parent
OTHER = "0000abcd"
GUARDING = """
import sys, time
from pathlib import Path
from git_to_pod import watchdog
watchdog.log_to(Path(sys.argv[1]))
watchdog.guard_path(Path(sys.argv[1], "git-to-pod-secret"))
print(watchdog._watchdog.process.pid, flush=True)
exec(sys.argv[2])
"""


@contextmanager
def guarding(folder: Path, then: str = "time.sleep(60)") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that guards a folder, and the watchdog's process id. A line on its stdin lets it go on."""
    (folder / "git-to-pod-secret").mkdir(exist_ok=True)
    (folder / "git-to-pod-secret" / "password").write_text("secret")
    command = [sys.executable, "-c", GUARDING, str(folder), then]
    kept = {name: value for name, value in os.environ.items() if name != RUN}
    variables = {"PYTHONPATH": str(ROOT), "GIT_TO_POD_PASSWORD": "the-password"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process: subprocess.Popen[str] = subprocess.Popen(command, text=True, env=kept | variables, **pipes)  # type: ignore[call-overload]
    try:
        assert process.stdout
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path, number: signal.Signals) -> None:
    with guarding(tmp_path) as (process, pid):
        process.send_signal(number)
        wait_for("its removal", lambda: not (tmp_path / "git-to-pod-secret").exists(), 10)
        wait_for("the watchdog's end", lambda: has_ended(pid), 10)


def test_the_key_of_a_kubeconfig_is_removed_when_the_process_is_killed_while_it_connects(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    authority = base64.b64encode(b"a certificate").decode()
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sleep",
        "args": ["60"],
        "interactiveMode": "Never",
    }
    with ApiServer(tmp_path) as server:
        path = server.kubeconfig({"exec": plugin}, certificate_authority=None, certificate_authority_data=authority)
    script = "import pathlib, sys; from git_to_pod.cluster.api import Cluster; "
    script += "Cluster(sys.argv[1], pathlib.Path(sys.argv[2]))"
    kept = {name: value for name, value in os.environ.items() if name != RUN}
    environment = kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [sys.executable, "-c", script, CONTEXT, str(path)], env=environment, start_new_session=True
    ) as process:
        wait_for("its folder", lambda: list((tmp_path / "tmp").glob("git-to-pod-*")), 20, pause_s=0.01)
        os.killpg(process.pid, signal.SIGKILL)
    wait_for("its removal", lambda: not list((tmp_path / "tmp").iterdir()), 10)


def test_the_credentials_of_an_account_are_removed_when_its_process_is_killed(tmp_path: Path) -> None:
    script = (
        "import time; from git_to_pod.git.repository import Account; from git_to_pod.settings import Credentials;"
        "reader = Account(Credentials('reader', 'secret')); print(reader.folder, flush=True); time.sleep(60)"
    )
    kept = {name: value for name, value in os.environ.items() if name != RUN}
    environment = kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        assert (folder / "password").read_text() == "secret"
        process.kill()
    wait_for("its removal", lambda: not folder.exists(), 10)


def test_a_signal_to_its_process_group_does_not_end_it(tmp_path: Path) -> None:
    with guarding(tmp_path) as (process, pid):
        assert os.getsid(pid) == pid
        wait_for("the watchdog", lambda: "git_to_pod.cli.watchdog_process" in command_line(pid), 10)
        wanted = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        wait_for("its signals ignored", lambda: ignored_by(pid) & wanted == wanted, 10)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert not has_ended(pid)
        process.kill()
        wait_for("its removal", lambda: not (tmp_path / "git-to-pod-secret").exists(), 10)


def ignored_by(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0], 16)


def test_no_secret_is_in_its_arguments_or_its_environment(tmp_path: Path) -> None:
    with guarding(tmp_path) as (_, pid):
        wait_for("the watchdog", lambda: "git_to_pod.cli.watchdog_process" in command_line(pid), 10)
        assert environment(pid)
        seen = " ".join([*environment(pid), *command_line(pid)])
        assert "the-password" not in seen
        assert "GIT_TO_POD_" not in seen


def test_after_an_orderly_end_it_removes_a_folder_that_is_left(tmp_path: Path) -> None:
    """A child of the run may still have written to it when the run removed it."""
    with guarding(tmp_path, "watchdog.end()") as (process, pid):
        assert process.wait(20) == 0
        assert has_ended(pid)
        assert not (tmp_path / "git-to-pod-secret").exists()
        assert not (tmp_path / LOG).exists()


def test_a_killed_watchdog_is_replaced_by_one_that_knows_everything(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    then = "sys.stdin.readline(); watchdog.guard_path(Path(sys.argv[1], 'later')); print(flush=True); time.sleep(60)"
    with guarding(tmp_path, then) as (process, pid):
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(pid), 10)
        assert process.stdin
        assert process.stdout
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "\n"
        assert any(not has_ended(child) for child in children(process.pid))
    wait_for("the removal of both", lambda: not any(path.is_dir() for path in tmp_path.iterdir()), 10)


class Api:
    """A cluster with these objects, which does not answer the first requests."""

    context, server = "mine", "https://api.example.test"
    kubeconfig: Path | None = None

    def __init__(self, *namespaces: dict[str, Any], outage: int = 0, stuck: bool = False) -> None:
        self.objects = {f"/api/v1/namespaces/{item['metadata']['name']}": item for item in namespaces}
        self.outage = outage
        self.stuck = stuck
        self.deleted: list[str] = []

    def answer(self) -> None:
        if self.outage:
            self.outage -= 1
            raise Unreachable(self.server, ConnectionResetError("reset"))

    def find(self, path: str) -> dict[str, Any] | None:
        self.answer()
        return self.objects.get(path)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        self.answer()
        if path != "/api/v1/namespaces":
            raise ApiError("GET", path, 403, b'{"message": "forbidden"}')
        return [item for item in self.objects.values() if query["labelSelector"] in item["metadata"]["labels"]]

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert method == "POST"
        name = body["metadata"]["name"]
        if f"{path}/{name}" in self.objects:
            raise ApiError(method, path, 409, b'{"message": "already exists"}')
        self.objects[f"{path}/{name}"] = body
        return body

    def delete(self, path: str, **_: str) -> bool:
        self.answer()
        if path in self.objects:
            self.deleted.append(path.rpartition("/")[2])
            if not self.stuck:
                del self.objects[path]
        return True


def of_run(name: str = "mine", run: str = "", **notes: str) -> dict[str, Any]:
    """A namespace of a run, with the annotations `git-to-pod/...` of these names."""
    annotations = {f"git-to-pod/{name.replace('_', '-')}": value for name, value in notes.items()}
    labels = {namespace.MARK: "true"} | ({RUN_LABEL: run} if run else {})
    return {"metadata": {"name": name, "labels": labels, "annotations": annotations}}


def left_by(api: Api, tmp_path: Path, *names: str, limit_s: float = 5, lab: bool = False) -> Leftovers:
    left = Leftovers(run_id(), lambda *_: api)  # type: ignore[arg-type]
    left.take({"log": str(tmp_path / "report" / LOG)})
    for name in names:
        left.take({"namespace": name, "context": "mine", "kubeconfig": "", "limit_s": limit_s, "lab": lab})
    return left


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog_process, "SETTLE_S", 0.1)
    monkeypatch.setattr(watchdog_process, "PAUSE_S", 0.01)
    monkeypatch.setattr(namespace, "REMOVAL_S", 0.2)
    monkeypatch.delenv(namespace.REPLACE, raising=False)
    monkeypatch.setenv(RUN, run_id())  # these tests start no watchdog for pytest itself


def test_namespaces_of_the_run_are_removed_and_the_log_says_so(tmp_path: Path) -> None:
    api = Api(of_run("mine", run_id()), of_run("mine-git", run_id()))
    assert left_by(api, tmp_path, "mine", "mine-git").remove()
    assert api.deleted == ["mine", "mine-git"]
    log = (tmp_path / "report" / LOG).read_text()
    assert f"the process of run {run_id()} has ended; removing mine, mine-git" in log
    assert "everything is removed" in log


def test_all_namespaces_terminate_before_the_first_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["mine", *(f"mine-{end}" for end in namespace.BESIDE)]
    api = Api(*(of_run(name, run_id()) for name in names))
    waited = list[tuple[str, int]]()
    monkeypatch.setattr(namespace, "wait_until_gone", lambda _, name, __: waited.append((name, len(set(api.deleted)))))
    monkeypatch.setattr(api, "stuck", True)
    namespace.remove_all(cast(Any, api), replace(SETTINGS, namespace="mine"), beside=True)
    assert waited == [(name, len(names)) for name in names]


def test_what_an_api_server_that_is_away_leaves_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    namespace.remove_all(cast(Any, Api(of_run("mine", run_id()), outage=10**9)), SETTINGS, beside=False)
    assert f"warning: namespace {SETTINGS.namespace} is left: no answer" in capsys.readouterr().err


@pytest.mark.parametrize("other", [of_run("mine", OTHER), of_run("mine"), {"metadata": {"name": "mine"}}])
def test_a_namespace_that_is_not_of_this_run_stays(other: dict[str, Any], tmp_path: Path) -> None:
    api = Api(other)
    assert left_by(api, tmp_path, "mine").remove()
    assert api.deleted == []


def test_it_retries_while_the_api_server_is_away(tmp_path: Path) -> None:
    api = Api(of_run("mine", run_id()), outage=7)
    assert left_by(api, tmp_path, "mine").remove()
    assert api.deleted == ["mine"]
    assert "no answer from https://api.example.test" in (tmp_path / "report" / LOG).read_text()


@pytest.mark.parametrize("lab", [True, False])
def test_what_the_faults_of_a_killed_run_stopped_in_the_lab_is_started_again(
    lab: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(of_run("mine", run_id()), outage=10**9)  # until the API server is started
    monkeypatch.setattr(watchdog_process, "restore_lab", lambda: setattr(api, "outage", 0))
    assert left_by(api, tmp_path, "mine", limit_s=0.3, lab=lab).remove() == lab


def test_it_gives_up_after_its_time_limit(tmp_path: Path) -> None:
    api = Api(of_run("mine", run_id()), outage=10**9)
    assert not left_by(api, tmp_path, "mine", limit_s=0.2).remove()
    assert "--clean-up" in (tmp_path / "report" / LOG).read_text()


def test_a_namespace_that_a_late_kubectl_creates_again_is_removed_too(tmp_path: Path) -> None:
    api = Api(of_run("mine", run_id()))
    delete = api.delete

    def deleted_and_created_again(path: str, **query: str) -> bool:
        delete(path, **query)
        if api.deleted == ["mine"]:
            api.objects["/api/v1/namespaces/mine"] = of_run("mine", run_id())
        return True

    api.delete = deleted_and_created_again  # type: ignore[method-assign]
    assert left_by(api, tmp_path, "mine").remove()
    assert api.objects == {}


def test_what_the_run_has_removed_is_forgotten(tmp_path: Path) -> None:
    api = Api(of_run("mine", run_id()))
    left = left_by(api, tmp_path, "mine")
    left.take({"forget": "mine"})
    assert left.remove()
    assert api.deleted == []
    assert not (tmp_path / "report").exists()


KEPT = {"started_by": "ann@laptop", "started": "2026-11-25T10:00:00Z", "keep": "true"}
RUNNING = KEPT | {"until": "2999-01-01T00:00:00Z"}
del RUNNING["keep"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            of_run("mine", OTHER, **RUNNING),
            "--namespace mine: the run that ann@laptop started at 2026-11-25T10:00:00Z may use it until 2999-01-01",
        ),
        (
            of_run("mine", OTHER, **KEPT),
            "--namespace mine: the run that ann@laptop started at 2026-11-25T10:00:00Z keeps it (--keep); choose",
        ),
    ],
)
def test_a_namespace_of_another_run_is_refused_unless_it_may_be_replaced(
    found: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(found)
    with pytest.raises(InputError) as caught:
        namespace.make_room(api, "mine", 5)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert str(caught.value).endswith("with --replace")
    assert "\n" not in str(caught.value)
    assert not namespace.remove(api, "mine", 5)  # type: ignore[arg-type]
    assert api.deleted == []
    monkeypatch.setenv(namespace.REPLACE, "1")
    assert not namespace.remove(api, "mine", 5)  # type: ignore[arg-type]  # at the end of a run, --replace counts no more
    namespace.make_room(api, "mine", 5)  # type: ignore[arg-type]
    assert api.deleted == ["mine"]


EXPIRED = of_run("mine", OTHER, until="2026-01-01T00:00:00Z")
TERMINATING = of_run("mine", OTHER, **RUNNING)
TERMINATING["metadata"]["deletionTimestamp"] = "2026-11-25T10:00:00Z"


@pytest.mark.parametrize("found", [EXPIRED, TERMINATING, of_run("mine"), of_run("mine", run_id())])
def test_a_namespace_that_nobody_needs_makes_room(found: dict[str, Any]) -> None:
    api = Api(found)
    namespace.make_room(api, "mine", 5)  # type: ignore[arg-type]
    assert api.objects == {}


def test_a_namespace_says_what_it_is_and_until_when() -> None:
    api = Api()
    for _ in range(2):  # the second time it is there
        namespace.create_namespace(api, "mine", commits=20, keep=False, timeout_s=5, lab=False)  # type: ignore[arg-type]
    metadata = api.objects["/api/v1/namespaces/mine"]["metadata"]
    assert metadata["labels"] == {namespace.MARK: "true", RUN_LABEL: run_id()}
    notes = metadata["annotations"]
    assert "@" in notes[namespace.STARTED_BY]
    assert notes[namespace.STARTED] < notes[namespace.UNTIL]
    assert "evaluation" in notes[namespace.PURPOSE]
    assert namespace.KEPT not in notes


def test_of_two_runs_that_create_it_at_the_same_moment_one_is_refused() -> None:
    api = Api()
    call = api.call

    def first(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        api.objects["/api/v1/namespaces/mine"] = of_run("mine", OTHER, **RUNNING)
        return call(method, path, body)

    api.call = first  # type: ignore[method-assign]
    with pytest.raises(InputError, match="ann@laptop"):
        namespace.create_namespace(api, "mine", commits=1, keep=False, timeout_s=5, lab=False)  # type: ignore[arg-type]


def test_a_namespace_that_does_not_terminate_is_reported_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    api = Api(of_run("mine", run_id()), stuck=True)
    api.kubeconfig = Path("/my folder/config")
    namespace.remove_or_report(api, "mine", 0.1)  # type: ignore[arg-type]
    message = capsys.readouterr().err
    assert message.startswith("warning: namespace mine is left: namespace mine removed: not within 0 s; last seen: ")
    assert message.endswith(
        "scripts/evaluate --clean-up --context mine --kubeconfig '/my folder/config' --namespace mine removes it\n"
    )
    assert len(message.splitlines()) == 1


def test_clean_up_removes_what_ended_runs_left_and_nothing_else() -> None:
    someone = {"metadata": {"name": "someone", "labels": {}}}
    ended = of_run("ended", "a", **RUNNING | {"until": "2026-11-25T13:00:00Z"})
    claimed = [of_run("kept", "b", **KEPT), of_run("running", "c", **RUNNING), of_run("running-git", "c")]
    api = Api(*claimed, ended, of_run("other-git", "d"), someone)
    run = "the run that ann@laptop started at 2026-11-25T10:00:00Z"
    until = f"{run} may use it until {RUNNING['until']}"
    left = [
        f"left namespace kept: {run} keeps it (--keep); --clean-up --namespace kept removes it",
        f"left namespace running: {until}; --clean-up --namespace running removes it",
        f"left namespace running-git: {until}; --clean-up --namespace running-git removes it",
    ]
    assert list(clean_up.clean_up(api, None, 5)) == [  # type: ignore[arg-type]
        *left,
        "removed namespace ended (started by ann@laptop at 2026-11-25T10:00:00Z)",
        "removed namespace other-git",
    ]
    assert [path.rpartition("/")[2] for path in api.objects] == ["kept", "running", "running-git", "someone"]
    assert list(clean_up.clean_up(api, None, 5)) == left  # type: ignore[arg-type]
    assert len(list(clean_up.clean_up(api, "kept", 5))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("named", "removed"), [(None, ["of-ended"]), ("running", ["of-running"])])
def test_kinds_and_the_simulated_node_go_with_their_run(
    named: str | None, removed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [
        of_run(name, run) | {"spec": {"names": {"plural": "things"}, "group": "a.test"}}
        for name, run in (("of-running", "c"), ("of-ended", "a"))
    ]
    node = of_run(clean_up.NODE, "c")
    node["metadata"]["labels"][clean_up.SIMULATED] = "true"
    api = Api(of_run("running", "c", **RUNNING), of_run("ended", "a"))
    namespaces = api.items
    api.items = lambda path, **query: kinds if path == DEFINITIONS else namespaces(path, **query)  # type: ignore[method-assign]
    api.objects[f"/api/v1/nodes/{clean_up.NODE}"] = node
    api.objects |= {f"{DEFINITIONS}/{kind['metadata']['name']}": kind for kind in kinds}
    monkeypatch.setattr(clean_up, "release", lambda *_: None)
    lines = list(clean_up.clean_up(api, named, 5))  # type: ignore[arg-type]
    gone = [line.rpartition(" ")[2] for line in lines if line.startswith("removed customresourcedefinition")]
    assert gone == removed
    assert (f"removed node {clean_up.NODE}" in lines) is (named == "running")


def test_clean_up_of_a_named_one_removes_those_that_belong_to_it() -> None:
    api = Api(of_run("mine", OTHER), of_run("mine-git", OTHER), of_run("other", OTHER))
    assert len(list(clean_up.clean_up(api, "mine", 5))) == 2  # type: ignore[arg-type]
    assert list(api.objects) == ["/api/v1/namespaces/other"]


def test_clean_up_refuses_a_namespace_that_no_run_created() -> None:
    api = Api({"metadata": {"name": "mine"}})
    with pytest.raises(InputError, match="--namespace mine: no evaluation created it"):
        list(clean_up.clean_up(api, "mine", 5))  # type: ignore[arg-type]


def test_clean_up_goes_on_after_a_namespace_that_does_not_terminate() -> None:
    api = Api(of_run("mine", OTHER), of_run("other", OTHER))
    delete = api.delete
    api.delete = lambda path, **query: path.endswith("mine") or delete(path, **query)  # type: ignore[method-assign]
    removed = []
    with pytest.raises(TimedOut, match="namespace mine removed"):
        removed += list(clean_up.clean_up(api, None, 0.1))  # type: ignore[arg-type]
    assert list(api.objects) == ["/api/v1/namespaces/mine"]


@pytest.mark.parametrize("name", ["", "Upper"])
def test_clean_up_of_an_empty_name_does_not_mean_everything(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--clean-up", "--context", "mine", "--namespace", name]) == 2
    assert f"--namespace {name!r}: expected a DNS label" in capsys.readouterr().err
