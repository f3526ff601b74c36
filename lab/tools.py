"""Run other programs during the build. They report progress and never outlive the build."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.child import die_with_parent
from lab.errors import LabError

Report = Callable[[str], None]
_PROGRESS_S = 15.0


class Runner:
    """Runs programs and reports their progress. `stop` ends all running programs and can be called from any thread."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def run(
        self,
        title: str,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 3600,
    ) -> str:
        """Run `command` and return its output (both streams). Every 15 s, report the number of lines so far."""
        with self._started(command, cwd, env) as child:
            assert child.stdout is not None
            began = reported = time.monotonic()
            limit = threading.Timer(timeout_s, _kill_group, [child])
            limit.daemon = True  # otherwise an interrupted build would wait for it
            limit.start()
            lines: list[str] = []
            for line in child.stdout:
                lines.append(line)
                if time.monotonic() - reported > _PROGRESS_S:
                    reported = time.monotonic()
                    self.report(f"{title}: {len(lines)} steps, {reported - began:.0f} s")
            status = child.wait()
            limit.cancel()
        if self.stopped:
            raise LabError(f"{title}: interrupted")
        if status:
            tail = " | ".join(text.strip() for text in lines[-4:])
            raise LabError(f"{title} failed ({shlex.join(map(str, command[:3]))} … exited with {status}): {tail}")
        return "".join(lines)

    def stop(self) -> None:
        """Kill all running programs."""
        self.stopped = True
        for child in list(self._running):
            _kill_group(child)

    @contextlib.contextmanager
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        """A pool of threads that call `run`. An exception in the block, or a signal, stops all running programs."""
        with ThreadPoolExecutor() as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise

    @contextlib.contextmanager
    def _started(
        self, command: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None
    ) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})}, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=die_with_parent(),
        ) as child:  # fmt: skip
            self._running.add(child)
            if self.stopped:  # since before the line above, so that `stop` did not see this program
                _kill_group(child)
            try:
                yield child
            finally:
                if child.poll() is None:
                    _kill_group(child)
                self._running.discard(child)


def _kill_group(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
