"""What scripts/evaluate and scripts/notebook share: options, signals, exit status, cluster and git host."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import urllib3

from git_to_pod import watchdog
from git_to_pod.app.deployment import check_cluster
from git_to_pod.app.namespace import BESIDE, REPLACE, remove_all
from git_to_pod.cli.terminal import Terminal
from git_to_pod.cluster.api import ApiError, Cluster, Unreachable, connect
from git_to_pod.cluster.recorder import WatchEnded
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments.alternatives.flux import remove_definitions
from git_to_pod.git.errors import GitError
from git_to_pod.git.repository import open_repository
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

if TYPE_CHECKING:
    from lab import Lab

EVALUATION = ROOT / "notebooks" / "evaluation.ipynb"
ALTERNATIVES = ROOT / "notebooks" / "alternatives.ipynb"
OF_A_REPOSITORY = ("push_url", "credentials", "push_credentials", "username", "push_username")
PATHS = ("kubeconfig", "credentials", "push_credentials", "output")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(RuntimeError):
    """The command failed. The message is one line."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived. It unwinds the stack, so that everything is cleaned up."""

    def __init__(self, number: int) -> None:
        self.number = number


class Parser(argparse.ArgumentParser):
    """Reports a usage error as InputError: one line, like any other invalid input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def parser(prog: str, description: str | None) -> Parser:
    """One option for each parameter of the notebook, and --images."""
    options = Parser(prog=prog, description=description)
    for f in fields(Parameters):
        name, text = f"--{f.name.replace('_', '-')}", f.metadata["help"]
        if isinstance(f.default, bool):
            options.add_argument(name, action="store_true", help=text)
        else:
            shown = f"{text} (default: {f.default})" if f.default else text
            kind = type(f.default)
            options.add_argument(name, type=kind, default=f.default, help=shown, metavar=kind.__name__.upper())
    images = "folder with image archives for the embedded lab, as scripts/images save makes it"
    options.add_argument("--images", type=Path, metavar="DIR", help=images)
    replaced = "delete the namespace of another run, or one that --keep kept, if it has the same name"
    options.add_argument("--replace", action="store_true", help=replaced)
    return options


def parameters(options: argparse.Namespace) -> Parameters:
    """The parameters on the command line. What the notebook's kernel needs of the environment is set here, too."""
    if options.replace:
        os.environ[REPLACE] = "1"
    if kubeconfig := os.environ.get("KUBECONFIG"):
        os.environ["KUBECONFIG"] = os.pathsep.join(map(absolute, kubeconfig.split(os.pathsep)))
    given = {f.name: getattr(options, f.name) for f in fields(Parameters)}
    return Parameters(**given | {name: absolute(given[name]) for name in PATHS})


def absolute(path: str) -> str:
    """The path for a process that runs in another folder, as the notebook's kernel does. An empty one stays empty."""
    return str(Path(path).absolute()) if path else ""


def exit_status(work: Callable[[Terminal], int]) -> int:
    """Run the work. Return its status, or 1 if it failed, 2 for invalid input, 128 + n after signal n."""
    terminal = Terminal()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, interrupt)
    try:
        try:
            return work(terminal)
        except InputError as error:
            return terminal.error(error, 2)
        except (Failed, ApiError, Unreachable, TimedOut, GitError, WatchEnded) as error:
            return terminal.error(error, 1)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return terminal.error(Failed(f"{error.filename or tempfile.gettempdir()}: {error.strerror}"), 1)
        finally:
            ignore_signals()  # the rest is short
    except Interrupted as interrupted:
        rest = f"the clean-up goes on in the background: {', '.join(left)}" if (left := watchdog.guarded()) else ""
        terminal.stage(f"stopped by {signal.Signals(interrupted.number).name}; {rest or 'clean-up is complete'}")
        return 128 + interrupted.number
    finally:
        watchdog.end()


def interrupt(number: int, _frame: FrameType | None) -> None:
    ignore_signals()  # a second Ctrl-C must not abort the clean-up, which is bounded
    raise Interrupted(number)


