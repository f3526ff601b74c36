"""How git's messages become results, and results a matrix and sentences."""

# ruff: noqa: RUF001  # signs as a reader expects them in print

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from git_to_pod.experiments.git_hosts.matrix import (
    COLUMNS,
    NO_COMMIT,
    NO_HOST,
    NO_RESULT,
    PUSH_DENIED,
    PUSHED,
    REFUSALS,
    SERVED,
    UNAUTHENTICATED,
    UNTRUSTED,
    Case,
    File,
    GitHostResult,
    file_of,
    kind_of,
    shortened,
    with_readable_log,
    wrong,
)
from git_to_pod.report.tables.git_hosts import (
    LISTED,
    conclusions,
    details,
    git_hosts_finding,
    git_hosts_tables,
    matrix,
    special_table,
)
from git_to_pod.settings import Credentials

READER = Credentials(
    username="reader", password="right", ca_crt="its CA", ssh_privatekey="its key", known_hosts="a,b ssh-ed25519 AAAA"
)
READ = GitHostResult("a host", "password", Case.BRANCH, "fetch a branch", SERVED, SERVED, True, 1.2)
OLDER = GitHostResult("old host", "password", Case.OLD_COMMIT, "fetch an old commit", NO_COMMIT, NO_COMMIT, True, 6.0)
LFS = replace(READ, case=Case.LFS, tried="file in Git LFS", file=File.POINTER)


def checks_of(server: str, authentication: str, **expected: str) -> Iterator[GitHostResult]:
    """A row for each column of the matrix, all as expected; `expected` by the name of the case."""
    usual = dict.fromkeys((Case.BRANCH, Case.COMMIT, Case.OLD_COMMIT), SERVED)
    usual |= {Case.WRONG_SECRET: UNAUTHENTICATED, Case.WRONG_HOST: UNTRUSTED, Case.PUSH: PUSH_DENIED}
    for case, result in usual.items():
        outcome = expected.get(case.name, result)
        yield GitHostResult(server, authentication, case, COLUMNS[case], outcome, outcome, True, 1.0)


def test_a_refusal_is_told_from_a_host_that_is_away() -> None:
    assert kind_of("fatal: Authentication failed for 'https://a/'", UNAUTHENTICATED) == UNAUTHENTICATED
    assert kind_of("Failed to connect to git.example.test port 443", UNAUTHENTICATED) == ""


@pytest.mark.parametrize("message", ["server says HTTP 401", "The requested URL returned error: 403"])
def test_an_http_status_is_a_refusal(message: str) -> None:
    assert kind_of(message, UNAUTHENTICATED) == UNAUTHENTICATED


def test_the_url_is_no_refusal() -> None:
    url = "https://host.example.test:4403/denied-parties.git"
    away = f"fatal: unable to access '{url}/': Failed to connect to host.example.test port 4403: Connection refused"
    assert kind_of(away, PUSH_DENIED, url) == ""


@pytest.mark.parametrize("expected", [UNAUTHENTICATED, PUSH_DENIED])
def test_the_expected_reading_of_a_message_comes_first(expected: str) -> None:
    assert kind_of("The requested URL returned error: 403", expected) == expected


def test_another_refusal_than_the_expected_one_is_named() -> None:
    assert kind_of("Host key verification failed.", UNAUTHENTICATED) == UNTRUSTED


def test_the_words_of_the_refusal_are_cut_out_of_the_log() -> None:
    log = '{"level":0,"error":"exit status 128: fatal: Authentication failed for \'https://a/\'","x":1}'
    assert shortened(log, UNAUTHENTICATED) == "Authentication failed for 'https://a/'"


def test_one_thing_is_wrong_at_a_time() -> None:
    for authentication in ("password", "token", "deploy key"):
        for _, expected, reader in wrong(READER, authentication).values():
            changed = [name for name in ("password", "ca_crt", "ssh_privatekey", "known_hosts")
                       if getattr(reader, name) != getattr(READER, name)]  # fmt: skip
            assert len(changed) == 1
            assert expected in REFUSALS


def test_a_wrong_host_key_is_of_the_same_hosts() -> None:
    what, _, reader = wrong(READER, "deploy key")[Case.WRONG_HOST]
    assert what == "wrong host key"
    assert reader.known_hosts.startswith("a,b ssh-ed25519 ")


def test_a_file_is_served_a_pointer_or_missing() -> None:
    assert file_of(200, "some content") == File.CONTENT
    assert file_of(200, "version https://git-lfs.github.com/spec/v1") == File.POINTER
    assert file_of(404, "<html>") == File.MISSING
    assert file_of(502, "") == File.NOT_CHECKED


def test_the_finding_counts_the_expected_results() -> None:
    let_in = replace(READ, case=Case.WRONG_SECRET, tried="wrong password", expected=UNAUTHENTICATED, held=False)
    assert git_hosts_finding([READ, let_in, OLDER]).startswith(
        "2 of 3 checks (2 host/credential combinations) gave the expected result. "
        "a host with a password: the check “wrong password” gave “serves the commit”. "
    )
    assert f"no: expected “{UNAUTHENTICATED}”" in git_hosts_tables([READ, let_in])


def test_the_finding_has_a_sentence_for_each_outcome() -> None:
    assert git_hosts_finding([READ]) == "The only check (1 host/credential combination) gave the expected result."
    both = [READ, replace(READ, case=Case.COMMIT)]
    assert git_hosts_finding(both) == "All 2 checks (1 host/credential combination) gave the expected result."
    failed = [replace(row, found=NO_RESULT, held=False) for row in both]
    assert git_hosts_finding(failed).startswith(
        "None of 2 checks (1 host/credential combination) gave the expected result. "
    )
    assert "did not give the expected result. " in git_hosts_finding(failed[:1])


