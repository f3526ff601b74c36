"""Export an executed notebook as one HTML page, without code and without outside requests."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from git_to_pod.files import write_whole
from git_to_pod.progress import MIME
from git_to_pod.report.html import paragraphs
from git_to_pod.report.latencies import latencies_table
from git_to_pod.settings import InputError
from git_to_pod.timing import trials_table
from git_to_pod.wording import counted

FRAME = re.compile(r'(<table border="1" class="dataframe">.*?</table>)', re.DOTALL)
UNFINISHED = "No answer: the run was ended before its last cell. This page shows what it measured until then."
TEMPLATES = Path(__file__).parent / "templates"


def export(executed: Path) -> Path:
    """Write the HTML page beside the executed notebook, and return its path."""
    notebook = read(executed)
    cells = [without_progress(cell) for cell in notebook.cells if not inserted_by_papermill(cell)]
    notebook.cells = [with_scrolling_frames(cell) for cell in cells]
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="report", extra_template_basedirs=[str(TEMPLATES)], exclude_input=True
    )
    page, _ = exporter.from_notebook_node(notebook, {"contents": contents(notebook)})
    written = executed.with_suffix(".html")
    write_whole(written, page)
    return written


def read(path: Path) -> NotebookNode:
    """Raises InputError if the file is no whole notebook."""
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)
    except nbformat.reader.NotJSONError:
        raise InputError(f"{path}: expected an executed notebook; it ends early, as on a full disk") from None
    except (nbformat.ValidationError, AttributeError):  # JSON, but an object or a list of another kind
        raise InputError(f"{path}: expected an executed notebook; give one, or the folder of a run") from None
    return notebook


def display(html: str) -> NotebookNode:
    output: NotebookNode = nbformat.v4.new_output("display_data", {"text/html": html})
    return output


def inserted_by_papermill(cell: NotebookNode) -> bool:
    """Whether papermill inserted the cell to mark a failed one: it points at code that the page does not show."""
    return "papermill-error-cell-tag" in cell.metadata.get("tags", [])


def without_progress(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type == "code":
        cell.outputs = [output for output in cell.outputs if MIME not in output.get("data", {})]
    return cell


def with_scrolling_frames(cell: NotebookNode) -> NotebookNode:
    """Put the table of each DataFrame, as pandas shows it, where it scrolls by itself on a narrow page."""
    for output in cell.get("outputs", []):
        if FRAME.search(html := output.get("data", {}).get("text/html", "")):
            scrolls = r'<div class="table" tabindex="0" role="group" aria-label="Table">\1</div>'
            output.data["text/html"] = FRAME.sub(scrolls, html)
    return cell


def contents(notebook: NotebookNode) -> list[str]:
    """The titles of the sections, for the table of contents."""
    lines = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [line.removeprefix("## ").strip() for line in lines if line.startswith("## ")]


def replace_answer(executed: Path, text: str) -> None:
    """Write the answer into the notebook of a run that failed before it could do so itself.

    That is its headline, and the latencies of the trials in trials.csv, if they are this notebook's.
    """
    notebook = read(executed)
    trials = trials_table.read(executed.parent)
    caption = f"Latencies in seconds, of the {counted(len(trials), 'trial')} in trials.csv"
    are_its_own = executed.stem == "evaluation" and len(trials) > 0
    table = latencies_table(trials_table.estimates_of(trials), caption) if are_its_own else ""
    for cell in notebook.cells:
        if "answer" in cell.metadata.get("tags", []):
            cell.outputs = [display(f'<div class="answer">{paragraphs(text, kind="headline")}{table}</div>')]
    write_whole(executed, nbformat.writes(notebook) + "\n")


def last_error(executed: Path) -> str:
    """The exception that ended the run, as `Name: message`; empty if there is none."""
    notebook = read(executed)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.output_type == "error"]
    return f"{errors[-1].ename}: {errors[-1].evalue}" if errors else ""


def is_finished(executed: Path) -> bool:
    """Whether papermill has run every cell up to the last one or up to one that failed."""
    return bool(read(executed).metadata.get("papermill", {}).get("end_time"))


def export_folder(folder: Path) -> list[Path]:
    """Write the page of each executed notebook in a run's folder, also if the run was killed before its end."""
    pages = []
    for executed in sorted(folder.glob("*.ipynb")):
        if not is_finished(executed):
            replace_answer(executed, UNFINISHED)
        pages.append(export(executed))
    return pages


def main(argv: list[str] | None = None) -> int:
    """Print the path of each page. Returns 2 for a path that holds no executed notebook."""
    parser = argparse.ArgumentParser(prog="python -m git_to_pod.report.export", description=__doc__)
    parser.add_argument("path", type=Path, help="the executed notebook, or the folder of a run, finished or killed")
    path = parser.parse_args(argv).path
    try:
        pages = export_folder(path) if path.is_dir() else [export(path)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {path}: cannot be read as a notebook ({error}); give an executed notebook", file=sys.stderr)
        return 2
    if not pages:
        print(
            f"error: {path}: holds no executed notebook; give the folder of a run, such as reports/latest",
            file=sys.stderr,
        )
    for page in pages:
        print(page)
    return 0 if pages else 2


if __name__ == "__main__":
    sys.exit(main())
