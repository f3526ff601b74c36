"""A machine without a lab, for the tests that start and stop their own."""

from collections.abc import Iterator

import pytest

from lab import LabError, client


@pytest.fixture
def no_lab() -> Iterator[None]:
    try:
        client.find()
    except LabError:
        yield
        client.down()
    else:
        pytest.skip("a lab is running already; this test starts its own")
