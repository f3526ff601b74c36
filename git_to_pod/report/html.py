"""HTML from the templates in templates/parts, which escape every text: tables, checks, and parts of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from git_to_pod.evaluation.claims import Check


@dataclass(frozen=True)
class Html:
    """HTML as the output of a cell."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def width_class(text: str) -> Markup:
    """The class of a table's cell. Short texts stay on one line; ids and digests may break anywhere."""
    kind = "long" if any(len(word) > 24 for word in text.split()) else "short" if len(text) <= 16 else ""
    return Markup(' class="{}"').format(kind) if kind else Markup("")


PARTS = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates" / "parts"),
    autoescape=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)
PARTS.filters["width_class"] = width_class


def render(part: str, **values: object) -> Markup:
    """The template of this name. A text among the values is escaped, and a Markup is not."""
    return Markup(PARTS.get_template(f"{part}.html.j2").render(values))


def paragraphs(*lines: str, kind: str = "") -> Markup:
    css = Markup(' class="{}"').format(kind) if kind else Markup("")
    return Markup("").join(Markup("<p{}>{}</p>").format(css, line) for line in lines)


def show(check: Check) -> Html:
    """A check with its claim, its evidence and its table."""
    kind = {True: "good", False: "bad", None: "open"}[check.holds]
    table = html_table(check.rows, label=check.claim)
    words = {"badge": check.outcome, "claim": check.claim, "evidence": check.evidence}
    return Html(render("check", kind=kind, id=check.name, table=table, **words))


def html_table(rows: Sequence[dict[str, str]], caption: str = "", label: str = "Table", ids: str = "") -> Markup:
    """A table; nothing without rows. The first cell names its row. `label` names a table without a caption.

    `ids`: the letter before each row's number. The id is shown, and is the row's address on the page.
    """
    numbers = [row_id(ids, number) for number in range(len(rows))] if ids else []
    return render("table", rows=rows, caption=caption, label=label, ids=numbers) if rows else Markup("")


def row_id(letter: str, index: int) -> str:
    """The id of a table's row, as F01 for the first fault."""
    return f"{letter}{index + 1:02d}"
