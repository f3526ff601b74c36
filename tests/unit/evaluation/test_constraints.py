"""The constraints on the repository: only an answer of the git host meets them. With real git and local servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from git_to_pod.evaluation.constraints import private, read_only
from git_to_pod.git import repository as repository_module
from git_to_pod.git.refusals import Refusal
from git_to_pod.git.repository import PROBE, Repository, open_repository
from git_to_pod.settings import Credentials, Settings
from tests.unit.git.local_git import Host, answering, hook, make_repository, refs, serving, settings_for

READER, WRITER = Credentials("reader", "secret-of-the-reader"), Credentials("writer", "secret-of-the-writer")
PATH = "/denied-parties.git"
REFUSED = "The git host refuses a push with the cluster's credentials."


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """git gives up after 2 s here, also in a run with a longer --timeout."""
    monkeypatch.setattr("git_to_pod.evaluation.constraints.git_limit_s", lambda _: 2.0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A git host with one repository. The reader may read it, the writer may also push to it."""
    make_repository(tmp_path / PATH[1:])
    accounts = {account.username: account.password for account in (READER, WRITER)}
    return Host(tmp_path, accounts, {"writer"})


@pytest.fixture
def settings(host: Host) -> Iterator[Settings]:
    with serving(host.handler) as server:
        yield settings_for(server.url + PATH, READER, WRITER)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Repository]:
    repository = open_repository(settings)
    yield repository
    repository.close()


def at(settings: Settings, url: str) -> Settings:
    return replace(settings, repository=url, push_url=url)


def test_a_host_that_asks_for_an_account_is_private(settings: Settings) -> None:
    check = private(settings)
    assert check.holds is True
    assert check.evidence == "The git host refuses a client without credentials."
    assert check.rows[0]["result"].startswith("fatal: could not read Username for")
    assert check.rows[1]["result"] == "it succeeded"


def test_a_repository_that_is_not_found_is_private_only_if_the_cluster_can_read_it(
    host: Host, settings: Settings
) -> None:
    host.hidden = True  # over HTTP from everyone: git sends no credentials unless the host asks for them
    check = private(settings)
    assert check.holds is None
    assert check.evidence == "Not shown: reading failed without credentials, but also with the cluster's."


def test_a_public_repository_is_not_private(host: Host, settings: Settings) -> None:
    host.public = True
    check = private(settings)
    assert check.holds is False
    assert check.evidence == "The git host lets a client without credentials read the repository."


@pytest.mark.parametrize("port", [0, 4403])
@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_host_that_fails_is_not_shown_to_be_private(opened: Repository, status: int, port: int) -> None:
    try:
        with serving(answering(status), port) as server:
            settings = at(settings_for(opened.url, READER, WRITER), server.url + PATH)
            checks = private(settings), read_only(settings, opened)
    except OSError:
        pytest.skip(f"something listens on port {port}")
    for check in checks:
        assert check.holds is None
        assert check.evidence.startswith("Not shown: ")
        assert "refuses" not in check.evidence


@pytest.mark.parametrize("port", [0, 4403])
def test_a_host_that_cannot_be_reached_is_not_shown_to_refuse(opened: Repository, port: int) -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        url = f"http://127.0.0.1:{held.getsockname()[1]}{PATH}"
        settings = at(settings_for(opened.url, READER, WRITER), url)
        checks = private(settings), read_only(settings, opened)
    for check in checks:
        assert check.holds is None
        assert Refusal.UNREACHABLE.value in check.evidence


def test_a_silent_host_is_not_shown_to_refuse(opened: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = at(settings_for(opened.url, READER, WRITER), f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}")
        check = private(settings)
    assert check.holds is None
    assert Refusal.TIMED_OUT.value in check.evidence


def test_a_host_that_refuses_everyone_shows_nothing(settings: Settings, opened: Repository) -> None:
    with serving(answering(403)) as server:
        elsewhere = at(settings, server.url + PATH)
        assert private(elsewhere).holds is None
        assert read_only(elsewhere, opened).holds is None


def test_an_account_that_may_only_read_is_read_only(host: Host, settings: Settings, opened: Repository) -> None:
    check = read_only(settings, opened)
    assert (check.holds, check.evidence) == (True, REFUSED)
    assert check.rows[0]["result"].endswith("The requested URL returned error: 403")
    assert list(refs(host.root / PATH[1:])) == ["main"]


def test_a_push_that_a_hook_declines_is_refused(host: Host, settings: Settings, opened: Repository) -> None:
    host.pushers.add("reader")
    hook(host.root / PATH[1:], "pre-receive", '[ "$REMOTE_USER" = writer ] || { echo "readers may not push"; exit 1; }')
    check = read_only(settings, opened)
    assert (check.holds, check.evidence) == (True, REFUSED)
    assert check.rows[0]["result"] == "remote: readers may not push"


def test_a_rule_on_branches_does_not_make_an_account_read_only(
    host: Host, settings: Settings, opened: Repository
) -> None:
    host.pushers.add("reader")
    hook(
        host.root / PATH[1:], "pre-receive", "echo \"GitLab: Branch name does not follow the pattern '^main$'\"; exit 1"
    )
    check = read_only(settings, opened)
    assert check.holds is None
    assert Refusal.RULE.value in check.evidence


@pytest.mark.parametrize("one_account", [True, False])
def test_an_account_that_may_push_is_found_out_and_cleaned_up_after(
    host: Host, settings: Settings, one_account: bool
) -> None:
    host.pushers.add("reader")
    before = refs(host.root / PATH[1:])
    settings = replace(settings, writer=READER) if one_account else settings
    opened = open_repository(settings)
    check = read_only(settings, opened)
    opened.close()
    assert check.holds is False
    assert check.evidence == "The git host accepts a push with the cluster's credentials."
    assert check.rows[-1]["result"] == "it is not on the git host"
    assert refs(host.root / PATH[1:]) == before


def test_the_branch_is_deleted_with_the_account_that_may_do_so(
    host: Host, settings: Settings, opened: Repository
) -> None:
    host.pushers.add("reader")
    only_reader = '[ "$REMOTE_USER" = reader ] || exit 1'
    hook(host.root / PATH[1:], "pre-receive", only_reader)
    check = read_only(settings, opened)
    assert check.holds is False
    assert list(refs(host.root / PATH[1:])) == ["main"]


def test_a_branch_that_cannot_be_deleted_is_named(host: Host, settings: Settings, opened: Repository) -> None:
    host.pushers.add("reader")
    make_sticky = "while read -r old new ref; do case $new in *[!0]*) ;; *) exit 1 ;; esac; done"
    hook(host.root / PATH[1:], "pre-receive", make_sticky)
    check = read_only(settings, opened)
    assert check.holds is False
    (branch,) = refs(host.root / PATH[1:]).keys() - {"main"}
    assert branch.startswith(f"{PROBE}-")
    assert f"The branch refs/heads/{branch} of this check may still be there; delete it." in check.evidence


def test_no_password_is_in_the_evidence(opened: Repository) -> None:
    """Of a host that repeats what it was sent."""
    with serving(answering(403, "Permission to x denied to {auth}", authenticate=True)) as server:
        settings = at(settings_for(opened.url, READER, WRITER), server.url + PATH)
        checks = [private(settings), read_only(settings, opened)]
    assert "remote: Permission to x denied to Basic ***" in str(checks)
    for account in (READER, WRITER):
        for secret in repository_module.secrets_of(account):
            assert secret not in repr(checks)
