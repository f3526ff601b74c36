"""The second page filled with made-up rows, so that it can be looked at without the time that a run takes."""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from IPython.display import HTML
from nbformat import NotebookNode

from git_to_pod.experiments import api_outages, recommendation, startup_orders
from git_to_pod.experiments.alternatives import approaches, comparison
from git_to_pod.experiments.alternatives.candidate import Approach
from git_to_pod.experiments.alternatives.starts import StartResult
from git_to_pod.experiments.api_outages import Outcome
from git_to_pod.experiments.content_sizes import SizeResult
from git_to_pod.experiments.effort import EXPERIMENTS, FULL
from git_to_pod.experiments.faults import experiment
from git_to_pod.experiments.faults.catalogue import FAULTS
from git_to_pod.experiments.git_hosts import matrix
from git_to_pod.experiments.gitops import OwnedResult
from git_to_pod.experiments.poll_intervals import IntervalResult
from git_to_pod.experiments.results import ExperimentResults
from git_to_pod.experiments.scale.fan_out import SIMULATED, Fan
from git_to_pod.experiments.scale.polling import Poll, Restart, Scale
from git_to_pod.progress import Progress
from git_to_pod.report import export, tables
from git_to_pod.report.second_page import recommendation_html
from git_to_pod.timing.medians import estimate
from tests.one_run import ROOT
from tests.samples import SETTINGS

NOTEBOOK = ROOT / "notebooks" / "alternatives.ipynb"
CHANCE = random.Random(1)
STALE, LATE = Outcome(9.0, True, math.nan), Outcome(9.0, False, math.inf)


def around(value: float, n: int = 8) -> list[float]:
    return [CHANCE.gauss(value, 0.07 * value) for _ in range(n)]


def way(approach: Approach, restarted_s: float, **changed: Any) -> comparison.CandidateResult:  # noqa: ANN401
    key, name = approach.key, approach.name
    samples = [] if math.isnan(restarted_s) else around(restarted_s)
    row = comparison.CandidateResult(
        key=key,
        name=name,
        polled_to_restarted_s=estimate(samples),
        polled_to_served_s=estimate(samples),
        polled_to_requested_s=estimate(around(0.1)),
        requested_to_restarted_s=estimate(samples),
        samples_s=samples,
        repeated_s=[],
        requested_samples_s=samples,
        pushes=18,
        changed_before_restart=0,
        requests={"sent": 3120, "failed": 0},
        rollouts_per_burst={"2": 6, "6": 5},
        regressions={"2": 0, "6": 0},
        recovers_missed_change=True,
        undo_restores_content=False,
        mixed_commit_s=estimate(around(0.2)),
        content_limit_bytes=None,
        objects={"ConfigMap": 3, "Deployment": 3, "Role": 2, "RoleBinding": 2, "ServiceAccount": 3},
        rights=["git-poller: patch configmaps git-commit", "reloader: get, list, watch configmaps; patch deployments"],
        cpu_cores=0.03,
        memory_bytes=50 << 20,
        commit_seen_in=["ConfigMap git-commit: data.commit", "every response: X-Git-Commit"],
        rights_pairs=10,
        git_pod_changes_workloads=False,
        names_each_workload=False,
    )
    return replace(row, **changed)


def made_up_scale() -> Scale:
    polls = [
        Poll("polling", pods, period, files, pods / period, 0.011 * pods / period, 0.052 * pods / period, 3000.0)
        for pods, period, files, _ in FULL.polls
    ]
    restarts = [Restart("restart", pods, 2 + 0.11 * pods + CHANCE.random()) for pods in FULL.replicas for _ in range(2)]
    fans = [Fan("fan-out", n, 0.2 * n, 0.3 * n, 15 * n, 0.01 * n, 30 << 20, SIMULATED) for n in FULL.fan_out]
    return Scale(polls, restarts, fans)


