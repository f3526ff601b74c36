"""On a machine that cannot run it, the lab fails with one line that names the alternative."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import LabError, build, network, paths
from tests import processes

ROOT = Path(__file__).parent.parent.parent


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="user id is 1000; .* needs root .*--context NAME"):
        build.check_host()


def test_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LabError, match="needs Linux: .*--context NAME"):
        build.check_host()


def test_without_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    with pytest.raises(LabError, match=r"0\.1 GB are free at .* needs \d+ GB: .*--context NAME"):
        build.check_host()


def test_an_address_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "NODE_ADDRESS", "127.0.0.1")  # an address that the host already has
    with pytest.raises(LabError, match="address 127.0.0.1 is in use .*--context NAME"):
        network.check_free()


def test_a_link_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    name = socket.if_nameindex()[0][1]
    monkeypatch.setattr(network, "HOST_LINKS", {name: "198.18.0.1/30"})
    with pytest.raises(LabError, match=f"network interface {name} exists already"):
        network.check_free()


def test_an_interrupted_build_ends_at_once() -> None:
    code = "from lab.tools import Runner; Runner(print).run('a long build', ['sh', '-c', 'echo begun; sleep 60'])"
    building = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 10
    while not processes.children(building.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    building.send_signal(signal.SIGINT)
    assert building.wait(5) != 0


def test_an_interrupted_build_leaves_no_partial_result(tmp_path: Path) -> None:
    def interrupted(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.whole(tmp_path / "part", interrupted)
    assert list(tmp_path.iterdir()) == []
    part = build.whole(tmp_path / "part", Path.touch)
    assert part.exists()
    assert paths.CACHE.is_absolute()
