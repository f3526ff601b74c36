"""R1 to R4: each checked on the running system, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from git_to_pod.app.app import App
from git_to_pod.cluster.api import ApiError, Unreachable
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.evaluation.claims import Check
from git_to_pod.git.errors import GitError
from git_to_pod.git.repository import git_limit_s, remote_commit
from git_to_pod.timing.trial import Outcome, Trial
from git_to_pod.timing.trials import Trials
from git_to_pod.wording import all_of, counted


def undisturbed(app: App, look: Callable[[App], Check]) -> Check:
    """R1 or R4. If someone else has pushed meanwhile, the answer is that of their commit."""
    check = look(app)
    return look(app) if not check.holds and others_pushed(app) else check


def first_change(app: App, trials: Trials) -> Trial:
    """The push that R2 and R3 are about. If someone else has pushed meanwhile, it is made once more."""
    change = trials.push()
    return trials.push() if change.outcome is not Outcome.OK and others_pushed(app) else change


def others_pushed(app: App) -> bool:
    """Whether someone else has pushed, and the app serves their commit. An error leaves the answer as it was."""
    with suppress(ApiError, GitError, TimedOut, Unreachable):
        return app.take_over()
    return False


def synchronised(app: App) -> Check:
    """R1: every pod serves the file as a checkout of the pushed commit gives it, byte for byte."""
    rows, whole, replicas = [], 0, app.settings.replicas
    for name, (commit, body) in app.answers().items():
        same = app.repository.contents.get(commit) == body
        whole += same and commit == app.head
        rows.append({"pod": name, "commit": commit, "file": "identical to the pushed one" if same else "differs"})
    serve = f"{whole} of {counted(replicas, 'pod')} {'serves' if whole == 1 else 'serve'}"
    evidence = f"{serve} the file of the last pushed commit, byte for byte."
    return Check(whole == len(rows) == replicas, evidence, rows)


def detected(change: Trial) -> Check:
    """R2: git-sync published a pushed commit, and the run did nothing but push it."""
    if "published" not in change.instants:
        return Check(False, f"git-sync did not publish commit {change.commit[:8]}: {change.in_words}.")
    polled = change.latency_s("pushed", "polled")
    poll = f"polled the git host after {polled:.2f} s and " if math.isfinite(polled) else ""
    published = f"published it after {change.instants['published'] - change.began:.2f} s"
    return Check(True, f"The run pushed commit {change.commit[:8]} and did nothing else. git-sync {poll}{published}.")


def restarted(change: Trial) -> Check:
    """R3: new pods replaced all pods after the commit was published."""
    new = [{"new pod": pod, "Ready after the push": f"{at - change.began:.2f} s"} for pod, at in change.pods.items()]
    if "restarted" not in change.instants:
        return Check(False, f"The rollout after commit {change.commit[:8]} did not complete: {change.in_words}.", new)
    old, seconds = sorted(change.old_pods), change.instants["restarted"] - change.began
    rollout = f"the rollout was complete {seconds:.2f} s after the push of {change.commit[:8]}"
    if not len(new) == len(old) > 0:
        evidence = f"Kubernetes replaced {counted(len(old), 'old pod')} by {counted(len(new), 'new pod')}; {rollout}."
        return Check(False, evidence, new)
    were = "The old pod was" if len(old) == 1 else "The old pods were"
    evidence = f"Kubernetes replaced {all_of(len(old), 'pod')}; {rollout}. {were} {', '.join(old)}."
    return Check(True, evidence, new)


def observable(app: App) -> Check:
    """R4: the git host, the ConfigMap and every pod name the same commit."""
    settings = app.settings
    git_commit = app.recorder.get("ConfigMap", "git-commit") or {"metadata": {}}
    pods = app.answers()
    remote = remote_commit(settings.reader, settings.reader_url, settings.ref, git_limit_s(settings))
    seen = {f"git host, branch {settings.ref}": remote}
    seen["ConfigMap git-commit, data.commit"] = git_commit.get("data", {}).get("commit", "none")
    seen |= {f"pod {pod}, header X-Git-Commit": commit for pod, (commit, _) in pods.items()}
    published = git_commit["metadata"].get("annotations", {}).get("git-to-pod/published", "an unknown time")
    agreed = len(set(seen.values())) == 1
    rows = [{"where": where, "commit": commit} for where, commit in seen.items()]
    if len(pods) != settings.replicas:
        return Check(False, f"The app has {counted(len(pods), 'pod')} instead of {settings.replicas}.", rows)
    if not agreed:
        return Check(False, "The git host, the ConfigMap and the pods do not name the same commit.", rows)
    evidence = "The git host, the ConfigMap and every pod name the same commit"
    return Check(True, f"{evidence}. git-sync published it at {published}.", rows)
