"""A client of the Kubernetes API: objects as plain dictionaries, streams, kubectl, and errors of one line.

The kubernetes package connects: its `config` loads the kubeconfig (see kubeconfig.py), and its ApiClient authenticates
and sends every request. This module reads the responses itself, from that client's transport (urllib3):

- The trials measure when an event or a log line is received. `Lines` takes this instant as the bytes arrive, before
  anything is parsed. `kubernetes.watch.Watch` yields an event only after it has parsed it, and gives no instant.
- After 410 Gone, `Watch` reconnects with the expired resourceVersion, and does not tell its caller. The reflector
  must list again then, and show an error that lasts.
- The served commit is a header of the app's response, whose status may be an error. The raw response has both.
- Manifests and custom resources pass through unchanged. The client's typed models drop fields that they do not know,
  and its dynamic client sends discovery requests and keeps a cache file outside the run's folders.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes import client

from git_to_pod.cluster.kubeconfig import connection, kubectl_command
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.programs import ProgramTimedOut, run
from git_to_pod.settings import InputError, Settings

Object = dict[str, Any]
Found = TypeVar("Found")
REQUEST_S = 10.0
READY_S = 60.0  # for the start of an API server


class ApiError(RuntimeError):
    """The API server answered with an error status, or with a body that is not of the Kubernetes API."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        try:
            reason = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            reason = " ".join(body.decode(errors="replace").split())[:200]
            if status < 400:  # such as a proxy's log-in page
                reason = f"with a body that is not of the Kubernetes API: {reason}"
        super().__init__(f"{method} {path}: {status} {reason}")
        self.status = status


class KubectlError(ApiError):
    """kubectl failed. The message holds its standard error."""

    def __init__(self, command: str, error: str) -> None:
        RuntimeError.__init__(self, f"kubectl {command}: {error}")
        self.status = 0


class Unreachable(ConnectionError):
    """The API server did not answer."""

    def __init__(self, server: str, error: Exception) -> None:
        inner = str(getattr(error, "reason", error)).strip().splitlines()
        super().__init__(f"no answer from {server} ({(inner or [type(error).__name__])[-1].rpartition('>: ')[2]})")


class Lines:
    """The lines of a streamed response, each with the monotonic instant of its receipt, in seconds."""

    def __init__(self, server: str, response: urllib3.BaseHTTPResponse) -> None:
        self.server = server
        self.response = response

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        """Raises Unreachable if the connection is lost."""
        try:
            rest = b""  # an incomplete line at the end is dropped
            for chunk in self.response.stream(amt=None, decode_content=False):
                received = time.monotonic()
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield received, line
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # ValueError: of a socket that is closed
            raise Unreachable(self.server, error) from None
        finally:
            self.response.close()

    def close(self) -> None:
        """Shut the socket down. A thread that waits for the next line gets the end of the lines, or Unreachable."""
        with suppress(ValueError, RuntimeError, OSError):  # it is closed already
            self.response.shutdown()


class Cluster:
    """One cluster, reached by one kubeconfig context."""

    def __init__(self, context: str, kubeconfig: Path | None) -> None:
        self.context = context
        self.kubeconfig = kubeconfig
        self.api, self.impersonation = connection(context, kubeconfig)
        self.server = str(self.api.configuration.host)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout_s: float = REQUEST_S,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """The server's response, whatever its status. With `stream`, its body is yet to be read. Raises Unreachable."""
        full = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json", "Content-Type": content_type}
        call = self.api.param_serialize(method, full, header_params=headers, body=body, auth_settings=["BearerToken"])
        every = urllib3.HTTPHeaderDict(call[2])
        for name, value in self.impersonation:  # a name may occur more than once
            every.add(name, value)
        try:
            answer = self.api.call_api(*call[:2], every, *call[3:], _request_timeout=(REQUEST_S, timeout_s))
            if not stream:
                answer.read()  # type: ignore[no-untyped-call]
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(self.server, error) from None
        except ValueError:  # its text shows the header, which may be the token
            raise Unreachable(self.server, ValueError("a header of the request is not valid")) from None
        assert isinstance(answer.response, urllib3.BaseHTTPResponse)
        return answer.response

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """The body of a successful response. Raises ApiError and Unreachable."""
        response = self.request(method, path, body, query, content_type)
        if response.status >= 400:
            raise ApiError(method, path, response.status, response.data)
        with suppress(ValueError):
            if isinstance(found := json.loads(response.data), dict):
                return found
        raise ApiError(method, path, response.status, response.data)

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

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.request("GET", "/readyz").status == 200
        except (ApiError, Unreachable):
            return False

    def wait_ready(self) -> None:
        """Wait until an API server that was started is ready. Raises TimedOut."""
        wait_for("the API server is ready", self.is_ready, READY_S)

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

    def lines(self, path: str, timeout_s: float, **query: str) -> Lines:
        """The lines of a streamed response. Raises ApiError and Unreachable."""
        response = self.request("GET", path, query=query, timeout_s=timeout_s, stream=True)
        if response.status < 400:
            return Lines(self.server, response)
        try:
            raise ApiError("GET", path, response.status, response.data)
        except urllib3.exceptions.HTTPError as error:  # while its body was read
            raise Unreachable(self.server, error) from None

    def kubectl_command(self, *arguments: str) -> list[str]:
        """A kubectl command line for this context."""
        return kubectl_command(self.context, self.kubeconfig, *arguments)

    def kubectl(self, *arguments: str, timeout_s: float = 60) -> str:
        """kubectl's standard output. Raises KubectlError and TimedOut."""
        try:
            done = run(*self.kubectl_command(*arguments), timeout_s=timeout_s)
        except ProgramTimedOut as error:
            raise TimedOut(f"kubectl {arguments[0]}: {error}") from None
        if done.status:
            raise KubectlError(arguments[0], done.stderr.strip())
        return done.stdout.decode(errors="replace")


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
        if error.status in (401, 403):
            refusal = f"{cluster.server} refused this user ({error}); check the user in the kubeconfig"
        else:
            refusal = (
                f"{cluster.server} does not answer as a Kubernetes API server ({error}); check the server in the "
                "kubeconfig, and that the cluster is healthy"
            )
        raise InputError(f"--context {context}: {refusal}") from None
    return cluster
