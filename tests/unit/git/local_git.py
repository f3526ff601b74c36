"""git hosts on 127.0.0.1: git's own http-backend with accounts, and servers that answer nothing but an error."""

from __future__ import annotations

import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from git_to_pod.git.repository import account
from git_to_pod.settings import Credentials, Settings
from tests.samples import SETTINGS

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.test")


class Server(ThreadingHTTPServer):
    """A server on 127.0.0.1. Port 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """git may close a connection early."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[Server]:
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not to standard error."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answering(status: int, body: str = "", authenticate: bool = False) -> type[Quiet]:
    """A handler with this status for every request, and no answer at all for 0. "{auth}" in the body is repeated."""

    class Answering(Quiet):
        def do_GET(self) -> None:
            if not status:
                self.close_connection = True
                return
            text = body.replace("{auth}", self.headers.get("Authorization", ""))
            headers = {"Content_Type": "text/plain"}
            if status == 401 or (authenticate and "Authorization" not in self.headers):
                self.answer(401, text.encode(), WWW_Authenticate='Basic realm="git"', **headers)
            else:
                self.answer(status, text.encode(), **headers)

        do_POST = do_GET

    return Answering


@dataclass
class Host:
    """A git host: a folder of bare repositories, and passwords by user name."""

    root: Path
    accounts: dict[str, str] = field(default_factory=dict)
    pushers: set[str] = field(default_factory=set)
    public: bool = False
    hidden: bool = False  # answer 404 without credentials
    users: list[str] = field(default_factory=list)  # of the requests, empty without an account

    @property
    def handler(self) -> type[Quiet]:
        host = self

        class Handler(Quiet):
            def user(self) -> str:
                kind, _, value = self.headers.get("Authorization", "").partition(" ")
                user, _, password = b64decode(value).decode().partition(":") if kind == "Basic" else ("", "", "")
                host.users.append(user)
                return user if host.accounts.get(user) == password else ""

            def do_GET(self) -> None:
                user = self.user()
                if not user and host.hidden:
                    self.answer(404)
                elif not user and not host.public:
                    self.answer(401, WWW_Authenticate='Basic realm="git"')
                elif "git-receive-pack" in self.path and user not in host.pushers:
                    self.answer(403 if user else 401, WWW_Authenticate='Basic realm="git"')
                else:
                    self.backend(user)

            do_POST = do_GET

            def backend(self, user: str) -> None:
                path, _, query = self.path.partition("?")
                length = self.headers.get("Content-Length", "0")
                environment = {
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(host.root),
                    "GIT_PROJECT_ROOT": str(host.root),
                    "GIT_HTTP_EXPORT_ALL": "",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": length,
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "REMOTE_USER": user,
                }
                body = self.rfile.read(int(length))
                done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
                status = int(headers.pop("Status", "200").split()[0])
                self.answer(status, content, **headers)

        return Handler


def make_repository(bare: Path, *options: str, attributes: str = "") -> Path:
    """A bare repository with one commit on main."""
    seed = bare.parent / f"{bare.name}-seed"
    with account(Credentials()) as someone:
        for made in (("--bare", str(bare)), (str(seed),)):
            someone.git("init", "--quiet", "--initial-branch=main", *options, *made)
        (seed / ".gitattributes").write_text(attributes)
        someone.git("add", ".gitattributes", folder=seed)
        someone.git(*AUTHOR, "commit", "--quiet", "--message=First", folder=seed)
        someone.git("push", "--quiet", str(bare), "main", folder=seed)
    return bare


def push_from_elsewhere(bare: Path, name: str, content: str | None) -> str:
    """Someone else's commit on main: this file gets the content, or is deleted."""
    with account(Credentials()) as someone:
        clone = someone.folder / "elsewhere"
        someone.git("clone", "--quiet", "--branch=main", str(bare), str(clone))
        if content is None:
            (clone / name).unlink()
        else:
            (clone / name).write_text(content)
        someone.git("add", "--all", folder=clone)
        someone.git(*AUTHOR, "commit", "--quiet", "--message=Elsewhere", folder=clone)
        someone.git("push", "--quiet", "origin", "main", folder=clone)
        return someone.git("rev-parse", "HEAD", folder=clone).strip()


def refs(bare: Path) -> dict[str, str]:
    """The commit of each branch."""
    with account(Credentials()) as someone:
        lines = someone.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", folder=bare).splitlines()
    return dict(line.split() for line in lines)


def hook(bare: Path, name: str, script: str) -> None:
    path = bare / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def settings_for(url: str, reader: Credentials | None = None, writer: Credentials | None = None) -> Settings:
    reader = reader or Credentials()
    return replace(SETTINGS, repository=url, push_url=url, reader=reader, writer=writer or reader)
