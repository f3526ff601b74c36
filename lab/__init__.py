"""The embedded default: one real Kubernetes node and a private git host beside it, from packages alone."""

from lab.client import Lab, running
from lab.errors import LabError

__all__ = ["Lab", "LabError", "running"]
