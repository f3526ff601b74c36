"""The table of the faults."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.faults.experiment import FaultResult
from git_to_pod.report.html import html_table, paragraphs, row_id
from git_to_pod.wording import counted, names

LETTER = "F"  # in the ids of the rows


def faults_finding(rows: Sequence[FaultResult]) -> str:
    """The title, computed."""
    if not rows:
        return "No fault was injected."
    recovered = sum(row.held for row in rows)
    sent, failed = (sum(row.requests[key] for row in rows) for key in ("sent", "failed"))
    broken = [f"“{row.name}” ({row_id(LETTER, index)})" for index, row in enumerate(rows) if not row.held]
    count = f"all {len(rows)} faults" if not broken else f"{recovered or 'none'} of {len(rows)} faults"
    words = f"The deployment recovered from {count} by itself"
    if len(rows) == 1:
        words = f"The deployment {'did not recover' if broken else 'recovered'} from the only fault by itself"
    words += f"; {failed or 'none'} of {counted(sent, 'request')} failed." if sent else "; no request was sent."
    return f"{words} Not recovered: {names(broken)}." if broken else words


def faults_table(rows: Sequence[FaultResult]) -> Markup:
    """The table, with its finding as the title."""
    if not rows:
        return paragraphs("Not tried. Faults are injected in the embedded lab only.")
    return html_table([fault_cells(row) for row in rows], faults_finding(rows), ids=LETTER)


def fault_cells(row: FaultResult) -> dict[str, str]:
    requests = f"{row.requests['failed']} of {row.requests['sent']:,}"
    return {
        "fault": row.name,
        "recovered": "✓" if row.held else "no",
        "after": f"{row.recovery_s:.1f} s" if math.isfinite(row.recovery_s) else "–",
        "commits not served": str(row.commits_lost),
        "failed requests": requests if row.requests["sent"] else "no request",
        "rollouts": str(row.rollouts),
        "note": textwrap.shorten(row.note, 180, placeholder=" …"),
    }
