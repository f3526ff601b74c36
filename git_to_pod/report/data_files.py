"""The measured rows as links in the page: it holds the files itself."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from git_to_pod.report.html import Html, html_table

LINK = Markup('<a download="{name}" href="data:text/csv;base64,{content}">{name}</a>')

MOST_BYTES = 2_000_000  # a page has at most 3 MB; a larger file is only named


def data_files(folder: Path, names: Iterable[str]) -> Html:
    """A row for each of these CSV files that the run's folder has."""
    rows = []
    for path in (folder / name for name in names):
        if path.exists():
            content = path.read_bytes()
            records = max(sum(1 for _ in csv.reader(content.decode().splitlines(keepends=True))) - 1, 0)
            shown = path.name
            if len(content) <= MOST_BYTES:
                shown = LINK.format(name=path.name, content=base64.b64encode(content).decode())
            rows.append({"file": shown, "rows": f"{records:,}", "SHA-256": hashlib.sha256(content).hexdigest()})
    return Html(html_table(rows, "The measured rows. README.md describes the columns"))
