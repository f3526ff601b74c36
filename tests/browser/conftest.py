"""The run that the tests look at."""

from __future__ import annotations

from typing import Any

import pytest
from one_run import Run, a_short_run


@pytest.fixture(scope="session")
def short_run(lab: dict[str, Any]) -> Run:  # it must be up
    return a_short_run()
