"""The table of the runs that are recorded on other versions of Kubernetes (CONTRIBUTING.md has the commands)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from git_to_pod.experiments import earlier_rows
from git_to_pod.experiments.startup_orders import Order, StartupResult
from git_to_pod.report.charts.dot_plot import median_of
from git_to_pod.report.html import html_table
from git_to_pod.settings import ROOT
from git_to_pod.timing.medians import Estimate, in_words
from git_to_pod.wording import names

RECORDED = ROOT / "reports"
ORDERS = {
    Order.DEPLOYED: "rollout restart as deployed",
    Order.APP_HOOK: "with an ordinary sidecar",
    Order.BASELINE: "without git-sync",
}


def recordings(folder: Path = RECORDED) -> list[dict[str, Any]]:
    """The summary of each recorded version, the oldest first."""
    found = [json.loads(path.read_text()) for path in folder.glob("kubernetes-*/summary.json")]
    return sorted(found, key=lambda summary: [int(part) for part in version(summary).split(".")])


def version(summary: dict[str, Any]) -> str:
    return str(summary["kubernetes"]["version"]).removeprefix("v")


def versions_finding(summaries: Sequence[dict[str, Any]]) -> str:
    """The title, computed."""
    if not summaries:
        return "No other version of Kubernetes is recorded."
    met = [version(summary) for summary in summaries if summary["holds"]]
    unmet = [version(summary) for summary in summaries if not summary["holds"]]
    sentences = [f"All requirements and constraints are met on Kubernetes {names(met)}." if met else ""]
    sentences += [f"Not on {names(unmet)}." if unmet else ""]
    return " ".join(filter(None, sentences))


def versions_table(folder: Path = RECORDED) -> Markup:
    """A row for each recorded version, with its finding as the title."""
    summaries = recordings(folder)
    return html_table([row(summary) for summary in summaries], versions_finding(summaries))


def row(summary: dict[str, Any]) -> dict[str, str]:
    found = earlier_rows.read(summary["restart"], StartupResult)
    restarts = {each.key: median_of(each.restart_s.median) for each in found}
    (push,) = earlier_rows.read([summary["latency_s"]["push_to_restarted"]], Estimate)
    requests = summary["requests"]
    return {
        "Kubernetes": version(summary),
        "push → all replicas restarted": in_words(push),
        **{text: restarts.get(order, "not measured") for order, text in ORDERS.items()},
        "failed requests": f"{requests['failed']} of {requests['sent']:,}",
        "recorded": f"{datetime.fromisoformat(summary['started']):%-d %B %Y}, version {summary['project']}",
    }
