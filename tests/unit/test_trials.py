"""What a trial makes of the instants that it saw."""

from __future__ import annotations

from typing import Any, cast

import pytest

from git_to_pod.observe import Recorder
from git_to_pod.trials import Trials
from tests.samples import SETTINGS

NOTHING = cast(Any, None)


@pytest.mark.parametrize(
    ("pushed", "published", "counts_from"),
    [(10.0, 10.4, 10.0), (11.0, 10.4, 10.4)],
    ids=["the push had ended", "the host had shown the commit before it ended the push"],
)
def test_time_runs_from_the_push_or_from_what_was_seen_before_it_ended(
    pushed: float, published: float, counts_from: float
) -> None:
    trials = Trials(NOTHING, Recorder(), NOTHING, SETTINGS, NOTHING)
    assert trials.arrival({"pushed": pushed, "published": published}) == {"pushed": counts_from}


def test_a_poll_is_not_later_than_what_it_brought() -> None:
    trials = Trials(NOTHING, Recorder(), NOTHING, SETTINGS, NOTHING)
    trials.git_log.polled = lambda _pushed, _published: 11.0  # type: ignore[method-assign]
    assert trials.arrival({"pushed": 11.0, "published": 10.4}) == {"pushed": 10.4, "polled": 10.4}
