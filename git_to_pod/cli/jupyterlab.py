"""Open a notebook of this project in JupyterLab, with a cluster to run it on. Both end together."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nbformat

from git_to_pod import watchdog
from git_to_pod.app.namespace import SESSION
from git_to_pod.cli.children import end
from git_to_pod.cli.session import (
    ALTERNATIVES,
    EVALUATION,
    Failed,
    exit_status,
    parameters,
    parser,
    ready,
    remove_everything,
)
from git_to_pod.cli.terminal import Terminal
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.programs import end_with_parent
from git_to_pod.report.export import read
from git_to_pod.settings import ROOT, Parameters, Settings, parameters_cell, running_lab

NOTEBOOKS = {path.stem: path for path in (EVALUATION, ALTERNATIVES)}
START_S = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 after JupyterLab's shutdown, 1 if it or the lab died, 2 for invalid input, 128 + n after signal n."""
    return exit_status(partial(start, argv))


def start(argv: Sequence[str] | None, terminal: Terminal) -> int:
    options = parser("scripts/notebook", __doc__)
    which = "notebook to open (default: %(default)s)"
    options.add_argument("--notebook", choices=NOTEBOOKS, default=EVALUATION.stem, help=which)
    options.add_argument("--no-browser", action="store_true", help="print JupyterLab's URL, and open no browser")
    chosen = options.parse_args(argv)
    return run(parameters(chosen), NOTEBOOKS[chosen.notebook], chosen.images, not chosen.no_browser, terminal)


def run(given: Parameters, notebook: Path, images: Path | None, browser: bool, terminal: Terminal) -> int:
    """Provide the cluster, copy the notebook, run JupyterLab until it ends, and clean up. Returns the exit status."""
    second = notebook == ALTERNATIVES
    with ready(given, images, terminal, second) as (complete, settings, cluster):
        copy = write_copy(notebook, complete, settings.output)
        terminal.stage("starting JupyterLab")
        try:
            with jupyterlab(copy, browser) as (process, url, token):
                terminal.stage("JupyterLab is running; Ctrl-C stops it and removes the deployment")
                print(f"{url}lab/tree/{copy.name}\ntoken file: {token}", flush=True)
                return wait(process, settings)
        finally:
            if not settings.keep and is_up(settings):
                terminal.stage("removing the deployment")
                remove_everything(cluster, settings, second)
            elif not settings.keep:
                watchdog.forget_namespaces()  # they ended with the lab


def write_copy(notebook: Path, given: Parameters, folder: Path) -> Path:
    """Copy the notebook to the folder, with these parameters in its parameters cell. notebooks/ does not change."""
    content = read(notebook)
    for cell in content.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = parameters_cell(given)
    copy = folder / notebook.name
    nbformat.write(content, copy)
    return copy


@contextmanager
def jupyterlab(notebook: Path, browser: bool) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """Run a server on 127.0.0.1. Yields its process, its URL and the file with its token. Raises Failed."""
    with watchdog.temporary_folder() as folder:  # the token is in its files only, in no argument and in no log
        token, log = folder / "token", folder / "log"
        token.touch(0o600)
        token.write_text(secrets.token_hex(24))
        command = [sys.executable, "-m", "jupyterlab", str(notebook), "--ServerApp.ip=127.0.0.1"]
        command += [f"--LabApp.workspaces_dir={folder / 'workspaces'}"]  # no tabs from earlier sessions
        command += [] if browser else ["--no-browser"]
        command += ["--allow-root"] if os.geteuid() == 0 else []
        environment = {"JUPYTER_TOKEN": "", "JUPYTER_TOKEN_FILE": str(token), "JUPYTER_RUNTIME_DIR": str(folder)}
        environment |= {SESSION: "1", "PYTHONPATH": str(ROOT)}
        environment["TMPDIR"] = str(folder)  # its credentials go with the folder
        environment |= {watchdog.RUN: watchdog.run_id()}  # this process's watchdog removes what the kernels create
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=notebook.parent,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C reaches this process, which ends the child
                preexec_fn=end_with_parent(),
            )
        try:
            yield process, url(process, folder), token
            if process.returncode:
                raise Failed(f"JupyterLab exited with status {process.returncode}: {last_line(log)}")
        finally:
            end(process)


def url(process: subprocess.Popen[bytes], folder: Path) -> str:
    """The server's URL, from the file that it writes once it has found a free port. Raises Failed or TimedOut."""
    message = folder / f"jpserver-{process.pid}.json"

    def known() -> bool:
        return process.poll() is not None or (message.exists() and message.stat().st_size > 0)

    wait_for("JupyterLab listening", known, START_S, partial(last_line, folder / "log"))
    if process.returncode is not None:
        raise Failed(f"JupyterLab did not start: {last_line(folder / 'log')}")
    return str(json.loads(message.read_text())["url"])


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"


def wait(process: subprocess.Popen[bytes], settings: Settings) -> int:
    """Wait for JupyterLab's end, and return its exit status. Raises Failed when the lab ends first."""
    while True:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if not is_up(settings):
                raise Failed("the lab ended, so JupyterLab was stopped") from None


def is_up(settings: Settings) -> bool:
    """Whether the cluster is one of the user's own, or the lab that the run began with still runs."""
    return settings.lab is None or running_lab() == settings.lab


if __name__ == "__main__":
    sys.exit(main())
