"""Run the whole evaluation with one command: cluster, notebook and report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from git_to_pod import watchdog
from git_to_pod.cli import clean_up
from git_to_pod.cli.children import end
from git_to_pod.cli.session import ALTERNATIVES, EVALUATION, exit_status, parameters, parser, ready, remove_everything
from git_to_pod.cli.terminal import Terminal, print_line
from git_to_pod.evaluation.claims import EvaluationFailed
from git_to_pod.evaluation.summary import ABORTED, Evaluation, figures_of, write_json
from git_to_pod.experiments.effort import EXPERIMENTS, ONLY, selected
from git_to_pod.programs import end_with_parent
from git_to_pod.settings import ROOT, InputError, Parameters, Settings
from git_to_pod.timing import trials_table


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if all requirements and constraints are met, 1 if not, 2 for invalid input, 128 + n after signal n."""
    return exit_status(partial(start, argv))


def start(argv: Sequence[str] | None, terminal: Terminal) -> int:
    options = parser("scripts/evaluate", __doc__)
    full = "also run the second notebook: faults, git hosts, alternatives and scale"
    options.add_argument("--full", action="store_true", help=full)
    only = (
        f"run only these experiments of the second notebook ({','.join(EXPERIMENTS)}) and take the others from --output"
    )
    options.add_argument("--only", metavar="LIST", help=only)
    left = "remove what ended runs left on the cluster, or all that belongs to --namespace, and exit"
    options.add_argument("--clean-up", action="store_true", help=left)
    options.set_defaults(namespace=None)
    chosen = options.parse_args(argv)
    if chosen.clean_up:
        return clean_up.run(chosen.context, chosen.kubeconfig, chosen.namespace, chosen.timeout)
    if chosen.namespace is None:
        chosen.namespace = Parameters().namespace
    notebooks = [EVALUATION, ALTERNATIVES] if chosen.full else [EVALUATION]
    if chosen.only is not None:
        if chosen.full:
            raise InputError("--full and --only: expected one of them; --full runs every experiment")
        os.environ[ONLY] = ",".join(selected(chosen.only))
        notebooks = [ALTERNATIVES]
    return run(parameters(chosen), chosen.images, terminal, notebooks)


def run(given: Parameters, images: Path | None, terminal: Terminal, notebooks: Sequence[Path]) -> int:
    """Provide the cluster, run the notebooks, write the reports and clean up. Returns the exit status."""
    second = ALTERNATIVES in notebooks
    with ready(given, images, terminal, second) as (complete, settings, cluster):
        try:
            if EVALUATION in notebooks:
                summary = evaluate(complete, settings, terminal)
            if second:
                summary = gather_evidence(complete, settings, terminal)
        finally:
            if not settings.keep:
                terminal.stage("removing what is left on the cluster")
                remove_everything(cluster, settings, second)
    answer = summary.get("answer", "The first notebook has not run into this folder.")
    terminal.stage("\n".join(["done", "", answer, "", *image_lines(summary["images"]), ""]))
    names = ("evaluation.html", "alternatives.html", "summary.json", "trials.csv")
    for path in map(settings.output.joinpath, names):
        if path.exists():
            print_line(str(path))
    return 0 if summary.get("holds", True) and not summary.get("full_error") else 1


def image_lines(images: Sequence[dict[str, str]]) -> list[str]:
    """One line for each image: its reference, its source, and the note on where it comes from, if it has one."""
    return [f"{image['ref']} ({': '.join(filter(None, (image['source'], image.get('note'))))})" for image in images]


def evaluate(given: Parameters, settings: Settings, terminal: Terminal) -> dict[str, Any]:
    """Run the first notebook, write its report, and return the summary."""
    started = time.monotonic()
    executed = settings.output / "evaluation.ipynb"
    message = run_notebook(given, EVALUATION, executed, terminal)
    summary = complete_summary(settings, executed, message)
    summary["timings_s"]["evaluation"] = round(time.monotonic() - started, 1)
    write_json(settings.output / "summary.json", summary)
    point_latest_at(settings.output)
    return summary


