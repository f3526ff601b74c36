"""What the fan-out reads from the API server's metrics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from git_to_pod.experiments.scale.fan_out import writes

METRICS = """# HELP apiserver_request_total Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="deployments",verb="GET"} 99
apiserver_request_total{code="200",resource="deployments",verb="PATCH"} 3
apiserver_request_total{code="201",resource="pods",verb="POST"} 4
apiserver_request_total{code="200",resource="configmaps",verb="WATCH"} 50
apiserver_request_terminations_total{code="500",verb="POST"} 7
etcd_requests_total{operation="update"} 1000
"""


def test_only_answered_write_requests_count() -> None:
    answer = SimpleNamespace(data=METRICS.encode())
    assert writes(cast(Any, SimpleNamespace(request=lambda *_: answer))) == 7
