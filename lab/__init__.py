"""The embedded lab: a real Kubernetes node and a private git host, built from packages."""

from lab.client import running
from lab.errors import LabError
from lab.state import Lab

__all__ = ["Lab", "LabError", "running"]
