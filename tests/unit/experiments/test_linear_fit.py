"""The fitted lines, the extrapolation in words, and the CPU counters."""

from __future__ import annotations

import math

import pytest

from git_to_pod.experiments.scale.fan_out import SIMULATED, Fan
from git_to_pod.experiments.scale.linear_fit import fit
from git_to_pod.experiments.scale.polling import Poll, Restart, Scale, used
from git_to_pod.report.tables.fan_out import fan_out_finding
from git_to_pod.report.tables.scale import cpu, extrapolation, polls_finding, rounded


def test_the_model_finds_the_line_that_the_points_are_on() -> None:
    line = fit([(x, 2 + 3 * x) for x in range(8)])
    assert (line.intercept, line.slope) == pytest.approx((2, 3))
    assert line.slope_low == pytest.approx(3)
    assert line.r_squared == pytest.approx(1)
    assert line.at(1000)[0] == pytest.approx(3002)


def test_scattered_points_widen_the_interval() -> None:
    line = fit([(x, x + (-1) ** x * 4) for x in range(10)])
    assert line.slope_low < 1 < line.slope_high
    assert line.r_squared < 0.8


def test_nothing_costs_less_than_nothing() -> None:
    line = fit([(2, 0.5), (10, 6.0), (20, 14.0)])
    assert line.intercept == 0
    assert line.at(0.1)[0] > 0


def test_a_process_that_has_ended_takes_nothing_back() -> None:
    assert used({"1": 5.0, "2": 9.0}, {"1": 5.5, "3": 0.25}) == pytest.approx(0.75)


def test_without_points_there_is_no_line() -> None:
    line = fit([])
    assert line.n == 0
    assert math.isnan(line.slope)


def test_points_of_one_size_have_no_interval() -> None:
    line = fit([(2, 3.0), (2, 5.0)])
    assert line.at(2)[0] == pytest.approx(4)
    assert math.isnan(line.slope_low)


@pytest.mark.parametrize(
    ("value", "text"),
    [(307.4, "310"), (28_884.0, "29,000"), (6.46, "6.5"), (0.2914, "0.29"), (0.0, "0"), (math.nan, "unknown")],
)
def test_an_extrapolation_has_two_digits(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("cores", "text"),
    [
        (6.46, "about 6.5 cores"),
        (1.0, "about 1 core"),
        (0.2914, "about 290 millicores"),
        (0.001, "about 1 millicore"),
        (0.0003, "less than 1 millicore"),
    ],
)
def test_cpu_is_in_cores_or_millicores(cores: float, text: str) -> None:
    assert cpu(cores) == text


def scale_of(restart_s: float) -> Scale:
    polls = [Poll("polling", pods, 1, 1, pods, 0.003 * pods, 0.064 * pods, 7500.0 * pods) for pods in (2, 10, 20)]
    restarts = [Restart("restart", pods, restart_s) for pods in (2, 10)]
    return Scale(
        polls, restarts, [Fan("fan-out", n, 0.2 * n, 0.36 * n, 29 * n, 0.1, 1 << 20, SIMULATED) for n in (1, 500)]
    )


def test_the_finding_of_the_scale_is_sentences_with_a_unit_for_each_number() -> None:
    assert polls_finding(scale_of(2.0)) == (
        "A poll costs 64 ms of CPU time on the node and 3 ms on the git host. "
        "1,000 pods that poll every 10 s would use about 6.4 cores on the nodes and about 300 millicores on the git "
        "host. A single poller with this poll interval would use about 6 millicores on its node and less than 1 "
        "millicore on the git host."
    )
    assert polls_finding(Scale([], [], [])) == "The cost of a poll was not measured."


def test_the_finding_of_the_fan_out_is_about_the_largest_number() -> None:
    fans = scale_of(2.0).fans
    assert fan_out_finding(fans) == (
        "Reloader patches 500 Deployments in 100 s. Their rollouts are complete after 180 s. "
        "Each Deployment has one pod, simulated by KWOK."
    )
    assert fan_out_finding(fans[:1]).startswith(
        "Reloader patches 1 Deployment in 0.20 s. Its rollout is complete after "
    )
    assert fan_out_finding([]) == "The fan-out was not measured."


def test_a_rollout_that_timed_out_is_left_out_of_the_line() -> None:
    assert scale_of(math.inf).models["restart_s_per_pod"].n == 0
    rows = {row[""]: row["value"] for row in extrapolation(scale_of(math.inf))}
    assert rows["rollout of 1,000 replicas, if one node could run them"] == "not measured"
    assert rows["time until 1,000 Deployments are patched"] == "about 200 s"
    assert not any(
        "unknown" in value or "nan" in value for row in extrapolation(Scale([], [], [])) for value in row.values()
    )
