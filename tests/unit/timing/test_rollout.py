"""The phases of a rollout, from scripted events."""

from __future__ import annotations

from git_to_pod.cluster.recorder import Event
from git_to_pod.timing.rollout import Rollout, count_rollouts
from git_to_pod.timing.trial import out_of_order
from tests.samples import deployment, pod, published

BOTH = ("nginx", "git-sync")
A_RESTART = [
    published(1.0, "new"),
    deployment(1.1, "new"),
    pod(1.2, "app-3"),
    pod(1.3, "app-4"),
    pod(1.7, "app-3", running=("git-sync",)),
    pod(1.8, "app-4", running=BOTH),
    pod(1.9, "app-3", running=BOTH, ready=True),
    pod(2.0, "app-4", running=BOTH, ready=True),
    pod(2.1, "app-1", leaving=True),
    deployment(2.2, "new", updated=2, total=2, ready=2),
    pod(2.3, "app-2", leaving=True),
]


def a_rollout() -> Rollout:
    return Rollout("app", {"stamp": "old"}, {"app-1", "app-2"}, "new")


def seen(events: list[Event]) -> dict[str, float]:
    rollout = a_rollout()
    for event in events:
        rollout.see(event)
    return rollout.instants


def test_each_phase_is_reached_with_the_last_pod_that_reaches_it() -> None:
    assert seen(A_RESTART) == {
        "published": 1.0,
        "requested": 1.1,
        "scheduled": 1.3,
        "git_sync_running": 1.8,
        "app_running": 1.9,
        "ready": 2.0,
        "restarted": 2.3,
    }


def test_restarted_waits_for_the_old_pods_to_leave() -> None:
    assert "restarted" not in seen(A_RESTART[:-1])


def test_restarted_waits_for_the_deployment_to_be_complete() -> None:
    events = [event for event in A_RESTART if event.instant != 2.2]
    assert "restarted" not in seen(events)


def test_another_commit_does_not_count_as_published() -> None:
    assert "published" not in seen([published(1.0, "another")])


def test_an_unchanged_template_starts_no_rollout() -> None:
    assert seen([deployment(1.0, "old", updated=2, total=2, ready=2)]) == {}


def test_pods_of_other_deployments_do_not_count() -> None:
    stranger = pod(1.2, "app-without-git-sync-1", running=BOTH, ready=True)
    stranger.object["metadata"]["labels"] = {"app": "app-without-git-sync"}
    assert "ready" not in seen([deployment(1.1, "new"), stranger, stranger])


def test_a_pod_that_a_later_rollout_replaces_does_not_count() -> None:
    rollout = a_rollout()
    for event in [*A_RESTART[:4], pod(1.4, "app-3", leaving=True), pod(1.5, "app-5", running=BOTH, ready=True)]:
        rollout.see(event)
    assert set(rollout.pods) == {"app-4", "app-5"}
    assert "ready" not in rollout.instants


def test_a_second_template_change_is_counted() -> None:
    rollout = a_rollout()
    for event in [deployment(1.1, "new"), deployment(1.2, "newer"), deployment(1.3, "newer")]:
        rollout.see(event)
    assert rollout.rollouts == 2
    assert rollout.instants["requested"] == 1.1


def test_template_changes_of_a_paused_deployment_are_one_rollout() -> None:
    events = [deployment(at, text) for at, text in ((1.1, "a"), (1.2, "b"), (1.3, "c"), (1.4, "c"), (1.5, "c"))]
    for event in events[:3]:
        event.object["spec"]["paused"] = True
    old = deployment(1.0, "old").object["spec"]["template"]
    assert count_rollouts(events, "app", old) == 1
    assert count_rollouts(events[:3], "app", old) == 0


def test_phases_in_order_pass() -> None:
    assert not out_of_order(seen(A_RESTART))


def test_a_negative_phase_fails_the_trial_and_is_named() -> None:
    assert out_of_order({"polled": 1.5, "published": 1.2}) == "published 0.300 s before polled"
    assert not out_of_order({"published": 1.501, "requested": 1.5})  # two watches, received in two threads