def test_the_finding_names_a_few_failed_checks_and_counts_the_others() -> None:
    failed = [replace(row, found=NO_RESULT, held=False) for row in checks_of("a host", "token")]
    assert len(failed) == LISTED + 1
    assert git_hosts_finding(failed).endswith("Of the failed checks, 1 more is in the table.")


def test_no_rows_are_no_error() -> None:
    assert git_hosts_finding([]) == "No git host was checked."
    assert "embedded lab only" in git_hosts_tables([])
    assert [conclusions([]), matrix([]), special_table([]), details([])] == [[], [], [], []]


def test_the_conclusion_says_only_what_was_found() -> None:
    assert conclusions([READ]) == []
    assert "from old host" in conclusions([READ, OLDER])[0]


def test_each_limit_has_its_conclusion() -> None:
    redirect = replace(READ, expected=UNAUTHENTICATED, found=UNAUTHENTICATED)
    off = replace(READ, case=Case.SUBMODULE_OFF, file=File.MISSING)
    elsewhere = replace(READ, case=Case.SUBMODULE_ELSEWHERE, expected=NO_HOST, found=NO_HOST)
    found = conclusions([OLDER, redirect, LFS, off, elsewhere])
    for sentence, word in zip(found, ("branch tip", "redirects", "LFS", "=off", "=recursive"), strict=True):
        assert word in sentence
        assert sentence.endswith(".")


def test_a_refused_password_is_no_conclusion_about_redirects() -> None:
    assert conclusions([replace(READ, found=UNAUTHENTICATED, held=False)]) == []


def test_a_conclusion_does_not_depend_on_how_a_check_is_called() -> None:
    assert conclusions([replace(OLDER, tried="x"), replace(LFS, tried="y", message="")]) == conclusions([OLDER, LFS])


def test_the_matrix_has_a_row_for_each_host_and_credentials_and_a_column_for_each_check() -> None:
    rows = [*checks_of("a host", "password"), *checks_of("a host", "token"), *checks_of("OpenSSH", "deploy key"), LFS]
    found = matrix(rows)
    assert [(row["git host"], row["credentials"]) for row in found] == [
        ("a host", "password"),
        ("a host", "token"),
        ("OpenSSH", "deploy key"),
    ]
    assert [name.partition(" → ")[0] for name in list(found[0])[2:]] == list(COLUMNS.values())
    assert [name.partition(" → ")[2] for name in list(found[0])[2:]] == ["served"] * 3 + ["refused"] * 3
    assert {value for row in found for value in list(row.values())[2:]} == {"✓"}


def test_the_matrix_shows_where_another_result_is_expected() -> None:
    rows = [
        *checks_of("a host", "password"),
        *checks_of("OpenSSH", "key"),
        *checks_of("v0", "key", OLD_COMMIT=NO_COMMIT),
    ]
    cells = [row["fetch a commit that is no longer a branch tip → served"] for row in matrix(rows)]
    assert cells == ["✓", "✓", "✓ refused"]


def test_the_matrix_names_the_unexpected_result() -> None:
    *others, push = checks_of("a host", "password")
    found = matrix([*others, replace(push, found=PUSHED, held=False)])
    assert found[0]["push with the cluster's credentials → refused"] == "✗ push accepted"


def test_the_matrix_marks_what_was_not_checked() -> None:
    branch, *_ = checks_of("redirected", "password", BRANCH=UNAUTHENTICATED)
    *_, redirected = matrix([*checks_of("a host", "password"), *checks_of("OpenSSH", "key"), branch])
    assert list(redirected.values()) == ["redirected", "password", "✓ refused", "–", "–", "–", "–", "–"]


def test_checks_on_one_host_have_a_table_of_their_own() -> None:
    elsewhere = replace(READ, case=Case.SUBMODULE_ELSEWHERE, expected=NO_HOST, found=NO_HOST)
    found = [
        list(row.values())[1:] for row in special_table([READ, LFS, elsewhere, replace(LFS, held=False, found="x")])
    ]
    assert found == [
        ["✓ served", "pointer served instead"],
        ["✓ not served", "–"],
        ["✗ x", "pointer served instead"],
    ]
    assert "checked on a host only" in git_hosts_tables([READ, LFS])
    assert "Git LFS" not in git_hosts_tables([READ])


def test_all_checks_are_folded_below_the_matrix_and_escaped() -> None:
    page = git_hosts_tables([READ, replace(OLDER, server="<b>", message="<script>")])
    before, folded = page.split("<details><summary>All 2 checks in detail</summary>")
    assert folded.endswith("</details>")
    assert folded.count("<tr") == 3
    assert "&lt;script&gt;" in folded
    assert "<script" not in page
    assert "<b>" not in page
    assert "✓" in before


def test_what_needed_no_pod_has_no_time() -> None:
    assert ">nan" not in git_hosts_tables([replace(READ, seconds=math.nan)])


@pytest.mark.parametrize("kind", ["initContainers", "containers"])
def test_git_syncs_log_can_be_read_while_it_retries(kind: str) -> None:
    nginx = {"name": "nginx", "lifecycle": {"preStop": {}}}
    spec = {"containers": [nginx], "initContainers": []}
    spec[kind] = [*spec[kind], {"name": "git-sync", "lifecycle": {"postStart": {}}}]
    template = {"spec": spec}
    found = with_readable_log(template)["spec"]
    assert found[kind][-1] == {"name": "git-sync"}
    assert found["containers"][0] == nginx
    assert "lifecycle" in template["spec"][kind][-1]