def made_up_names(folder: Path) -> dict[str, Any]:
    """What the notebook's cells would have found, by the names that they give it."""
    ways = [
        way(approaches.DEPLOYED, 1.7, repeated_s=around(1.7)),
        way(approaches.POLLING, 1.4, regressions={"2": 1, "6": 3}, changed_before_restart=18),
        way(approaches.PATCHING, 1.5, cpu_cores=0.02, undo_restores_content=True, names_each_workload=True),
        way(approaches.IN_PLACE, 0.9, requests={"sent": 3120, "failed": 12}, recovers_missed_change=None),
        way(approaches.NO_RESTART, math.nan, polled_to_served_s=estimate(around(0.8)), recovers_missed_change=None),
        way(approaches.FLUX, 2.1, content_limit_bytes=1 << 20),
    ]
    broken = [
        experiment.FaultResult(f.key, f.name, held=number % 9 > 0, commits_lost=int(number % 9 == 0),
                       requests={"sent": 640, "failed": 0}, recovery_s=CHANCE.uniform(1, 9), rollouts=1, note="")
        for number, f in enumerate(FAULTS)
    ]  # fmt: skip
    hosts = [
        matrix.GitHostResult(
            "git http-backend (HTTPS, private CA)", "password", matrix.Case.COMMIT, "fetch a commit, as app pods do",
            matrix.SERVED, matrix.SERVED, True, 1.4,
        ),
        matrix.GitHostResult(
            "Gitea", "token", matrix.Case.WRONG_SECRET, "wrong token",
            matrix.UNAUTHENTICATED, matrix.UNAUTHENTICATED, True, math.inf, "HTTP 401",
        ),
        matrix.GitHostResult(
            "Gitea", "token", matrix.Case.OLD_COMMIT, "fetch a commit that is no longer a branch tip",
            matrix.SERVED, matrix.NO_COMMIT, False, 6.0, "Server does not allow request for unadvertised object",
        ),
        matrix.GitHostResult(
            "Gitea", "token", matrix.Case.LFS, "file in Git LFS", matrix.SERVED, matrix.SERVED, True, 1.2,
            "model.bin: HTTP 200, version https://git-lfs.github.com/spec/v1", matrix.File.POINTER,
        ),
    ]  # fmt: skip
    restarts = startup_orders.rows_of(
        {key: around(1.4 + 0.2 * number) for number, key in enumerate(startup_orders.ORDERS)}
    )
    scale = made_up_scale()
    intervals = [
        IntervalResult(period_s, estimate(around(period_s / 2 + 2)), estimate(around(2)), 12, 6 // period_s + 1)
        for period_s in (1, 30)
    ]
    owned = [OwnedResult("env-vars", 5, 5, True, True, 4.1), OwnedResult("annotations", 5, 9, False, True, math.inf)]
    sizes = [
        SizeResult(megabytes, 1, estimate(samples), samples, 3 * megabytes * 10**6, 0, 2)
        for megabytes, samples in ((1, around(3)), (600, [math.inf]))
    ]
    outages = [
        api_outages.row_of(key, key, length_s, [*(Outcome(9.0, False, s) for s in around(9.0)), STALE, LATE])
        for key in ("deployed", "patching")
        for length_s in (5, 20)
    ]
    starts = [
        StartResult("deployed", approaches.DEPLOYED.name, math.inf, 4.0, False),
        StartResult("patching", approaches.PATCHING.name, math.inf, math.inf, False),
        StartResult("flux", approaches.FLUX.name, 1.2, 0.1, True),
    ]
    results = ExperimentResults(replace(SETTINGS, output=folder), Progress())
    found: dict[str, Sequence[Any]] = {
        "faults": broken,
        "providers": hosts,
        "alternatives": ways,
        "starts": starts,
        "restart": restarts,
        "scale": scale.rows,
        "intervals": intervals,
        "sizes": sizes,
        "outages": outages,
        "gitops": owned,
    }
    for name in EXPERIMENTS:
        results.add(name, found.get(name, []), "made up for a test")
    results.add_extra(recommendation=recommendation.recommendation(results, scale.models["fan_out_s_per_deployment"]))
    return {
        "HTML": HTML, "tables": tables, "results": results, "settings": results.settings,
        "ways": ways, "missing": ["nothing: made up"],
        "broken": broken, "hosts": hosts,
        "starts": starts, "restarts": restarts, "measured_scale": scale, "intervals": intervals, "sizes": sizes,
        "outages": outages, "owned": owned,
    }  # fmt: skip


def second_page(folder: Path) -> Path:
    """The notebook with its outputs, exported."""
    names = made_up_names(folder)
    notebook: NotebookNode = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if "answer" in cell.metadata.get("tags", []):
            cell.outputs = [export.display(f'<div class="answer">{recommendation_html(names["results"])}</div>')]
        elif cell.cell_type == "code":
            cell.outputs = [export.display(text) for text in shown_by(cell.source, names)]
    executed = folder / "alternatives.ipynb"
    nbformat.write(notebook, executed)
    return export.export(executed)


def shown_by(source: str, names: dict[str, Any]) -> list[str]:
    """What a cell's last expression shows; of the rest only the imports are run."""
    lines = ast.parse(source).body
    imports: list[ast.stmt] = [line for line in lines if isinstance(line, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), "cell", "exec"), names)
    shows = any(word in source for word in ("_charts.", "_chart(", "_table(", "_tables(", "_section(", "data_files("))
    if not isinstance(lines[-1], ast.Expr) or not shows:
        return []
    return [eval(compile(ast.Expression(lines[-1].value), "cell", "eval"), names)._repr_html_()]
