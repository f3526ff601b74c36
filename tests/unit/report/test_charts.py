"""The charts of runs in which trials or responses are missing, timed out or failed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.experiments.scale.fan_out import Fan
from git_to_pod.experiments.scale.polling import Poll, Restart, Scale
from git_to_pod.report.charts import scale_charts, svg, trial_charts, trial_figures
from git_to_pod.report.charts.dot_plot import dot_plot, dots
from git_to_pod.report.charts.svg import Chart
from git_to_pod.report.charts.trial_charts import added, compared, live_after, switched
from git_to_pod.report.charts.trial_figures import segments_of
from git_to_pod.report.second_page import candidates
from git_to_pod.timing.medians import estimate
from git_to_pod.timing.trial import PUSH, Trial
from git_to_pod.timing.trials_table import table
from tests.samples import a_run, refused, timed_out

CHARTS = (
    trial_charts.strip,
    trial_charts.ecdf,
    trial_charts.timeline,
    trial_charts.run_order,
    trial_charts.who_serves_what,
)
each_chart = pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.__name__)
pytestmark = pytest.mark.filterwarnings("error")


def drawn(chart: Chart) -> str:
    """The narrow picture of the chart. Neither title nor note may print NaN or infinity."""
    for text in (chart.title, chart.note):
        assert "nan" not in text.split()
        assert "inf" not in text.split()
    return chart.small()


@each_chart
def test_a_run_without_trials_and_responses_is_drawn(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=1)
    evaluation.measured([], [])
    assert "<svg" in drawn(chart(evaluation))


@each_chart
def test_trials_without_responses_are_drawn(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=3)
    evaluation.measured(evaluation.trials, [])
    assert "<svg" in drawn(chart(evaluation))


@each_chart
def test_responses_without_trials_are_drawn(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=3)
    evaluation.measured([], evaluation.responses)
    assert "<svg" in drawn(chart(evaluation))


@each_chart
@pytest.mark.parametrize("phase", ["polled", "published", "requested", "scheduled", "ready", "restarted"])
@pytest.mark.parametrize("served", [True, False], ids=["seen by clients", "not seen"])
def test_a_run_in_which_all_trials_timed_out_is_drawn(
    chart: Callable[[Evaluation], Chart], phase: str, served: bool, tmp_path: Path
) -> None:
    evaluation = a_run(tmp_path, commits=3)
    late = [timed_out(trial, phase) for trial in evaluation.trials]
    evaluation.measured(late, evaluation.responses if served else [])
    assert "<svg" in drawn(chart(evaluation))


@each_chart
@pytest.mark.parametrize("phase", ["published", "requested", "ready", "restarted"])
def test_a_push_that_timed_out_but_was_seen_by_clients_is_drawn(
    chart: Callable[[Evaluation], Chart], phase: str, tmp_path: Path
) -> None:
    evaluation = a_run(tmp_path, commits=1)
    trials = [timed_out(trial, phase) if trial.kind == PUSH else trial for trial in evaluation.trials]
    evaluation.measured(trials, evaluation.responses)
    assert evaluation.trials_table["mixed_commits_s"].notna().sum() == 1
    assert "<svg" in drawn(chart(evaluation))


@each_chart
def test_half_of_the_pushes_may_time_out(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=6)
    late = [trial.number for trial in evaluation.trials if trial.kind == PUSH][:3]
    trials = [timed_out(trial, "restarted") if trial.number in late else trial for trial in evaluation.trials]
    evaluation.measured(trials, evaluation.responses)
    assert "<svg" in drawn(chart(evaluation))


@each_chart
def test_a_first_push_that_git_refused_is_left_out(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=3)
    first, *others = evaluation.trials
    evaluation.measured([refused(first), *others], evaluation.responses)
    assert "<svg" in drawn(chart(evaluation))


@each_chart
def test_without_the_git_hosts_log_no_poll_is_drawn(chart: Callable[[Evaluation], Chart], tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=3)
    unmeasured = frozenset({"polled"})
    trials = [
        replace(trial, instants={k: v for k, v in trial.instants.items() if k != "polled"}, unmeasured=unmeasured)
        for trial in evaluation.trials
    ]
    evaluation.measured(trials, evaluation.responses)
    assert "<svg" in drawn(chart(evaluation))


def test_a_push_that_timed_out_lacks_the_lines_of_later_phases(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=1)
    assert "rollout complete" in drawn(trial_charts.who_serves_what(evaluation))
    trials = [timed_out(trial, "restarted") if trial.kind == PUSH else trial for trial in evaluation.trials]
    evaluation.measured(trials, evaluation.responses)
    close_up = drawn(trial_charts.who_serves_what(evaluation))
    assert "rollout complete" not in close_up
    assert "new pods Ready" in close_up


def test_segments_have_both_ends() -> None:
    trial = Trial(1, PUSH, instants={"pushed": 1.0, "requested": 2.0, "scheduled": 3.0})
    (push,) = table([trial], 1.0).to_dict("records")
    assert [(start, end) for start, end, *_ in segments_of(push)] == [("requested", "scheduled")]


def test_a_chart_of_the_whole_run_is_not_empty(tmp_path: Path) -> None:
    """Also where the first trial has no beginning: all instants are relative to it."""
    evaluation = a_run(tmp_path, commits=3)
    first, *others = evaluation.trials
    evaluation.measured([refused(first), *others], evaluation.responses)
    assert "seconds since the first trial" in drawn(trial_charts.who_serves_what(evaluation))


def test_the_title_compares_a_push_with_a_restart() -> None:
    done, late, none = estimate([2.25, 2.27, 2.5]), estimate([math.inf, math.inf, 1.0]), estimate([])
    restart = estimate([1.52])
    assert live_after(done, restart) == (
        "A push is live on all replicas after a median of 2.27 s; a rollout restart alone takes 1.52 s"
    )
    assert live_after(done, late) == "A push is live on all replicas after a median of 2.27 s"
    assert live_after(late, restart).startswith("At least half of the pushes timed out")
    assert live_after(none, restart) == "No push was measured"


def test_the_title_says_what_the_tools_add() -> None:
    assert added(0.0912, 1.4).startswith("git-sync and Reloader add a median of 0.09 s to a push; ")
    assert added(math.inf, math.inf) == "At least half of the pushes timed out before Reloader patched the Deployment"
    assert "1.40 s" in added(math.nan, 1.4)
    assert "timed out" in added(math.nan, math.inf)


def test_the_title_compares_both_halves_of_the_run() -> None:
    assert compared(2.313, 2.2) == (
        "A push is live on all replicas after a median of 2.31 s in the first half of the run and 2.20 s in the second "
        "half"
    )
    assert compared(math.inf, 2.2) == "In one half of the run, at least half of the pushes timed out"
    assert compared(math.inf, math.inf) == "In both halves of the run, at least half of the pushes timed out"
    assert compared(2.3, math.nan) == "Each trial in the order of the run"


def test_the_title_says_how_clients_switch() -> None:
    assert switched(0, 0, math.nan) == "No response showed a pushed commit"
    assert switched(1, 1, 0.0) == "Clients switched to the new commit at once in 1 push"
    assert switched(20, 20, 0.0) == "Clients switched to the new commit at once in all 20 pushes"
    assert switched(20, 18, 0.123) == (
        "Clients switched to the new commit at once in 18 of 20 pushes; in the others, both commits were served for at "
        "most 0.12 s"
    )
    assert switched(3, 0, 0.1).startswith("Clients did not switch to the new commit at once in any of 3 pushes; ")
    assert switched(1, 0, 0.1).startswith("Clients did not switch to the new commit at once in 1 push; ")


@pytest.mark.parametrize("samples", [[], [math.nan], [math.inf, math.inf], [1.0, math.inf, math.nan], [0.0]], ids=str)
def test_dots_of_any_samples_are_drawn(samples: list[float]) -> None:
    assert "<svg" in drawn(dots([("label", samples), ("other", [])], "seconds", chosen="label"))
    assert "<svg" in drawn(dots([], "seconds"))


@pytest.mark.parametrize("chart", [scale_charts.polls, scale_charts.fan_out], ids=lambda chart: chart.__name__)
@pytest.mark.parametrize("restart_s", [2.0, math.inf])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_charts_of_the_scale_are_drawn_from_few_points(
    chart: Callable[[Scale], Chart], n: int, restart_s: float
) -> None:
    scale = Scale(
        [Poll("polling", pods, 1, 1, pods, 0.003 * pods, 0.06 * pods, 7000.0 * pods) for pods in range(1, n + 1)],
        [Restart("restart", pods, restart_s * pods) for pods in range(1, n + 1)],
        [Fan("fan-out", pods, 0.2 * pods, 0.3 * pods, 30 * pods, 0.1, 1 << 20, "no pods") for pods in range(1, n + 1)],
    )
    assert "<svg" in drawn(chart(scale))


def test_a_chart_is_a_matplotlib_figure_that_a_reader_can_change_and_save(tmp_path: Path) -> None:
    drawn = trial_charts.run_order(a_run(tmp_path)).figure()
    drawn.axes[0].set_xlabel("changed by the reader")
    drawn.savefig(tmp_path / "mine.svg")
    assert "changed by the reader" in (tmp_path / "mine.svg").read_text()


FIGURES = (trial_figures.ecdf, trial_figures.timeline, trial_figures.run_order)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_a_figure_is_drawn_from_trials_csv_on_the_readers_own_axes(
    figure: Callable[[pd.DataFrame, Axes | None], Figure], tmp_path: Path
) -> None:
    evaluation = a_run(tmp_path, commits=3)
    evaluation.measured(evaluation.trials, evaluation.responses)
    trials = pd.read_csv(tmp_path / "trials.csv")
    own = Figure()
    left, right = own.subplots(1, 2)
    assert figure(trials, right) is own
    assert right.has_data()
    assert right.get_legend()
    assert not left.has_data()
    assert figure(trials, None) is not own


def test_the_figure_of_the_responses_is_drawn_from_both_csv_files(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=3)
    evaluation.measured(evaluation.trials, evaluation.responses)
    trials, responses = (pd.read_csv(tmp_path / name) for name in ("trials.csv", "responses.csv"))
    whole, close = trial_figures.who_serves_what(trials, responses).axes
    assert len(whole.lines) >= 3
    assert close.get_xlabel().startswith("seconds since the push of ")
    own = Figure()
    assert trial_figures.who_serves_what(trials, responses, own.subplots(2, 1)) is own
    assert all(ax.has_data() for ax in own.axes)


def test_the_figures_of_the_second_page_are_drawn_from_tables_too() -> None:
    own = Figure()
    upper, lower = own.subplots(2, 1)
    dot_plot(pd.DataFrame({"label": ["a", "a", "b"], "seconds": [1.0, 2.0, math.inf]}), upper)
    polls = pd.DataFrame(
        {"files": [1, 1, 9], "polls_per_s": [1, 2, 3], "node_cpu": [0.1, 0.2, 9], "host_cpu": [0, 0, 0]}
    )
    scale_charts.draw_polls(polls, lower)
    assert upper.has_data()
    assert lower.get_ylim()[1] < 1  # the row with nine files is left out
    fans = pd.DataFrame({"deployments": [1, 2], "last_patched_s": [1, 2], "last_restarted_s": [2, 4]})
    restarts = pd.DataFrame({"pods": [1, 2, 3], "restart_s": [1.0, 2.0, math.inf]})
    assert all(ax.has_data() for ax in scale_charts.draw_fan_out(fans, restarts).axes)


def test_a_candidate_that_restarts_nothing_is_named_and_not_drawn() -> None:
    restarts = {"name": "a", "samples_s": [1.0, 2.0], "polled_to_served_s": {"median": 1.2}}
    nothing = {"name": "b", "samples_s": [], "polled_to_served_s": {"median": 0.65}}
    lost = {"name": "c", "samples_s": [], "polled_to_served_s": {"median": None}}
    chart = candidates([restarts, nothing, lost])
    assert chart.note.endswith("Not drawn, because nothing restarts: “b” (served after 0.65 s).")
    assert "b:" not in chart.alternative
    assert "c: not measured" in chart.alternative
    assert "Not drawn" not in candidates([restarts]).note


def test_jupyter_shows_a_figure_as_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(svg, "get_ipython", lambda: shell)
    bundle, _ = shell.display_formatter.format(trial_figures.ecdf(a_run(tmp_path, commits=1).trials_table))  # type: ignore[union-attr]
    assert bundle["image/png"]
