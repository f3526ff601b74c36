"""The embedded lab: a real Kubernetes node and a private git host, built from packages."""

from lab.client import Lab, running
from lab.errors import LabError

__all__ = ["Lab", "LabError", "running"]
