"""What the unit tests share."""

import signal
from collections.abc import Iterator

import pytest

from git_to_pod.cli.session import SIGNALS


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A command's main() ignores signals at its end; the programs that later tests start would inherit that."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
