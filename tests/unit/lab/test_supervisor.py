"""lab.supervisor: what it prints, and where."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
# A lab that fails while it runs. Its socket is the first file that is opened after the start.
FAILS_LATER = """
import socket, sys
from lab import supervisor
from lab.errors import LabError

def fail(self, owned):
    with socket.socket():
        raise LabError("namespace node ended unexpectedly")

supervisor.Supervisor.start = lambda self: print("lab up", flush=True)
supervisor.Supervisor.wait = fail
supervisor.Supervisor.stop = lambda self: None
sys.exit(supervisor.main())
"""


def test_an_error_of_a_running_lab_is_in_its_log(tmp_path: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FAILS_LATER], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("lab up\n", "error: namespace node ended unexpectedly\n")
    assert done.returncode == 1