def ignore_signals() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def ready(
    given: Parameters, images: Path | None, terminal: Terminal, full: bool
) -> Iterator[tuple[Parameters, Settings, Cluster]]:
    """Provide the cluster, and check every parameter against it and the repository before anything is deployed.

    Yields the completed parameters, their Settings and the cluster. `full`: the lab has what the second notebook needs.
    Raises InputError.
    """
    check_values(given)  # before anything is started
    if images and given.context:
        raise InputError(f"--images {images}: only the embedded lab loads archives; omit --images or --context")
    if images and not images.is_dir():
        raise InputError(f"--images {images}: expected a folder with image archives; make one with scripts/images save")
    if full and given.context:
        raise InputError(
            f"--context {given.context}: the second notebook runs only in the embedded lab; omit --context"
        )
    with cluster_for(given, images, terminal, full), git_host_for(given, terminal) as given:
        settings = resolve(given)
        terminal.stage("checking the cluster and the repository")
        cluster = connect(settings)
        check_cluster(cluster, settings)
        open_repository(settings).close()
        make_folder(settings.output)
        guard(cluster, settings, full)
        yield replace(given, output=str(settings.output)), settings, cluster


def guard(cluster: Cluster, settings: Settings, full: bool) -> None:
    """Have the watchdog remove what the notebooks create, if this process ends before it does so itself."""
    watchdog.log_to(settings.output)
    if not settings.keep:
        for namespace in (settings.namespace, *(f"{settings.namespace}-{end}" for end in BESIDE if full)):
            watchdog.guard_namespace(cluster, namespace, lab=settings.lab is not None)


def remove_everything(cluster: Cluster, settings: Settings, second: bool) -> None:
    """Remove what the notebooks created. What cannot be removed is reported on stderr."""
    if second:
        with suppress(ApiError, Unreachable):  # the watchdog tries again
            remove_definitions(cluster)  # first: the finalizers of their objects would hold the namespaces
    remove_all(cluster, settings, beside=second)


def make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error.strerror}); choose another folder") from None


@contextmanager
def cluster_for(given: Parameters, images: Path | None, terminal: Terminal, full: bool) -> Iterator[None]:
    """Use the cluster of --context or the running lab, or start a lab that stops at the end of the block."""
    if given.context:
        yield
    elif found := running_lab():
        if images:
            raise InputError(f"--images {images}: the running lab has its own images; stop it first (scripts/lab down)")
        if full and not found.simulated_nodes:
            raise InputError("the running lab lacks Gitea and KWOK for the second notebook; stop it (scripts/lab down)")
        terminal.stage("using the running lab")
        restore_lab(found)
        yield
    else:
        import lab  # only here: a run with --context needs none of the lab's dependencies

        terminal.stage("starting the lab: one Kubernetes node and a git host")
        try:
            with lab.running(images, terminal.stage, extras=full):
                yield
                terminal.stage("stopping the lab")
        except lab.LabError as error:
            raise InputError(str(error)) from None
        finally:
            watchdog.forget_namespaces()  # they ended with the lab


def restore_lab(lab: Lab) -> None:
    """Undo the faults of an earlier run that was killed. Raises InputError."""
    from git_to_pod.experiments.faults.undo_after_kill import restore
    from lab import LabError

    try:
        restore(lab)
        Cluster(lab.context, Path(lab.kubeconfig)).wait_ready()
    except (LabError, OSError, TimedOut, urllib3.exceptions.HTTPError) as error:
        raise InputError(f"the running lab is not healthy ({error}); stop it (scripts/lab down)") from None


@contextmanager
def git_host_for(given: Parameters, terminal: Terminal) -> Iterator[Parameters]:
    """Use --repository or the lab's; with --context alone, deploy a git host for the length of the block."""
    if given.repository or not given.context:
        yield given
        return
    from git_to_pod.app.temporary_git_host import (
        git_host,  # only here: a run with --repository needs none of its dependencies
    )

    named = [f"--{name.replace('_', '-')}" for name in OF_A_REPOSITORY if getattr(given, name)]
    if named := [*named, *credentials_in_environment()]:
        raise InputError(f"{named[0]} without --repository: add the URL of the repository that it belongs to")
    terminal.stage("no --repository: deploying a temporary private git host to the cluster")
    with git_host(given) as complete:
        yield complete
        terminal.stage("removing the git host" if not given.keep else "keeping the namespace of the git host (--keep)")
