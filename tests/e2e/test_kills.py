"""Kills at random instants of a run, with a fixed seed. Each time, nothing stays on the cluster or on this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.cluster.waiting import TimedOut, wait_for
from tests.api_server import CONTEXT, ApiServer, Handler
from tests.own_cluster import OwnCluster

SEED = 20
NAMESPACE = "git-to-pod-killed-{}".format
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
ROUNDS, AT_ONCE = 17, 6


@dataclass(frozen=True)
class Kill:
    """One round: which signal, and when. `of`: the process, by words in its command line; empty: the command itself."""

    number: int
    signal: signal.Signals
    after_s: float  # since the command began, or, with `deploying`, since its first namespace exists
    of: str = ""
    deploying: bool = False


class Namespaces(ApiServer):
    """An API server that keeps namespaces, allows everything, and leaves kubectl without an answer."""

    kept: dict[str, dict[str, Any]]
    created: set[str]


class KeepingHandler(Handler):
    api: Namespaces  # type: ignore[misc]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/v1/namespaces/"):
            found = self.api.kept.get(path.split("/")[4])
            return self.answer(200, found) if found else self.answer(404, {"message": "not found"})
        if path.startswith("/openapi") or path == "/api":  # kubectl, which starts to apply the manifests
            self.api.closing.wait()
            return None
        return self.answer(200, {"items": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/v1/namespaces":
            self.api.kept[body["metadata"]["name"]] = body
            self.api.created.add(body["metadata"]["name"])
        self.answer(201, body | {"status": {"allowed": True}})

    def do_DELETE(self) -> None:
        *_, kind, name = self.path.partition("?")[0].split("/")
        if kind == "namespaces":
            self.api.kept.pop(name, None)
        self.answer(200, {})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Namespaces]:
    server = Namespaces(tmp_path)
    server.kept, server.created = {}, set()
    server.server.RequestHandlerClass = type("OfThisServer", (KeepingHandler,), {"api": server})
    with server:
        yield server


def kill(own: OwnCluster, command: list[str], chosen: Kill) -> str:
    """Start the command, kill it at this instant, and return what is left of it, or nothing."""
    process = own.start(command)
    try:
        if chosen.deploying:
            wait_for("the run's first namespace", own.namespaces, 60, pause_s=0.02)
        time.sleep(chosen.after_s)
        for pid in own.processes(chosen.of) if chosen.of else [process.pid]:
            os.kill(pid, chosen.signal)
        process.wait(60)
        own.wait_until_clean()
    except (TimedOut, OSError, subprocess.TimeoutExpired, AssertionError) as error:
        return f"{chosen}: {error}"
    finally:
        process.kill()
        process.wait()
    return ""


def kill_all(
    lab: dict[str, Any], folder: Path, kills: Sequence[Kill], command: Callable[[OwnCluster], list[str]]
) -> None:
    """Several rounds at once, each with a namespace and folders of its own."""

    def round_of(chosen: Kill) -> str:
        own_folder = folder / str(chosen.number)
        own_folder.mkdir()
        own = OwnCluster(lab, own_folder, NAMESPACE(chosen.number))
        left = kill(own, command(own), chosen)
        own.kill_all()  # of a round that has failed
        return left

    with ThreadPoolExecutor(AT_ONCE) as pool:
        left = [found for found in pool.map(round_of, kills) if found]
    assert not left


def test_nothing_is_left_of_a_command_that_is_killed_while_it_prepares(api: Namespaces, tmp_path: Path) -> None:
    """With a real watchdog and a simulated API server: the run makes accounts, and a namespace for its git host."""
    chance = random.Random(SEED)
    before = [Kill(number, chance.choice(SIGNALS), chance.uniform(0.5, 4)) for number in range(ROUNDS // 2)]
    after = [
        Kill(number, chance.choice(SIGNALS), chance.uniform(0, 1.5), deploying=True)
        for number in range(ROUNDS // 2, ROUNDS)
    ]
    lab = {"context": CONTEXT, "kubeconfig": str(api.kubeconfig())}
    kill_all(lab, tmp_path, before + after, lambda own: own.evaluate("--output", str(own.report)))
    assert {f"{NAMESPACE(chosen.number)}-git" for chosen in after} <= api.created


def test_nothing_is_left_of_papermill_or_its_kernel_on_the_cluster(lab: dict[str, Any], tmp_path: Path) -> None:
    chance = random.Random(SEED)
    kills = [
        Kill(number, chance.choice(SIGNALS), chance.uniform(8, 25), of)
        for number, of in enumerate(["", "ipykernel_launcher", "ipykernel_launcher"])
    ]
    kill_all(lab, tmp_path, kills, OwnCluster.papermill)
