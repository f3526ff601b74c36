"""The size of the content: how long a commit takes to all pods, what the git host sends, whether git-sync survives."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from git_to_pod.app.app import App
from git_to_pod.cluster.status import container_statuses
from git_to_pod.experiments.effort import effort
from git_to_pod.experiments.scale.polling import traffic
from git_to_pod.progress import Progress
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.trial import PUSH, Planned, latencies_s
from git_to_pod.timing.trials import PUSHES, Trials
from git_to_pod.wording import counted
from lab import client

FOLDER = "content-sizes"  # in the clone
PATIENCE_S = 300.0  # for one commit
MB = 10**6


@dataclass(frozen=True)
class SizeResult:
    """Commits of one size, as `files` files of random bytes. The git host serves the poller and every pod."""

    megabytes: int
    files: int
    pushed_to_restarted_s: Estimate
    samples_s: list[float]
    sent_bytes: int  # by the git host, for the last of the commits
    git_sync_restarts: int  # of containers, as after the kernel has killed one for its memory
    replicas: int


def run_sizes(app: App, progress: Progress) -> list[SizeResult]:
    """Push new content of each size several times, the smallest size first. The content is removed at the end."""
    patient = replace(app.settings, timeout_s=max(PATIENCE_S, app.settings.timeout_s))
    git, clone, found = app.repository.account.git, app.repository.clone, list[SizeResult]()
    app.repository.expect_random_files()
    try:
        for number, (megabytes, files) in enumerate(effort().sizes):
            text = (
                f"{counted(effort().pushes_per_size, 'push', 'pushes')} of {megabytes} MB in {counted(files, 'file')}"
            )
            progress.bar(number, len(effort().sizes), text)
            trials = Trials(app.cluster, app.recorder, app.repository, patient, progress)
            trials.csv = patient.output / PUSHES / f"size-{megabytes}-MB-{files}.csv"
            found.append(measure(app, trials, megabytes, files))
    finally:
        git("rm", "-r", "--quiet", "--ignore-unmatch", FOLDER, folder=clone)
        app.push("without the content of the experiment")
        app.wait_normal(patient.timeout_s)
    progress.bar(len(effort().sizes), len(effort().sizes), "content sizes measured")
    return found


def measure(app: App, trials: Trials, megabytes: int, files: int) -> SizeResult:
    """Push as often as the effort says. After a timeout, the size is not tried again."""
    sent, lab = 0, client.find()
    for push in range(1, effort().pushes_per_size + 1):
        write(app, megabytes, files)
        before = traffic(lab)[1]
        trial = trials.push(Planned(push, PUSH))
        sent = traffic(lab)[1] - before
        if "restarted" not in trial.instants:
            break
    samples = latencies_s(trials.done, "pushed", "restarted")
    restarts = sum(
        int(status["restartCount"])
        for name in ("git-poller", "app")
        for pod in app.pods(name)
        for status in container_statuses(pod)
        if status["name"] == "git-sync"
    )
    return SizeResult(megabytes, files, estimate(samples), samples, sent, restarts, app.settings.replicas)


def write(app: App, megabytes: int, files: int) -> None:
    """Replace the content in the clone, and stage it for the next commit."""
    folder = app.repository.clone / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}.bin").write_bytes(os.urandom(megabytes * MB // files))
    app.repository.account.git("add", "--all", FOLDER, folder=app.repository.clone)
