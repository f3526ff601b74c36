"""The lab's paths: in the user's cache folder, the results of the build and the state of the running lab."""

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
LOCK = CACHE / "lock"  # the supervisor holds it until it ends

OWN_IMAGES = "lab.git-to-pod.test/"  # the references of the images that only the lab uses begin with it
