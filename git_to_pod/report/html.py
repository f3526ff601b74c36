"""HTML of tables and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from git_to_pod.evaluation.checks import Check


@dataclass(frozen=True)
class Html:
    """HTML as the output of a cell."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def show(check: Check) -> Html:
    """A check with its claim, its evidence and its table."""
    kind = {True: "good", False: "bad", None: "open"}[check.holds]
    return Html(
        f'<div class="check {kind}" id="{check.name}"><p class="claim">'
        f'<span class="badge">{check.outcome}</span> {escape(check.claim)}</p>'
        f"<p>{escape(check.evidence)}</p>{html_table(check.rows, label=check.claim)}</div>"
    )


def html_table(rows: Sequence[dict[str, str]], caption: str = "", label: str = "Table") -> str:
    """A table that scrolls by itself on a narrow page. `label` names a table without a caption."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in rows[0])
    title = f'<p class="caption">{escape(caption)}</p>' if caption else ""  # not in the table: it would scroll too
    return (
        f'{title}<div class="table" tabindex="0" role="group" aria-label="{escape(caption or label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(html_row, rows))}</tbody></table></div>"
    )


def html_row(row: dict[str, str]) -> str:
    """The first cell names the row."""
    name, *values = row.values()
    return f'<tr><th scope="row"{kind_of(name)}</th>{"".join(f"<td{kind_of(value)}</td>" for value in values)}</tr>'


def kind_of(text: str) -> str:
    """The rest of a cell. Short texts stay on one line; ids and digests may break anywhere."""
    kind = "long" if any(len(word) > 24 for word in text.split()) else "short" if len(text) <= 16 else ""
    return f' class="{kind}">{escape(text)}' if kind else f">{escape(text)}"
