"""The tables of the git hosts: one line for each combination of host and credentials."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.git_hosts.matrix import (
    COLUMNS,
    NO_COMMIT,
    NO_HOST,
    SERVED,
    UNAUTHENTICATED,
    Case,
    File,
    GitHostResult,
)
from git_to_pod.report.html import html_table, paragraphs, render
from git_to_pod.wording import names

LISTED = 5  # failed checks that the finding names
LEGEND = (
    "✓ means that the check gave the expected result, which the column's heading names after the arrow. A word after ✓ "
    "names another result, which is expected of this host. ✗ is followed by the unexpected result. – means that the "
    "check does not apply."
)
FILES = {
    File.NOT_CHECKED: "–",
    File.CONTENT: "served",
    File.POINTER: "pointer served instead",
    File.MISSING: "missing (404)",
}


def git_hosts_finding(rows: Sequence[GitHostResult]) -> str:
    """How many checks gave the expected result, which did not, and the limits that a user must know."""
    return " ".join([counted(rows), *unexpected(rows), *conclusions(rows)])


def counted(rows: Sequence[GitHostResult]) -> str:
    if not rows:
        return "No git host was checked."
    hosts, held = len(combinations(rows)), sum(row.held for row in rows)
    kinds = f"{hosts} host/credential combination{'' if hosts == 1 else 's'}"
    if len(rows) == 1:
        return f"The only check ({kinds}) {'gave' if held else 'did not give'} the expected result."
    if held == len(rows):
        return f"All {held} checks ({kinds}) gave the expected result."
    return f"{held or 'None'} of {len(rows)} checks ({kinds}) gave the expected result."


def unexpected(rows: Sequence[GitHostResult]) -> list[str]:
    """A sentence for each check that did not give the expected result."""
    failed = [row for row in rows if not row.held]
    sentences = [
        f"{row.server} with a {row.authentication}: the check “{row.tried}” gave “{row.found}”."
        for row in failed[:LISTED]
    ]
    more = len(failed) - LISTED
    return (
        [*sentences, f"Of the failed checks, {more} more {'is' if more == 1 else 'are'} in the table."]
        if more > 0
        else sentences
    )


def conclusions(rows: Sequence[GitHostResult]) -> list[str]:
    """A sentence for each limit that these rows show."""
    parts = []
    if old := [row.server for row in rows if row.case == Case.OLD_COMMIT and row.found == NO_COMMIT]:
        parts.append(f"A pod cannot fetch a commit that is no longer a branch tip from {names(old)}.")
    if any(row.case == Case.BRANCH and row.held and row.found == UNAUTHENTICATED for row in rows):
        parts.append("Git does not send the credentials on when a host redirects it to another host or port.")
    if any(row.case == Case.LFS and row.file == File.POINTER for row in rows):
        parts.append("git-sync does not support Git LFS: pods serve the pointer instead of the file.")
    if any(row.case == Case.SUBMODULE_OFF and row.file == File.MISSING for row in rows):
        parts.append("With GITSYNC_SUBMODULES=off, pods serve no files of submodules.")
    if any(row.case == Case.SUBMODULE_ELSEWHERE and row.found == NO_HOST for row in rows):
        parts.append("With GITSYNC_SUBMODULES=recursive, pods do not get a commit whose submodule cannot be fetched.")
    return parts


def git_hosts_tables(rows: Sequence[GitHostResult]) -> Markup:
    """The matrix, the checks that run on one host only, and every check in detail."""
    if not rows:
        return paragraphs("Not tried. Git hosts are checked in the embedded lab only.")
    others = special_table(rows)
    hosts = names(sorted({row.server for row in rows if row.case not in COLUMNS}))
    summary = f"All {len(rows)} checks in detail" if len(rows) > 1 else "The check in detail"
    return render(
        "git_hosts",
        matrix=html_table(matrix(rows), counted(rows)),
        legend=LEGEND,
        notes=[*unexpected(rows), *conclusions(rows)],
        others=html_table(others, f"Git LFS and submodules, checked on {hosts} only"),
        summary=summary,
        details=html_table(details(rows), label=summary, ids="P"),
    )


def combinations(rows: Sequence[GitHostResult]) -> list[tuple[str, str]]:
    """Each git host with each kind of credentials, in the order of the rows."""
    return list(dict.fromkeys((row.server, row.authentication) for row in rows))


def matrix(rows: Sequence[GitHostResult]) -> list[dict[str, str]]:
    """A line for each combination of host and credentials, a column for each case that has rows."""
    found = {(row.server, row.authentication, row.case): row for row in rows}
    usual = {case: usually_expected(rows, case) for case in COLUMNS if any(row.case == case for row in rows)}
    return [
        {"git host": server, "credentials": authentication}
        | {
            f"{COLUMNS[case]} → {in_short(expected)}": cell(found.get((server, authentication, case)), expected)
            for case, expected in usual.items()
        }
        for server, authentication in combinations([row for row in rows if row.case in COLUMNS])
    ]


def usually_expected(rows: Sequence[GitHostResult], case: Case) -> str:
    """The result that most hosts are expected to give."""
    return Counter(row.expected for row in rows if row.case == case).most_common(1)[0][0]


def cell(row: GitHostResult | None, usual: str) -> str:
    if row is None:
        return "–"
    if not row.held:
        return f"✗ {row.found}"
    return "✓" if row.expected == usual else f"✓ {in_short(row.expected)}"


def in_short(outcome: str) -> str:
    return "served" if outcome == SERVED else "refused"


def special_table(rows: Sequence[GitHostResult]) -> list[dict[str, str]]:
    """A line for each check that runs on one host only."""
    return [
        {
            "content of the commit": row.tried,
            "commit": f"✓ {'served' if row.expected == SERVED else 'not served'}" if row.held else f"✗ {row.found}",
            "its Git LFS or submodule file": FILES[row.file],
        }
        for row in rows
        if row.case not in COLUMNS
    ]


def details(rows: Sequence[GitHostResult]) -> list[dict[str, str]]:
    """A line for each check."""
    return [
        {
            "git host": row.server,
            "credentials": row.authentication,
            "check": row.tried,
            "result": row.found,
            "as expected": "yes" if row.held else f"no: expected “{row.expected}”",
            "after": f"{row.seconds:.1f} s" if math.isfinite(row.seconds) else "",
            "message": row.message,
        }
        for row in rows
    ]