def gather_evidence(given: Parameters, settings: Settings, terminal: Terminal) -> dict[str, Any]:
    """Run the second notebook, write its report, and return the summary with the rows of both."""
    started = time.monotonic()
    executed = settings.output / "alternatives.ipynb"
    message = run_notebook(given, ALTERNATIVES, executed, terminal)
    summary: dict[str, Any] = json.loads((settings.output / "summary.json").read_text())
    summary.pop("full_error", None)  # of an earlier run into this folder
    if message:
        summary["full_error"] = last_error(executed) or message.splitlines()[-1]
        terminal.stage(f"the second notebook failed: {summary['full_error']}")
    summary["timings_s"]["full"] = round(time.monotonic() - started, 1)
    write_json(settings.output / "summary.json", summary)
    return summary


def run_notebook(given: Parameters, notebook: Path, executed: Path, terminal: Terminal) -> str:
    """Run papermill as a child process, so that a signal ends it and its kernel. Returns its output if it failed."""
    with watchdog.temporary_folder() as folder, (folder / "log").open("w+") as log:
        shown = os.dup(terminal.out.fileno())  # not its standard error, which the kernel inherits
        options = {
            "notebook": str(notebook),
            "executed": str(executed),
            "parameters": asdict(given),
            "terminal": shown,
            "started": terminal.started,
        }
        process = subprocess.Popen(  # not through sh: a signal must interrupt the wait, and JupyterLab's is the same
            [sys.executable, "-m", "git_to_pod.cli.run_notebook", json.dumps(options)],
            cwd=ROOT,
            # its credentials go with the folder, and this process's watchdog removes what it creates
            env=os.environ | {"TMPDIR": str(folder), watchdog.RUN: watchdog.run_id()},
            stdout=log,
            stderr=log,
            pass_fds=[shown],
            start_new_session=True,  # Ctrl-C reaches this process, which ends the child
            preexec_fn=end_with_parent(),
        )
        os.close(shown)
        try:
            failed = process.wait() != 0
        finally:
            end(process)
        if process.returncode < 0:  # the log does not have the reason
            return f"papermill was ended by {signal.Signals(-process.returncode).name}"
        log.seek(0)
        return (log.read().strip()[-2000:] or f"papermill exited with status {process.returncode}") if failed else ""


def complete_summary(settings: Settings, executed: Path, message: str) -> dict[str, Any]:
    """The notebook's summary. If the notebook failed before it could record why, add the error here.

    If its kernel was killed in the trials, add their figures too.
    """
    path = settings.output / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.exists() else Evaluation(settings).summary()
    if not message:
        return summary
    if not any(summary["trials"].values()):
        trials = trials_table.read(settings.output)
        summary |= figures_of(trials, trials_table.estimates_of(trials))
    why = last_error(executed)
    explained = why.startswith(EvaluationFailed.__name__) or ABORTED in summary["answer"]
    if not explained:
        summary |= {"answer": f"{ABORTED}{why or message.strip().splitlines()[-1]}", "holds": False}
        if executed.exists():
            exporter().replace_answer(executed, summary["answer"])
            exporter().export(executed)
    return summary


def last_error(executed: Path) -> str:
    """The exception that ended a notebook; empty if there is none, or no notebook."""
    return exporter().last_error(executed) if executed.exists() else ""


def exporter() -> ModuleType:
    """The module of the export. Its import takes seconds, and this process needs it only after a failure."""
    from git_to_pod.report import export

    return export


def point_latest_at(folder: Path) -> None:
    """Link reports/latest to a run in reports/."""
    if folder.parent == ROOT / "reports":
        new = folder.parent / f"latest.{os.getpid()}"  # another run may do the same at this moment
        new.symlink_to(folder.name)
        new.replace(folder.parent / "latest")


if __name__ == "__main__":
    sys.exit(main())
