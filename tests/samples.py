"""Scripted runs: what the API server, the git host and the load would have told."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from git_to_pod.app.load import RATE, Response
from git_to_pod.cluster.recorder import Event
from git_to_pod.evaluation.claims import CONSTRAINTS, REQUIREMENTS, Check
from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.settings import Credentials, Settings
from git_to_pod.timing.trial import BASELINE, PHASES, PUSH, RESTART, Outcome, Trial
from git_to_pod.timing.trials import plan

SETTINGS = Settings(
    context="test",
    kubeconfig=None,
    namespace="git-to-pod",
    repository="https://git.example.test/content.git",
    push_url="https://git.example.test/content.git",
    reader=Credentials("reader", "secret-of-the-reader"),
    writer=Credentials("writer", "secret-of-the-writer"),
    ref="main",
    period="1s",
    replicas=2,
    commits=20,
    seed=1,
    timeout_s=60.0,
    output=Path("/nonexistent"),
    keep=False,
    lab=None,
)


def deployment(
    instant: float, stamp: str, *, replicas: int = 2, updated: int = 0, total: int = 0, ready: int = 0
) -> Event:
    """Deployment app with this template stamp, and these counts."""
    status = {"observedGeneration": 1, "replicas": total, "updatedReplicas": updated}
    status |= {"readyReplicas": ready, "availableReplicas": ready}
    spec = {"replicas": replicas, "template": {"stamp": stamp}}
    return Event(
        instant,
        "Deployment",
        "MODIFIED",
        {"metadata": {"name": "app", "generation": 1}, "spec": spec, "status": status},
    )


def pod(
    instant: float, name: str, *, running: tuple[str, ...] = (), ready: bool = False, leaving: bool = False
) -> Event:
    """A pod of app, on a node."""
    metadata: dict[str, Any] = {"name": name, "labels": {"app": "app"}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": container, "state": {"running": {}}} for container in running],
    }
    return Event(instant, "Pod", "MODIFIED", {"metadata": metadata, "spec": {"nodeName": "node"}, "status": status})


def published(instant: float, commit: str) -> Event:
    return Event(instant, "ConfigMap", "MODIFIED", {"metadata": {"name": "git-commit"}, "data": {"commit": commit}})


def a_run(folder: Path, commits: int = 20, seed: int = 7, stand_in: bool = False) -> Evaluation:
    """A run in which everything holds, with made-up figures."""
    chance = random.Random(seed)
    evaluation = Evaluation(replace(SETTINGS, output=folder, commits=commits))
    evaluation.kubernetes = {"version": "v1.37.2", "nodes": "1", "cpus": "2", "container_runtime": "containerd://2.4.2"}
    source = "stand-in" if stand_in else "archive"
    evaluation.images = [
        {"ref": "registry.k8s.io/git-sync/git-sync:v4.7.1", "source": source, "digest": "sha256:" + "a" * 64},
        {"ref": "ghcr.io/stakater/reloader:v1.4.21", "source": source, "digest": "sha256:" + "b" * 64},
        {"ref": "docker.io/library/nginx:1.30.0", "source": "built", "digest": "sha256:" + "c" * 64},
    ]
    evaluation.requirements = {name: Check(True, f"{text}: seen.") for name, text in REQUIREMENTS.items()}
    evaluation.constraints = {name: Check(True, f"{text}: tried.") for name, text in CONSTRAINTS.items()}
    now, trials, commit, responses = 1000.0, [], "0" * 40, []
    for planned in plan(commits, 1, 1.0):
        kind, own = planned.kind, ""
        began, now = now, now + planned.offset_s
        steps = {"pushed": 0.0}
        if kind == PUSH:
            own = f"{chance.getrandbits(160):040x}"
            steps["polled"] = chance.uniform(0, 1)
            steps["published"] = steps["polled"] + chance.gauss(0.07, 0.01)
            steps["requested"] = steps["published"] + chance.gauss(0.02, 0.003)
        else:
            steps = {"requested": 0.0}
        length = chance.gauss(0.75 if kind == BASELINE else 1.05, 0.05)
        shares = {"scheduled": 0.06, "git_sync_running": 0.7, "app_running": 0.75, "ready": 0.9, "restarted": 1.0}
        steps |= {phase: steps["requested"] + length * share for phase, share in shares.items()}
        if kind == BASELINE:
            del steps["git_sync_running"]
        if kind == PUSH:
            steps["served"] = steps["ready"] + 0.01
        instants = {phase: now + step for phase, step in steps.items()}
        trial = Trial(planned.number, kind, planned.offset_s, own, instants=instants, rollouts=1)
        trials.append(replace(trial, pods={"app-x": instants["ready"]}))
        end = instants["restarted"] + 0.05
        switch = instants.get("ready", math.inf)
        for i in range(int((end - began) * RATE)):
            instant = began + i / RATE
            mixing = abs(instant - switch) < 0.06 and chance.random() < 0.5
            new = kind == PUSH and (instant >= switch) != mixing
            responses.append(Response(instant, 200, own if new else commit, ""))
        commit, now = own or commit, end
    evaluation.measured(trials, responses)
    evaluation.cost = {
        "git-poller/git-sync": {"cpu_cores": 0.031, "cpu_seconds": 3.4, "memory_bytes": 21 * 2**20},
        "reloader/reloader": {"cpu_cores": 0.004, "cpu_seconds": 0.6, "memory_bytes": 24 * 2**20},
        "app/git-sync": {"cpu_cores": None, "cpu_seconds": 0.09, "memory_bytes": 12 * 2**20},
        "app/nginx": {"cpu_cores": None, "cpu_seconds": 0.03, "memory_bytes": 4 * 2**20},
    }
    return evaluation


def timed_out(trial: Trial, phase: str) -> Trial:
    """The trial as if it had not reached this phase. Clients may still have seen its commit."""
    late = PHASES[PHASES.index(phase) :]
    instants = {name: at for name, at in trial.instants.items() if name not in late}
    return replace(trial, instants=instants, outcome=Outcome.TIMED_OUT, reason=phase)


def refused(trial: Trial) -> Trial:
    """The trial as if git had refused its push."""
    return replace(trial, instants={}, outcome=Outcome.FAILED, reason="git push")


__all__ = ["BASELINE", "PUSH", "RESTART", "SETTINGS", "a_run", "deployment", "pod", "published", "refused", "timed_out"]
