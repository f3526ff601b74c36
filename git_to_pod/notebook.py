"""JupyterLab with a notebook of this project, and the cluster for it: both end together."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import nbformat

from git_to_pod.cluster import wait_for
from git_to_pod.command import ALTERNATIVES, EVALUATION, Failed, exit_status, parameters, parser, ready
from git_to_pod.deploy import SESSION, remove_all
from git_to_pod.export import read
from git_to_pod.process import end, end_with_parent
from git_to_pod.progress import Terminal
from git_to_pod.settings import ROOT, Parameters, Settings, parameters_cell, running_lab

NOTEBOOKS = {path.stem: path for path in (EVALUATION, ALTERNATIVES)}
START_S = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 JupyterLab was shut down, 1 it or the lab died, 2 bad input, 128 + n ended by signal n."""
    return exit_status(partial(start, argv))


def start(argv: Sequence[str] | None, terminal: Terminal) -> int:
    options = parser("scripts/notebook", __doc__)
    options.add_argument("--notebook", choices=NOTEBOOKS, default=EVALUATION.stem, help="default: %(default)s")
    options.add_argument("--no-browser", action="store_true", help="only say where JupyterLab is")
    chosen = options.parse_args(argv)
    return run(parameters(chosen), NOTEBOOKS[chosen.notebook], chosen.images, not chosen.no_browser, terminal)


def run(given: Parameters, notebook: Path, images: Path | None, browser: bool, terminal: Terminal) -> int:
    """Cluster, checks, a copy of the notebook, JupyterLab; whatever was started is gone afterwards."""
    second = notebook == ALTERNATIVES
    with ready(given, images, terminal, second) as (complete, settings, cluster):
        copy = write_copy(notebook, complete, settings.output)
        terminal.stage("starting JupyterLab")
        try:
            with jupyterlab(copy, browser) as (process, url, token):
                terminal.stage("JupyterLab is up, with a copy of the notebook; Ctrl-C ends it and all that it uses")
                print(f"{url}lab/tree/{copy.name}\nthe token that it asks for is in {token}", flush=True)
                return wait(process, settings)
        finally:
            if not settings.keep and is_up(settings):
                terminal.stage("removing what was deployed")
                remove_all(cluster, settings, beside=second)


def write_copy(notebook: Path, given: Parameters, folder: Path) -> Path:
    """What was given is in its parameters cell; notebooks/ itself stays as it is in git, without outputs."""

    def absolute(path: str) -> str:
        return str(Path(path).absolute()) if path else ""  # the kernel runs in the copy's folder

    chosen = replace(
        given,
        kubeconfig=absolute(given.kubeconfig),
        credentials=absolute(given.credentials),
        push_credentials=absolute(given.push_credentials),
    )
    content = read(notebook)
    for cell in content.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = parameters_cell(chosen)
    copy = folder / notebook.name
    nbformat.write(content, copy)  # type: ignore[no-untyped-call]
    return copy


@contextmanager
def jupyterlab(notebook: Path, browser: bool) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """A server on this machine's own address: its process, its URL, and the file with its token."""
    with tempfile.TemporaryDirectory(prefix="git-to-pod-") as name:
        folder = Path(name)  # 0700: the token is in its files, and neither in an argument nor in the log
        token, log = folder / "token", folder / "log"
        token.touch(0o600)
        token.write_text(secrets.token_hex(24))
        command = [sys.executable, "-m", "jupyterlab", str(notebook), "--ServerApp.ip=127.0.0.1"]
        command += [f"--LabApp.workspaces_dir={folder / 'workspaces'}"]  # no tabs of earlier sessions
        command += [] if browser else ["--no-browser"]
        command += ["--allow-root"] if os.geteuid() == 0 else []
        environment = {"JUPYTER_TOKEN": "", "JUPYTER_TOKEN_FILE": str(token), "JUPYTER_RUNTIME_DIR": str(folder)}
        environment |= {SESSION: "1", "PYTHONPATH": str(ROOT), "TMPDIR": name}  # kernels' credentials go with it
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=notebook.parent,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
                preexec_fn=end_with_parent,
            )
        try:
            yield process, url(process, folder), token
            if process.returncode:
                raise Failed(f"JupyterLab ended by itself (status {process.returncode}): {last_line(log)}")
        finally:
            end(process)


def url(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Where the server listens, as it says in a file of its own: it takes a port that is free."""
    said = folder / f"jpserver-{process.pid}.json"

    def known() -> bool:
        return process.poll() is not None or (said.exists() and said.stat().st_size > 0)

    wait_for("JupyterLab listens", known, START_S, partial(last_line, folder / "log"))
    if process.returncode is not None:
        raise Failed(f"JupyterLab did not start: {last_line(folder / 'log')}")
    return str(json.loads(said.read_text())["url"])


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def wait(process: subprocess.Popen[bytes], settings: Settings) -> int:
    """Until JupyterLab has ended; the lab's end is its end too."""
    while True:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if not is_up(settings):
                raise Failed("the lab has gone down, so JupyterLab was ended") from None


def is_up(settings: Settings) -> bool:
    return settings.lab is None or running_lab() == settings.lab


if __name__ == "__main__":
    sys.exit(main())
