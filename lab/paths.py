"""Where the lab keeps things: what it builds once in the user's cache folder, and the state of the running one."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = PROJECT / "lab" / "config"
GO = PROJECT / "lab" / "go"
MANIFESTS = PROJECT / "manifests"

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "git-to-pod" / "lab"
RUN = CACHE / "run"  # the running lab: credentials, logs, the node's disk
STATE = RUN / "lab.json"
LOGS = RUN / "logs"
LOCK = CACHE / "lock"  # held by the supervisor for as long as it lives
