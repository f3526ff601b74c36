"""A tiny API server on 127.0.0.1, and kubeconfigs for it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import trustme
import yaml

from git_to_pod.cluster.api import Cluster

CONTEXT = "test"


class ApiServer:
    """Answers over HTTPS: `answers` has an object, text, error status, or status and object for a path, or a function
    that returns one of them. Other paths get an empty object.
    """

    def __init__(self, folder: Path, context: ssl.SSLContext | None = None, tls: bool = True) -> None:
        self.folder = folder
        self.answers: dict[str, Any] = {}
        self.events: list[Any] = []  # of each watch, which then stays open
        self.requests: list[tuple[str, list[tuple[str, str]]]] = []  # path and headers
        handler = type("Handler", (Handler,), {"api": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.closing = threading.Event()
        self.scheme = "https" if tls else "http"
        if tls:
            self.server.socket = (context or self.own_context()).wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def own_context(self) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> ApiServer:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, user: dict[str, Any] | None = None, **cluster: Any) -> Path:  # noqa: ANN401
        """A kubeconfig in the folder, with a relative certificate-authority."""
        fields = {"server": self.url} | ({"certificate-authority": "ca.crt"} if self.scheme == "https" else {})
        fields |= {name.replace("_", "-"): value for name, value in cluster.items()}
        given = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": fields}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
        }
        path = self.folder / "config"
        path.write_text(yaml.safe_dump(given))
        return path

    def cluster(self, user: dict[str, Any] | None = None, **cluster: Any) -> Cluster:  # noqa: ANN401
        return Cluster(CONTEXT, self.kubeconfig(user, **cluster))

    def headers(self, name: str) -> list[str]:
        """The values of a header in the last request."""
        return [value for key, value in self.requests[-1][1] if key.lower() == name.lower()]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < limit
            time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    api: ClassVar[ApiServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        self.api.requests.append((self.path, self.headers.items()))
        if "watch=1" in query:
            return self.watch()
        answer = self.api.answers.get(path, {})
        if callable(answer):
            answer = answer()
        status = answer if isinstance(answer, int) else 200
        if isinstance(answer, tuple):
            status, answer = answer
        body = answer if isinstance(answer, str) else json.dumps({} if isinstance(answer, int) else answer)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())
        return None

    def watch(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for each in self.api.events:
            line = json.dumps(each).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()
        self.api.closing.wait()

    def log_message(self, format: str, *args: object) -> None:
        pass
