"""Load for the app's Service, sent from a pod in the cluster while the trials run. No request may fail."""

from __future__ import annotations

import csv
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from git_to_pod.app.pod_template import carried, carried_by_container, container_of, metadata_of
from git_to_pod.cluster.api import ApiError, Cluster, Object, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import BEGAN, Recorder
from git_to_pod.cluster.status import described_pod
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.git.repository import FILE
from git_to_pod.settings import Settings
from git_to_pod.watchdog import run_id

POD = "load"
COLUMNS = ["run", "seconds", "status", "commit", "error"]  # of responses.csv
# Requests per second, in sequence, each on a new connection. At 50 per second, containerd and the kubelet used a sixth
# of a core for the log, and the measured phases took a fifth longer.
RATE = 20
LINE = "%{stderr}%{exitcode}|%{http_code}|%header{x-git-commit}|%{errormsg}\\n"


@dataclass(frozen=True)
class Response:
    """The outcome of one request. `instant` is the receipt of its log line, on the monotonic clock in seconds."""

    instant: float
    status: int
    commit: str
    error: str
    body: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.error) or not 200 <= self.status < 400


def table(responses: Sequence[Response]) -> pd.DataFrame:
    """responses.csv, in the order of receipt, with the columns in README.md."""
    return pd.DataFrame([row(response) for response in responses], columns=COLUMNS)


def row(response: Response) -> tuple[str, float, int, str, str]:
    seconds = round(response.instant - BEGAN, 4)
    return run_id(), seconds, response.status, response.commit, response.error


def parse(instant: float, line: str, body: str = "") -> Response | None:
    """The Response of the line that curl writes after each body; None for any other line."""
    parts = line.split("|", 3)
    if len(parts) != 4 or not parts[0].isdigit() or not parts[1].isdigit():
        return None
    code, status, commit, message = parts
    error = "" if code == "0" else f"curl {code}: {message or 'no message'}"
    return Response(instant, int(status), commit, error, body)


class Load:
    """A pod that runs the curl of git-sync's image, and a thread that follows its log, while a `with` block runs."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, settings: Settings, rate: int = RATE, csv_file: Path | None = None
    ) -> None:
        """Each response is added to the CSV file at once; a killed run leaves it."""
        self.cluster = cluster
        self.recorder = recorder
        self.timeout_s = settings.timeout_s
        self.rate = rate
        self.path = api_path("Pod", settings.namespace)
        self.csv_file = csv_file
        self.responses: list[Response] = []
        self.error = ""
        self.stopped = threading.Event()
        self.reader = threading.Thread(target=self.read, name="load", daemon=True)

    def __enter__(self) -> Load:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except (TimedOut, ApiError, Unreachable) as error:  # the responses so far are good
            self.error = f"The load generator did not stop cleanly: {error}"

    def start(self, like: Object | None = None) -> None:
        """Create the pod, by default like the poller's, and wait for the first response. Raises TimedOut."""
        poller = like or self.recorder.get("Deployment", "git-poller")
        assert poller, "deployment/git-poller must exist"
        self.cluster.delete(f"{self.path}/{POD}", gracePeriodSeconds="0")
        self.cluster.call("POST", self.path, load_pod(poller["spec"]["template"], self.rate))

        def running() -> bool:
            pod = self.recorder.get("Pod", POD)
            return bool(pod and pod["status"].get("phase") == "Running")

        last_seen = partial(described_pod, self.recorder, POD)
        self.recorder.wait_for("pod/load running", running, self.timeout_s, last_seen)
        self.write([COLUMNS], "w")
        self.reader.start()
        wait_for("first response from the Service", lambda: self.responses, self.timeout_s)

    def read(self) -> None:
        """Follow the log. After a lost connection, go on after the last timestamp: the kubelet may rotate the log."""
        last, body = "", ""
        while not self.stopped.is_set():
            query = {"follow": "true", "timestamps": "true"} | ({"sinceTime": last} if last else {})
            try:
                for instant, line in self.cluster.lines(f"{self.path}/{POD}/log", timeout_s=600, **query):
                    timestamp, _, text = line.decode(errors="replace").partition(" ")  # of fixed width
                    if timestamp > last:
                        last, body = timestamp, self.take(instant, text, body)
            except (ApiError, Unreachable):
                pass  # the API server is down: it still serves the log when it is back
            self.stopped.wait(0.2)

    def take(self, instant: float, text: str, body: str) -> str:
        """Add a response when its last line is there; return the lines of a body that is not complete."""
        response = parse(instant, text, body)
        # Failures before the first success do not count: kube-proxy gets the endpoints a moment later.
        if response and (self.responses or not response.failed):
            self.responses.append(response)
            self.write([row(response)], "a")
        return "" if response else f"{body}{text}\n"

    def write(self, rows: Sequence[Sequence[object]], mode: str) -> None:
        """Write rows of responses.csv. If the disk is full, the load goes on without the file."""
        if not self.csv_file:
            return
        try:
            self.csv_file.parent.mkdir(parents=True, exist_ok=True)
            with self.csv_file.open(mode, newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            self.error = f"{self.csv_file.name} was not written as the responses came: {error.strerror}"
            self.csv_file = None

    def stop(self) -> list[Response]:
        self.stopped.set()
        self.cluster.delete(f"{self.path}/{POD}", gracePeriodSeconds="0")
        if self.reader.ident:  # it was started
            self.reader.join(self.timeout_s)  # after an API server outage, the kubelet may learn of the deletion late
        if self.reader.is_alive():
            raise TimedOut(f"pod/{POD}: its log did not end within {self.timeout_s:.0f} s of its deletion")
        return self.responses


def load_pod(template: Object, rate: int) -> Object:
    """The load pod, like the poller's. curl is PID 1 and sends every request: one process costs the node little."""
    like = template["spec"]
    container = carried_by_container(like, "git-sync") | {"name": "curl"}
    url = f"http://app/{FILE}?[1-100000000]"
    command = ["curl", "--silent", "--output", "/dev/stderr", "--rate", f"{rate}/s", "--write-out", LINE]
    command += ["--header", "Connection: close", "--connect-timeout", "2", "--max-time", "5", url]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD} | metadata_of(template, app=POD),
        "spec": carried(like)
        | {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": like.get("securityContext", {}),
            "containers": [
                container
                | {"command": command, "securityContext": container_of(like, "git-sync").get("securityContext", {})}
            ],
        },
    }


@dataclass(frozen=True)
class Mixed:
    """The time from the first response with the new commit to the last with an old one, on the monotonic clock."""

    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


def mixed_commits(responses: Sequence[Response], commit: str, since: float, until: float) -> Mixed | None:
    """The time in which the Service served this commit and older ones; None if it never served this commit."""
    window = [r for r in responses if since <= r.instant < until and r.commit]
    first_new = next((r.instant for r in window if r.commit == commit), None)
    if first_new is None:
        return None
    last_old = max((r.instant for r in window if r.commit != commit), default=first_new)
    return Mixed(first_new, max(first_new, last_old))
