"""Runs one notebook with papermill in a process of its own, and exports its page.

An engine shows the notebook's progress as it comes. scripts/evaluate itself imports neither papermill nor the export,
because their imports take seconds.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import LocalHandler, papermill_io

from git_to_pod.cli.terminal import Terminal
from git_to_pod.files import write_whole
from git_to_pod.progress import MIME
from git_to_pod.report.export import export


class ProgressClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Shows each update that the kernel displays, and handles it like any other output."""

    terminal: ClassVar[Terminal]

    def process_message(self, message: dict[str, Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        if update := message["content"].get("data", {}).get(MIME):
            self.terminal.show(update)
        return super().process_message(message, *arguments, **options)


class ProgressEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine with this client."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:  # noqa: ANN401
        startup_s = options.pop("start_timeout", 60)
        known = {name: options[name] for name in ("log_output", "stdout_file", "stderr_file") if name in options}
        return ProgressClient(
            nb_man, kernel_name=kernel_name, startup_timeout=startup_s, timeout=None, **known
        ).execute()


class WholeFiles(LocalHandler):  # type: ignore[misc]
    """papermill's own access to files, but a kill while it writes the notebook leaves the notebook before."""

    def write(self, text: str, path: str) -> None:
        write_whole(Path(path), text)


def main(options: str) -> int:
    """Run the notebook and export it. Returns 1 if it failed; the reason is then the last line on standard output.

    `options` is a JSON object: `notebook`, `executed`, `parameters`, `started` (Terminal's), and `terminal`, a file
    descriptor.
    """
    given = json.loads(options)
    out = os.fdopen(given["terminal"], "w")
    ProgressClient.terminal = Terminal(out, given["started"])
    papermill_engines.register("progress", ProgressEngine)
    papermill_io.register("/", WholeFiles())  # for all absolute paths
    executed, failure = Path(given["executed"]), ""
    try:
        try:
            papermill.execute_notebook(
                given["notebook"], executed, given["parameters"], engine_name="progress", progress_bar=False
            )
        except PapermillExecutionError as error:
            failure = f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            failure = "the notebook's kernel died"
        if executed.exists():
            ProgressClient.terminal.stage(f"writing {executed.with_suffix('.html').name}")
            export(executed)
    except Exception:  # noqa: BLE001  # of papermill, the notebook's format or the disk: the reason is shown
        traceback.print_exc(file=sys.stdout)
        return 1
    finally:
        ProgressClient.terminal.leave_bar()
        with suppress(OSError):  # nobody reads any more
            out.close()
    if failure:
        print(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
