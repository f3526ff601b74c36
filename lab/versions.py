"""The minors of Kubernetes that the lab can run: those with upstream support, the default first."""

from lab.errors import LabError

KUBERNETES = {"1.37": "v1.37.2", "1.36": "v1.36.3", "1.35": "v1.35.4"}  # lab/go has a folder for each
DEFAULT = next(iter(KUBERNETES))


def check(minor: str) -> None:
    """Raise LabError for a minor that the lab does not have."""
    if minor not in KUBERNETES:
        raise LabError(f"--kubernetes {minor}: expected one of {', '.join(KUBERNETES)}")
