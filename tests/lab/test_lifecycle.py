"""The lab starts, refuses archives that it cannot use, and leaves a clean machine, however it ends."""

import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from lab import LabError, build, client, images, oci, paths
from lab.tools import Runner
from tests.lab.traces import traces, until
from tests.processes import command_line, running

ROOT = Path(__file__).parent.parent.parent
UP = [sys.executable, "-m", "lab", "up"]
pytestmark = pytest.mark.usefixtures("no_lab")


def test_up_then_down_leaves_nothing() -> None:
    assert subprocess.run(UP, cwd=ROOT, check=False).returncode == 0
    lab = client.find()
    assert lab.timings_s["node_ready"] > 0
    assert {image["source"] for image in lab.images} <= {"archive", "pulled", "built", "stand-in"}
    assert traces(), "traces() must see a running lab, or this test proves nothing"
    second = subprocess.run(UP, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "a lab is running already" in second.stderr
    assert client.down()
    assert traces() == []


def test_a_component_that_dies_is_restarted_and_one_that_was_stopped_is_not() -> None:
    with client.running(report=lambda _: None) as lab:
        scheduler = lab.run_in("node", "sh", "-c", "grep -l kube-scheduler /proc/[0-9]*/comm").stdout.split("/")[2]
        lab.run_in("node", "sh", "-c", f"kill -9 {scheduler}")

        def running() -> bool:
            return "kube-scheduler" in lab.run_in("node", "sh", "-c", "cat /proc/[0-9]*/comm").stdout

        until("kube-scheduler is back", running)
        client.command("stop", "kube-scheduler")
        assert not running()
        client.command("start", "kube-scheduler")
        until("kube-scheduler is back", running)
        with pytest.raises(LabError, match="no component 'kube-schedule'.*kube-scheduler"):
            client.command("stop", "kube-schedule")


def test_a_killed_owner_ends_the_lab() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", "from lab import running\nwith running() as lab: input()"],
        cwd=ROOT, stdin=subprocess.PIPE,
    )  # fmt: skip
    until("the lab is up", paths.STATE.exists, 60)
    owner.kill()
    owner.wait()
    until("everything is gone", lambda: not traces())


@pytest.mark.parametrize("after_s", [0.3, 2.5])
def test_an_interrupted_start_leaves_nothing(after_s: float) -> None:
    starting = subprocess.Popen(UP, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert starting.stdout is not None
    next(line for line in starting.stdout if "starting the node" in line)
    time.sleep(after_s)  # during the start
    starting.send_signal(signal.SIGINT)
    assert starting.wait(40) == 130
    assert traces() == []


def test_a_killed_build_leaves_no_mounts_and_no_processes(tmp_path: Path) -> None:
    target = tmp_path / "root"
    begin = f"""
from lab import build, tools
build.debian(tools.Runner(print), build.Path({str(target)!r}), ["busybox"], "essential")
"""
    with subprocess.Popen([sys.executable, "-c", begin], cwd=ROOT, stdout=subprocess.DEVNULL) as building:
        until("the target has its own /proc", lambda: any(has_mounted(target / "proc", pid) for pid in running()))
        building.kill()
    until("its processes have ended", lambda: not any(str(target) in " ".join(command_line(pid)) for pid in running()))
    until("its mounts have gone", lambda: not any(has_mounted(target / "proc", pid) for pid in running()))


def has_mounted(path: Path, pid: int) -> bool:
    try:
        return f" {path} " in Path(f"/proc/{pid}/mounts").read_text()
    except OSError:  # the process has ended
        return False


def test_a_killed_supervisor_leaves_only_cgroups_and_the_next_lab_starts() -> None:
    supervisor = client.up(None, lambda _: None, owned=False)
    supervisor.kill()
    supervisor.wait()
    until("only cgroups are left", lambda: all(trace.startswith("cgroup") for trace in traces()))
    with pytest.raises(LabError, match="scripts/lab down"):
        client.find()
    with client.running(report=lambda _: None):
        pass
    assert traces() == []


def test_archives_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(lambda _: None)
    built = build.build(runner)
    with pytest.raises(LabError, match=r"--images .*/none is not a folder"):
        images.resolve(built, tmp_path / "none", runner)

    layer, file = tmp_path / "layer", tmp_path / "image.tar"
    tarfile.open(layer, "w").close()
    oci.write(file, "example.test/one:1", layer, {})
    assert images.resolve(built, tmp_path, runner)[0].source == "archive"

    monkeypatch.setattr(oci, "ARCHITECTURE", "s390x")
    file.touch()  # a new time stamp, so that it is checked again
    with pytest.raises(LabError, match=r"image.tar is for linux/\w+; this machine is linux/s390x"):
        images.resolve(built, tmp_path, runner)
    monkeypatch.undo()

    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LabError, match=r"image.tar (is corrupt|failed)|checking image.tar failed"):
        images.resolve(built, tmp_path, runner)

    changed = bytearray(whole)
    at = changed.find(b'"architecture"')
    changed[at + 3] ^= 1
    file.write_bytes(bytes(changed))
    with pytest.raises(LabError, match=r"image.tar"):
        images.resolve(built, tmp_path, runner)
