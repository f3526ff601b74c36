"""The reflector, with scripted answers of the API server, and on a real connection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from git_to_pod.cluster.api import ApiError, Cluster, Lines, Object, Unreachable
from git_to_pod.cluster.reflector import Reflector
from tests.api_server import ApiServer

PATH = "/api/v1/namespaces/n/pods"
GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
RESET = Unreachable("https://127.0.0.1", ConnectionResetError("reset by peer"))
FORBIDDEN = ApiError("GET", PATH, 403, b'{"message": "pods is forbidden"}')


def item(uid: str, version: int) -> Object:
    return {"metadata": {"name": f"pod-{uid}", "uid": uid, "resourceVersion": str(version)}}


def listed(version: int, *items: Object) -> Object:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(change: str, uid: str, version: int) -> Object:
    return {"type": change, "object": item(uid, version)}


class Stream:
    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        for each in self.events:
            if isinstance(each, Exception):
                raise each
            yield 0.0, each if isinstance(each, bytes) else json.dumps(each).encode()

    def close(self) -> None:
        pass


class Pauses(threading.Event):
    """Does not wait, and keeps how long it should have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.lengths.append(timeout or 0.0)
        return self.is_set()


class Scripted:
    """Answers each list and each watch with the next line of its script. The reflector stops after the last one."""

    server = "https://127.0.0.1"

    def __init__(self, *script: Any) -> None:  # noqa: ANN401
        self.script = list(script)
        self.asked: list[str] = []
        self.errors: list[str] = []  # of the reflector, at each list and watch
        self.seen: list[tuple[str, str]] = []
        self.reflector = Reflector(cast(Cluster, self), PATH, self.see)
        self.pauses = self.reflector.stopped = Pauses()

    def see(self, _instant: float, change: str, item: Object) -> None:
        self.seen.append((change, item["metadata"]["uid"]))

    def next(self, asked: str) -> Any:  # noqa: ANN401
        if not self.script:  # the reflector has stopped
            return []
        self.asked.append(asked)
        self.errors.append(self.reflector.error)
        answer = self.script.pop(0)
        if not self.script:
            self.reflector.stopped.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, _path: str) -> Object:
        return cast(Object, self.next("list"))

    def lines(self, _path: str, _timeout_s: float, **query: str) -> Lines:
        return cast(Lines, Stream(self.next(f"watch from {query['resourceVersion']}")))

    def run(self) -> Scripted:
        self.reflector.run()
        return self


def test_it_lists_and_follows_from_there() -> None:
    events = [event("ADDED", "b", 6), event("MODIFIED", "a", 7), event("DELETED", "b", 8)]
    run = Scripted(listed(5, item("a", 3)), events, []).run()
    assert run.asked == ["list", "watch from 5", "watch from 8"]
    assert run.seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert run.reflector.error == ""


@pytest.mark.parametrize("gone", [[GONE], ApiError("GET", PATH, 410, b'{"message": "Expired"}')], ids=["event", "HTTP"])
def test_after_410_it_lists_again_and_reports_only_what_changed(gone: object) -> None:
    run = Scripted(
        listed(5, item("same", 1), item("changed", 2), item("deleted", 3)),
        gone,
        listed(9, item("same", 1), item("changed", 7), item("new", 8)),
        [],
    ).run()
    assert run.asked == ["list", "watch from 5", "list", "watch from 9"]
    assert run.seen[3:] == [("DELETED", "deleted"), ("MODIFIED", "changed"), ("ADDED", "new")]


def test_an_object_that_was_replaced_meanwhile_is_deleted_before_it_is_added() -> None:
    old, new = item("old", 1), item("new", 7)
    new["metadata"]["name"] = old["metadata"]["name"]
    run = Scripted(listed(5, old), [GONE], listed(9, new), []).run()
    assert run.seen == [("ADDED", "old"), ("DELETED", "old"), ("ADDED", "new")]


def test_a_list_that_repeats_itself_reports_nothing_twice() -> None:
    run = Scripted(*[listed(5, item("a", 3)), [GONE]] * 4, listed(5, item("a", 3)), []).run()
    assert run.seen == [("ADDED", "a")]


def test_a_bookmark_only_moves_the_version() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "42"}}}
    run = Scripted(listed(5), [bookmark], []).run()
    assert run.asked == ["list", "watch from 5", "watch from 42"]
    assert run.seen == []


def test_after_a_lost_connection_it_goes_on_from_the_last_event() -> None:
    run = Scripted(listed(5), [event("ADDED", "a", 6), RESET], RESET, []).run()
    assert run.asked == ["list", "watch from 5", "watch from 6", "watch from 6"]
    assert run.seen == [("ADDED", "a")]


@pytest.mark.parametrize("broken", [b'{"type": "ADDED", "obj', b"<html>", b"[]", b'{"type": "ADDED"}'])
def test_after_a_broken_line_it_lists_again(broken: bytes) -> None:
    run = Scripted(listed(5), [event("ADDED", "a", 6), broken], listed(7, item("a", 6), item("b", 7)), []).run()
    assert run.asked == ["list", "watch from 5", "list", "watch from 7"]
    assert run.seen == [("ADDED", "a"), ("ADDED", "b")]


def test_it_backs_off_while_the_same_error_is_repeated_and_keeps_it() -> None:
    run = Scripted(*[FORBIDDEN] * 7, listed(5)).run()
    assert run.pauses.lengths == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert run.asked == ["list"] * 8
    assert run.errors == ["", *[f"GET {PATH}: 403 pods is forbidden"] * 7]


def test_it_is_back_within_a_second_of_an_outage() -> None:
    run = Scripted(*[RESET] * 5, FORBIDDEN, listed(5)).run()
    assert run.pauses.lengths == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0, 0.2])


def test_an_event_ends_the_error_and_the_backing_off() -> None:
    run = Scripted(FORBIDDEN, FORBIDDEN, listed(5), [event("ADDED", "a", 6)], FORBIDDEN, listed(6))
    errors: list[str] = []
    run.reflector.see = lambda *_: errors.append(run.reflector.error)
    run.run()
    assert errors == [""]
    assert run.pauses.lengths == pytest.approx([0.2, 0.4, 0.2])


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_pause() -> None:
    run = Scripted(listed(5), [], [], [], []).run()
    assert run.pauses.lengths == pytest.approx([0.2, 0.4, 0.8])
    assert run.errors[-1] == "no answer from https://127.0.0.1 (it ended the watch at once)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as running:
        yield running


def test_stop_ends_the_thread_that_waits_for_an_event(server: ApiServer) -> None:
    server.answers[PATH] = listed(5, item("a", 3))
    server.events = [event("ADDED", "b", 6)]
    seen: list[str] = []
    reflector = Reflector(server.cluster(), PATH, lambda _instant, _change, item: seen.append(item["metadata"]["uid"]))
    thread = threading.Thread(target=reflector.run, daemon=True)
    thread.start()
    server.wait_until(lambda: seen == ["a", "b"])
    time.sleep(0.2)  # it waits for the next line
    assert thread.is_alive()
    reflector.stop()
    thread.join(1)
    assert not thread.is_alive()
    assert reflector.error == ""


def test_stop_ends_the_thread_that_pauses_after_an_error(server: ApiServer) -> None:
    server.answers[PATH] = 403
    reflector = Reflector(server.cluster(), PATH, lambda *_: None)
    thread = threading.Thread(target=reflector.run, daemon=True)
    thread.start()
    server.wait_until(lambda: bool(reflector.error))
    reflector.stop()
    thread.join(1)
    assert not thread.is_alive()
