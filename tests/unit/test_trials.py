"""What a trial makes of the instants that it saw."""

from __future__ import annotations

from typing import Any, cast

import pytest

from git_to_pod.load import Response
from git_to_pod.observe import Recorder
from git_to_pod.trials import PUSH, Trial, Trials, measure_mixed_commits
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


def test_what_visitors_see_only_after_the_next_push_counts_all_the_same() -> None:
    first = Trial(1, PUSH, commit="a", instants={"pushed": 1.0, "requested": 1.2})
    second = Trial(2, PUSH, commit="b", instants={"pushed": 2.0, "requested": 2.6})
    seen = {0.9: "before", 2.1: "before", 2.2: "a", 2.3: "before", 2.5: "a", 3.5: "b"}
    measure_mixed_commits([first, second], [Response(instant, 200, commit, "") for instant, commit in seen.items()])
    assert first.mixed_s == pytest.approx(0.1)
    assert second.mixed_s == 0
