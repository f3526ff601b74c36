"""The whole evaluation with one command: cluster, notebook, report."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from git_to_pod import export
from git_to_pod.cluster import ApiError, TimedOut, Unreachable, connect
from git_to_pod.deploy import check_cluster, namespaces_beside, remove
from git_to_pod.findings import Findings, write_json
from git_to_pod.process import end_with_parent
from git_to_pod.progress import PIPE, Terminal
from git_to_pod.repository import GitError, open_repository
from git_to_pod.rights import check_administrator
from git_to_pod.settings import ROOT, InputError, Parameters, Settings, check_values, resolve, running_lab

NOTEBOOK = ROOT / "notebooks" / "evaluation.ipynb"
EVIDENCE = ROOT / "notebooks" / "alternatives.ipynb"


class Interrupted(BaseException):
    """SIGINT or SIGTERM: everything that was started is ended on the way out."""

    def __init__(self, number: int) -> None:
        self.number = number


class Parser(argparse.ArgumentParser):
    """Bad usage is bad input like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see scripts/evaluate --help")


def parser() -> argparse.ArgumentParser:
    """One option for each parameter of the notebook, and the lab's images."""
    options = Parser(prog="scripts/evaluate", description=__doc__)
    for f in fields(Parameters):
        name, text = f"--{f.name.replace('_', '-')}", f.metadata["help"]
        if isinstance(f.default, bool):
            options.add_argument(name, action="store_true", help=text)
        else:
            shown = f"{text} (default: {f.default})" if f.default else text
            kind = type(f.default)
            options.add_argument(name, type=kind, default=f.default, help=shown, metavar=kind.__name__.upper())
    options.add_argument("--full", action="store_true", help="the second notebook too: faults, rivals, cost, scale")
    options.add_argument("--images", type=Path, metavar="DIR", help="folder with image archives for the embedded lab")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 holds, 1 does not, 2 bad input, 128 + n ended by signal n."""
    terminal = Terminal()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        given = vars(parser().parse_args(argv))
        images, full = given.pop("images"), given.pop("full")
        return run(Parameters(**given), images, terminal, full)
    except InputError as error:
        terminal.close_bar()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ApiError, Unreachable, TimedOut, GitError) as error:
        terminal.close_bar()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        terminal.stage(f"ended by {signal.Signals(interrupted.number).name}: everything that was started is removed")
        return 128 + interrupted.number


def interrupt(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):  # the clean-up is bounded: a second Ctrl-C must not break it off
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def run(given: Parameters, images: Path | None, terminal: Terminal, full: bool = False) -> int:
    """Cluster, checks, notebook, report; whatever was started is gone afterwards."""
    check_values(given)  # before anything is started for it
    if images and (given.context or not images.is_dir()):
        raise InputError(f"--images {images}: expected a folder, for the embedded lab only (without --context)")
    with cluster_for(given, images, terminal, full), git_host_for(given, terminal) as given:
        settings = resolve(given)
        terminal.stage("checking the cluster and the repository")
        cluster = connect(settings)
        check_cluster(cluster, settings)
        if full:
            check_administrator(cluster)
        open_repository(settings).close()
        make_folder(settings.output)
        try:
            given = replace(given, output=str(settings.output))
            summary = evaluate(given, settings, terminal)
            if full:
                summary = gather_evidence(given, settings, terminal)
        finally:
            if not settings.keep:
                remove(cluster, settings.namespace, settings.timeout_s)
                for namespace in namespaces_beside(cluster, settings.namespace) if full else ():
                    remove(cluster, namespace, settings.timeout_s)
    terminal.stage(f"done\n\n{summary['answer']}\n")
    for path in map(settings.output.joinpath, ("evaluation.html", "alternatives.html", "summary.json", "trials.csv")):
        if path.exists():
            print(path)
    return 0 if summary["holds"] and not summary.get("full_error") else 1


def make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written to ({error.strerror}); name another folder") from None


@contextmanager
def cluster_for(given: Parameters, images: Path | None, terminal: Terminal, full: bool) -> Iterator[None]:
    """The cluster that was named, the lab that is up, or a lab for this run."""
    if given.context:
        yield
    elif running_lab():
        terminal.stage("using the lab that is up")
        yield
    else:
        import lab  # only here: with a cluster of their own nobody needs what the lab needs

        terminal.stage("starting the lab: one Kubernetes node and a git host")
        try:
            with lab.running(images, terminal.stage, gitea=full):
                yield
                terminal.stage("stopping the lab")
        except lab.LabError as error:
            raise InputError(str(error)) from None


@contextmanager
def git_host_for(given: Parameters, terminal: Terminal) -> Iterator[Parameters]:
    """The repository that was named, or the lab's; on a cluster of the user's own without one, a git host in there."""
    if given.repository or not given.context:
        yield given
        return
    from git_to_pod.cluster_git import git_host  # only here: with a repository nobody needs what it needs

    named = [name for name in ("push_url", "credentials", "push_credentials") if getattr(given, name)]
    if named:
        raise InputError(f"--{named[0].replace('_', '-')} without --repository: name the repository that it is for")
    terminal.stage("no --repository: deploying a private git host to the cluster, for this run only")
    with git_host(given) as complete:
        yield complete
        terminal.stage("removing the git host" if not given.keep else "the git host stays too: its namespace is kept")


def evaluate(given: Parameters, settings: Settings, terminal: Terminal) -> dict[str, Any]:
    """Run the notebook and write the page; the summary."""
    started = time.monotonic()
    executed = settings.output / "evaluation.ipynb"
    said = run_notebook(given, NOTEBOOK, executed, terminal)
    summary = complete_summary(settings, executed, said)
    terminal.stage("writing the report")
    if executed.exists():
        export.export(executed)
    summary["timings_s"]["evaluation"] = round(time.monotonic() - started, 1)
    write_json(settings.output / "summary.json", summary)
    point_latest_at(settings.output)
    return summary


def gather_evidence(given: Parameters, settings: Settings, terminal: Terminal) -> dict[str, Any]:
    """Run the second notebook and write its page; the summary, which then holds its rows too."""
    started = time.monotonic()
    executed = settings.output / "alternatives.ipynb"
    said = run_notebook(given, EVIDENCE, executed, terminal)
    terminal.stage("writing the second report")
    if executed.exists():
        export.export(executed)
    summary: dict[str, Any] = json.loads((settings.output / "summary.json").read_text())
    if said:
        summary["full_error"] = (export.last_error(executed) if executed.exists() else "") or said.splitlines()[-1]
        terminal.stage(f"the second notebook broke off: {summary['full_error']}")
    summary["timings_s"]["full"] = round(time.monotonic() - started, 1)
    write_json(settings.output / "summary.json", summary)
    return summary


def run_notebook(given: Parameters, notebook: Path, executed: Path, terminal: Terminal) -> str:
    """papermill in a process of its own, so that a signal ends it and its kernel; its last words if it failed."""
    with tempfile.TemporaryDirectory(prefix="git-to-pod-") as folder, (Path(folder) / "log").open("w+") as log:
        pipe = Path(folder) / "progress"
        os.mkfifo(pipe)
        command = [sys.executable, "-m", "papermill", str(notebook), str(executed), "--no-progress-bar"]
        command += ["--no-log-output", "--parameters_yaml", json.dumps(asdict(given))]
        with os.fdopen(os.open(pipe, os.O_RDWR)) as told:  # both ways, so that neither side waits for the other
            reader = threading.Thread(target=terminal.read, args=(told,), daemon=True)
            reader.start()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {PIPE: str(pipe)},
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
                preexec_fn=end_with_parent,
            )
            try:
                failed = process.wait() != 0
            finally:
                end(process)
                pipe.write_text("\n")  # an empty line ends the reading
                reader.join(5)
        log.seek(0)
        return log.read()[-2000:] if failed else ""


def end(process: subprocess.Popen[bytes]) -> None:
    """papermill ends its kernel when it is asked to; it gets ten seconds for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def complete_summary(settings: Settings, executed: Path, said: str) -> dict[str, Any]:
    """What the notebook wrote; where it could not say itself how it ended, that is said here."""
    path = settings.output / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.exists() else Findings(settings).summary()
    if said and (summary["holds"] or not path.exists()):
        why = (export.last_error(executed) if executed.exists() else "") or said.strip().splitlines()[-1]
        summary |= {"answer": f"no: the run broke off: {why}", "holds": False}
        if executed.exists():
            export.replace_answer(executed, f'<p class="headline">{escape(summary["answer"])}</p>')
    return summary


def point_latest_at(folder: Path) -> None:
    """reports/latest, where the run went into reports/."""
    if folder.parent == ROOT / "reports":
        latest = folder.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)


if __name__ == "__main__":
    sys.exit(main())
