"""What scripts/evaluate and scripts/notebook share: options, signals, exit status, the cluster."""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from git_to_pod.cluster import ApiError, Cluster, TimedOut, Unreachable, connect
from git_to_pod.deploy import check_cluster
from git_to_pod.progress import Terminal
from git_to_pod.repository import GitError, open_repository
from git_to_pod.settings import (
    ROOT,
    InputError,
    Parameters,
    Settings,
    check_values,
    credentials_in_environment,
    resolve,
    running_lab,
)

EVALUATION = ROOT / "notebooks" / "evaluation.ipynb"
ALTERNATIVES = ROOT / "notebooks" / "alternatives.ipynb"
OF_A_REPOSITORY = ("push_url", "credentials", "push_credentials", "username", "push_username")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(RuntimeError):
    """What the command was to do came to an end of its own: one line says how."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP: everything that was started is ended on the way out."""

    def __init__(self, number: int) -> None:
        self.number = number


class Parser(argparse.ArgumentParser):
    """Bad usage is bad input like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def parser(prog: str, description: str | None) -> Parser:
    """One option for each parameter of the notebook, and the lab's images."""
    options = Parser(prog=prog, description=description)
    for f in fields(Parameters):
        name, text = f"--{f.name.replace('_', '-')}", f.metadata["help"]
        if isinstance(f.default, bool):
            options.add_argument(name, action="store_true", help=text)
        else:
            shown = f"{text} (default: {f.default})" if f.default else text
            kind = type(f.default)
            options.add_argument(name, type=kind, default=f.default, help=shown, metavar=kind.__name__.upper())
    options.add_argument("--images", type=Path, metavar="DIR", help="folder with image archives for the embedded lab")
    return options


def parameters(options: argparse.Namespace) -> Parameters:
    return Parameters(**{f.name: getattr(options, f.name) for f in fields(Parameters)})


def exit_status(work: Callable[[Terminal], int]) -> int:
    """What the work returns; 1 it failed, 2 bad input, 128 + n ended by signal n."""
    terminal = Terminal()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # which is how nohup is meant
            signal.signal(number, interrupt)
    try:
        return work(terminal)
    except InputError as error:
        return terminal.error(error, 2)
    except (Failed, ApiError, Unreachable, TimedOut, GitError) as error:
        return terminal.error(error, 1)
    except Interrupted as interrupted:
        terminal.stage(f"ended by {signal.Signals(interrupted.number).name}: everything that was started is removed")
        return 128 + interrupted.number


def interrupt(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:  # the clean-up is bounded: a second Ctrl-C must not break it off
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


@contextmanager
def ready(
    given: Parameters, images: Path | None, terminal: Terminal, full: bool
) -> Iterator[tuple[Parameters, Settings, Cluster]]:
    """The cluster is up, and all that the user gave was tried: what is wrong is said before anything is deployed.

    `full`: what the second notebook needs is there too.
    """
    check_values(given)  # before anything is started for it
    if images and (given.context or not images.is_dir()):
        raise InputError(f"--images {images}: expected a folder, for the embedded lab only (without --context)")
    if full and given.context:
        raise InputError(
            f"--context {given.context}: the second notebook breaks and counts things in the embedded lab only"
        )
    with cluster_for(given, images, terminal, full), git_host_for(given, terminal) as given:
        settings = resolve(given)
        terminal.stage("checking the cluster and the repository")
        cluster = connect(settings)
        check_cluster(cluster, settings)
        open_repository(settings).close()
        make_folder(settings.output)
        yield replace(given, output=str(settings.output)), settings, cluster


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
    elif found := running_lab():
        if images or (full and not found.simulated_nodes):
            what = f"--images {images}" if images else "the second notebook"
            raise InputError(f"{what}: the lab that is up was started otherwise; end it first (scripts/lab down)")
        terminal.stage("using the lab that is up")
        yield
    else:
        import lab  # only here: with a cluster of their own nobody needs what the lab needs

        terminal.stage("starting the lab: one Kubernetes node and a git host")
        try:
            with lab.running(images, terminal.stage, extras=full):
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

    named = [f"--{name.replace('_', '-')}" for name in OF_A_REPOSITORY if getattr(given, name)]
    if named := [*named, *credentials_in_environment()]:
        raise InputError(f"{named[0]} without --repository: name the repository that it is for")
    terminal.stage("no --repository: deploying a private git host to the cluster, for this run only")
    with git_host(given) as complete:
        yield complete
        terminal.stage("removing the git host" if not given.keep else "the git host stays too: its namespace is kept")
