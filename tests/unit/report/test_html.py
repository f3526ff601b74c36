"""The templates escape every text that is put into them."""

from __future__ import annotations

import pytest

from git_to_pod.evaluation.claims import Check
from git_to_pod.report.first_page import stand_ins_banner, tile
from git_to_pod.report.html import Html, html_table, paragraphs, render, show

TEXT = '<b>"it\'s" & so on'


def shown_by_each_part() -> dict[str, str]:
    check = Check(True, TEXT, [{TEXT: TEXT}], name="R1", claim=TEXT)
    return {
        "table": html_table([{TEXT: TEXT}], TEXT),
        "check": show(check).text,
        "paragraphs": paragraphs(TEXT, kind="note"),
        "banner": stand_ins_banner([TEXT]),
        "tiles": render("tiles", tiles=[tile("anchor", None, TEXT, TEXT)]),
        "findings": render("findings", lines=[TEXT], recommendation=TEXT),
    }


@pytest.mark.parametrize("part", shown_by_each_part())
def test_a_text_is_escaped(part: str) -> None:
    html = shown_by_each_part()[part]
    assert "<b>" not in html.replace("<b>$", "")
    assert "&lt;b&gt;" in html
    assert "&amp; so on" in html


def test_a_table_without_rows_is_nothing() -> None:
    assert html_table([], "a caption") == ""


def test_html_is_a_cells_output() -> None:
    assert Html("<p>1</p>")._repr_html_() == "<p>1</p>"
