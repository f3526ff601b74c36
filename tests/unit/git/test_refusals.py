"""What git's messages mean: strings of git hosts, and real git against servers on 127.0.0.1."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

import pytest

from git_to_pod.git.errors import GitError
from git_to_pod.git.refusals import Refusal, classify, excerpt, kinds, reason
from git_to_pod.git.repository import account
from git_to_pod.settings import Credentials
from tests.unit.git.local_git import Server, answering, serving

URL = "https://git.example.test:4403/acme/denied-parties.git"
END_OF_SSH = """fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
UNABLE = f"fatal: unable to access '{URL}/': "

# The words of git, curl, ssh and of git hosts for this URL, as git prints them.
MESSAGES = {
    Refusal.AUTHENTICATION: [
        f"fatal: Authentication failed for '{URL}/'",
        "fatal: could not read Username for 'https://git.example.test:4403': terminal prompts disabled",
        f"{UNABLE}The requested URL returned error: 401",
        "error: RPC failed; HTTP 401 curl 22 The requested URL returned error: 401",
        f"git@git.example.test: Permission denied (publickey).\r\n{END_OF_SSH}",
        f"Permission denied (publickey,password).\n{END_OF_SSH}",
        f"remote: Invalid username or token. Password authentication is not supported for Git operations.\n"
        f"fatal: Authentication failed for '{URL}/'",
        "remote: HTTP Basic: Access denied. If a password was provided for Git authentication, the password was "
        "incorrect or you're required to use a token instead of a password.\n"
        f"fatal: Authentication failed for '{URL}/'",
        f"remote: Unauthorized\nfatal: Authentication failed for '{URL}/'",
        f"remote: You may not have access. Send an email to the owner.\nfatal: Authentication failed for '{URL}/'",
    ],
    Refusal.NOT_AUTHORIZED: [
        f"{UNABLE}The requested URL returned error: 403",
        f"remote: Permission to acme/denied-parties.git denied to bob.\n{UNABLE}The requested URL returned error: 403",
        f"remote: Write access to repository not granted.\n{UNABLE}The requested URL returned error: 403",
        f"ERROR: Permission to acme/denied-parties.git denied to bob.\n{END_OF_SSH}",
        f"ERROR: The key you are authenticating with has been marked as read only.\n{END_OF_SSH}",
        f"remote: You are not allowed to push code to this project.\n{UNABLE}The requested URL returned error: 403",
        "remote: \nremote: ========================================================================\nremote: \n"
        f"remote: This deploy key does not have write access to this project.\nremote: \n{END_OF_SSH}",
        f"remote: User permission denied for writing.\n{UNABLE}The requested URL returned error: 403",
        f"Gitea: Unauthorized\n{END_OF_SSH}",
        f"Deploy Key: 1:cluster is not authorized to write to acme/denied-parties.\n{END_OF_SSH}",
        f"Unauthorized\n{END_OF_SSH}",
        f"conq: repository access denied. access via a deployment key is read-only.\n{END_OF_SSH}",
        "remote: Your credentials lack one or more required privilege scopes.\n"
        f"{UNABLE}The requested URL returned error: 403",
        f"FATAL: W any acme/denied-parties bob DENIED by fallthru\n{END_OF_SSH}",
        "remote: TF401027: You need the Git 'GenericContribute' permission to perform this action.",
        "remote: no\nTo x\n ! [remote rejected] HEAD -> main (pre-receive hook declined)\n"
        f"error: failed to push some refs to '{URL}'",
        f"reader may not run: git-receive-pack '/acme/denied-parties.git'\n{END_OF_SSH}",
        "error: insufficient permission for adding an object to repository database ./objects",
    ],
    Refusal.RULE: [
        "remote: error: GH006: Protected branch update failed for refs/heads/main.\n"
        " ! [remote rejected] HEAD -> main (protected branch hook declined)",
        "remote: error: GH013: Repository rule violations found for refs/heads/main.\n"
        " ! [remote rejected] HEAD -> main (push declined due to repository rule violations)",
        "remote: GitLab: You are not allowed to push code to protected branches on this project.\n"
        " ! [remote rejected] HEAD -> main (pre-receive hook declined)",
        "remote: GitLab: Author 'evaluation@git-to-pod.example' is not a member of team\n"
        " ! [remote rejected] HEAD -> main (pre-receive hook declined)",
        "remote: GitLab: Committer's email 'a@b.example' does not follow the pattern '@acme.example$'\n"
        " ! [remote rejected] HEAD -> main (pre-receive hook declined)",
        "remote: Gitea: Not allowed to push to protected branch main\n"
        " ! [remote rejected] HEAD -> main (pre-receive hook declined)",
        "remote: Branch refs/heads/main can only be modified through pull requests.\n"
        " ! [remote rejected] HEAD -> main (pre-receive hook declined)",
        " ! [remote rejected] HEAD -> main (TF402455: Pushes to this branch are not permitted; you must use a pull "
        "request to update this branch.)",
    ],
    Refusal.BEHIND: [
        " ! [rejected]        0123456 -> main (fetch first)\nerror: failed to push some refs to 'x'\n"
        "hint: Updates were rejected because the remote contains work that you do not have locally.",
        " ! [rejected]        0123456 -> main (non-fast-forward)",
        f" ! [remote rejected] 0 -> main (cannot lock ref 'refs/heads/main': is at {'a' * 40} but expected {'b' * 40})",
    ],
    Refusal.HOST_KEY: [
        "No ED25519 host key is known for [git.example.test]:2222 and you have requested strict checking.\r\n"
        f"Host key verification failed.\r\n{END_OF_SSH}",
        "@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@@\n"
        "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
        "Host key for git.example.test has changed and you have requested strict checking.\n"
        f"Host key verification failed.\n{END_OF_SSH}",
    ],
    Refusal.CERTIFICATE: [
        f"{UNABLE}server certificate verification failed. CAfile: /x/ca.crt CRLfile: none",
        f"{UNABLE}server verification failed: certificate signer not trusted. (CAfile: /x/ca.crt CRLfile: none)",
        f"{UNABLE}SSL certificate problem: unable to get local issuer certificate",
        f"{UNABLE}SSL: no alternative certificate subject name matches target host name 'git.example.test'",
    ],
    Refusal.NO_REPOSITORY: [
        f"fatal: repository '{URL}/' not found",
        f"remote: Repository not found.\nfatal: repository '{URL}/' not found",
        f"ERROR: Repository not found.\n{END_OF_SSH}",
        "remote: The project you were looking for could not be found or you don't have permission to view it.\n"
        f"fatal: repository '{URL}/' not found",
        f"ERROR: The project you were looking for could not be found or you don't have permission to view it.\n"
        f"{END_OF_SSH}",
        "The requested repository either does not exist or you do not have access. If you believe this repository "
        f"exists and you have access, make sure you're authenticated.\n{END_OF_SSH}",
        f"conq: repository does not exist.\n{END_OF_SSH}",
        f"fatal: '/acme/denied-parties.git' does not appear to be a git repository\n{END_OF_SSH}",
        "remote: TF401019: The Git repository with name or identifier x does not exist or you do not have permissions "
        "for the operation you are attempting.",
    ],
    Refusal.NO_COMMIT: [
        "error: Server does not allow request for unadvertised object 0123456",
        "fatal: remote error: upload-pack: not our ref 0123456",
        "fatal: couldn't find remote ref refs/heads/denied",
        "fatal: Remote branch denied not found in upstream origin",
    ],
    Refusal.NO_HOST: [
        f"{UNABLE}Could not resolve host: git.example.test",
        f"ssh: Could not resolve hostname git.example.test: Name or service not known\n{END_OF_SSH}",
        f"{UNABLE}Could not resolve proxy: proxy.example.test",
    ],
    Refusal.TIMED_OUT: [
        f"{UNABLE}Failed to connect to git.example.test port 4403 after 130000 ms: Connection timed out",
        f"ssh: connect to host git.example.test port 2222: Connection timed out\n{END_OF_SSH}",
        f"Connection timed out during banner exchange\n{END_OF_SSH}",
    ],
    Refusal.UNREACHABLE: [
        f"{UNABLE}Failed to connect to git.example.test port 4403 after 0 ms: Couldn't connect to server",
        f"{UNABLE}Failed to connect to git.example.test port 403: Connection refused",
        f"{UNABLE}Empty reply from server",
        f"{UNABLE}Recv failure: Connection reset by peer",
        f"{UNABLE}Received HTTP code 403 from proxy after CONNECT",
        f"{UNABLE}CONNECT tunnel failed, response 403",
        f"{UNABLE}gnutls_handshake() failed: The TLS connection was non-properly terminated.",
        f"ssh: connect to host git.example.test port 22: Connection refused\n{END_OF_SSH}",
        f"ssh: connect to host git.example.test port 22: Permission denied\n{END_OF_SSH}",
        f"kex_exchange_identification: Connection closed by remote host\n{END_OF_SSH}",
        f"Connection closed by 192.0.2.1 port 22\n{END_OF_SSH}",
        "error: RPC failed; curl 56 Recv failure: Connection reset by peer\nfatal: early EOF",
    ],
    Refusal.OTHER: [
        f"{UNABLE}The requested URL returned error: 500",
        f"{UNABLE}The requested URL returned error: 429",
        f"fatal: {URL}/info/refs not valid: is this a git repository?",
        "fatal: could not create work tree dir '/denied': No space left on device",
        "fatal: the receiving end does not support --atomic push",
        "",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in MESSAGES.items() for text in texts])
def test_each_message_has_its_kind(kind: Refusal, text: str) -> None:
    assert classify(text, URL) is kind


HOSTS = ["denied.example.test", "access-denied-403.example.test", "401.example.test", "host-key.example.test", "denied"]
PORTS = ["", ":4403", ":403", ":401", ":404"]
PATHS = [
    "denied-parties.git", "acme/returned%20error:%20403.git", "not-authorized-to/hook-declined", "acme/403.git",
    "Permission%20denied%20(publickey)/x.git", "fetch-first.git", "repository/not-found.git",
]  # fmt: skip


@pytest.mark.parametrize(("host", "port", "path"), [*itertools.product(HOSTS, PORTS, PATHS)])
def test_no_word_or_number_of_the_url_is_a_refusal(host: str, port: str, path: str) -> None:
    url, number = f"https://{host}{port}/{path}", port[1:] or "443"
    unable = f"fatal: unable to access '{url}/': "
    message = [
        (Refusal.NO_HOST, f"{unable}Could not resolve host: {host}"),
        (Refusal.UNREACHABLE, f"{unable}Failed to connect to {host} port {number} after 0 ms"),
        (Refusal.UNREACHABLE, f"ssh: connect to host {host} port {number}: Connection refused\n{END_OF_SSH}"),
        (Refusal.OTHER, f"{unable}The requested URL returned error: 500"),
        (Refusal.OTHER, f"fatal: /{path.removesuffix('.git')}: something else"),
        # and a refusal stays one
        (Refusal.NOT_AUTHORIZED, f"{unable}The requested URL returned error: 403"),
        (Refusal.AUTHENTICATION, f"fatal: Authentication failed for '{url}/'"),
        (Refusal.AUTHENTICATION, f"git@{host}: Permission denied (publickey).\n{END_OF_SSH}"),
        (Refusal.NO_REPOSITORY, f"fatal: repository '{url}/' not found"),
    ]
    for kind, text in message:
        assert classify(text, url) is kind, text


@pytest.mark.parametrize("branch", ["denied", "hook-declined", "access-denied", "403", "fix-timed-out", "protected"])
def test_no_word_of_a_branch_is_a_refusal(branch: str) -> None:
    assert classify(f" ! [remote rejected] HEAD -> {branch} (failed to update ref)", URL) is Refusal.OTHER
    assert classify(f"fatal: Remote branch {branch} not found in upstream origin", URL) is Refusal.NO_COMMIT


def test_a_text_may_name_several_reasons() -> None:
    assert kinds(f"{MESSAGES[Refusal.NO_HOST][0]}\n{MESSAGES[Refusal.AUTHENTICATION][0]}", URL) == [
        Refusal.AUTHENTICATION,
        Refusal.NO_HOST,
    ]
    assert kinds("all is well") == []


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("Cloning into 'x'...\nfatal: repository not found\n", "fatal: repository not found"),
        (f"Host key verification failed.\r\n{END_OF_SSH}", "Host key verification failed."),
        (
            MESSAGES[Refusal.HOST_KEY][1],
            "Host key for git.example.test has changed and you have requested strict checking.",
        ),
        (MESSAGES[Refusal.NOT_AUTHORIZED][6], "remote: This deploy key does not have write access to this project."),
        (
            "remote: No pushes on Friday.\n ! [remote rejected] HEAD -> main (pre-receive hook declined)",
            "remote: No pushes on Friday.",
        ),
        (
            MESSAGES[Refusal.RULE][2],
            "remote: GitLab: You are not allowed to push code to protected branches on this project.",
        ),
        (
            "remote: \nremote: error:        \nremote: error: branch x is the default branch and cannot be deleted\n"
            " ! [remote rejected] x (pre-receive hook declined)",
            "remote: error: branch x is the default branch and cannot be deleted",
        ),
        (MESSAGES[Refusal.BEHIND][0], "! [rejected] 0123456 -> main (fetch first)"),
        ("warning: redirecting to x\nfatal: some other error\n", "fatal: some other error"),
        ("", "git gave no reason"),
        (END_OF_SSH, "git gave no reason"),
    ],
)
def test_the_line_that_gives_the_reason_is_taken(stderr: str, line: str) -> None:
    assert reason(stderr, URL) == line


def test_a_message_is_one_short_line_without_control_characters_and_passwords() -> None:
    stderr = f"remote: \x1b[31mdenied\x07\nfatal: Authentication failed for 'https://bob:hunter2@x/'{'!' * 1000}"
    found = reason(stderr)
    assert found.startswith("fatal: Authentication failed for 'https://x/'!!!")
    assert len(found) == 300
    assert reason("fatal: \x1b[31mred\x07 \x00thing") == "fatal: [31mred thing"


def test_an_excerpt_is_cut_out_of_a_log_in_json() -> None:
    log = '{"level":0,"error":"exit status 128: fatal: Authentication failed for \'https://a/\'","x":1}'
    assert excerpt(log, {Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED}) == "Authentication failed for 'https://a/'"
    assert excerpt(log, {Refusal.HOST_KEY}) == ""


PATH = "/denied-parties.git"


def failure(url: str, credentials: Credentials | None = None, timeout_s: float = 10) -> GitError:
    """The error of real git for this URL."""
    with account(credentials or Credentials(), timeout_s) as someone, pytest.raises(GitError) as caught:
        someone.git("ls-remote", url)
    return caught.value


@pytest.fixture(params=[0, 4403])
def port(request: pytest.FixtureRequest) -> int:
    if request.param:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", request.param))
            except OSError:
                pytest.skip(f"something listens on port {request.param}")
    return int(request.param)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Refusal.AUTHENTICATION),
        (403, Refusal.NOT_AUTHORIZED),
        (404, Refusal.NO_REPOSITORY),
        (500, Refusal.OTHER),
        (503, Refusal.OTHER),
        (0, Refusal.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("credentials", [Credentials(), Credentials("reader", "hunter2")], ids=["nobody", "reader"])
def test_an_answer_of_a_server_has_its_kind(status: int, kind: Refusal, port: int, credentials: Credentials) -> None:
    with serving(answering(status), port) as server:
        error = failure(server.url + PATH, credentials)
    assert error.kind is kind, error.stderr
    assert "\n" not in str(error)


@pytest.fixture
def closed_port(port: int) -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as held:  # bound and not listening: nobody else can take it meanwhile
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        yield int(held.getsockname()[1])


def test_a_closed_port_is_no_refusal(closed_port: int) -> None:
    error = failure(f"http://127.0.0.1:{closed_port}{PATH}", Credentials("reader", "hunter2"))
    assert error.kind is Refusal.UNREACHABLE, error.stderr


def test_a_closed_port_of_ssh_is_no_refusal(closed_port: int) -> None:
    error = failure(f"ssh://git@127.0.0.1:{closed_port}{PATH}")
    assert error.kind is Refusal.UNREACHABLE, error.stderr


def test_an_unknown_host_is_no_refusal() -> None:
    assert failure("http://access-denied-403.invalid:4403/denied-parties.git").kind is Refusal.NO_HOST


def test_a_silent_host_is_no_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}", timeout_s=0.5)
    assert error.kind is Refusal.TIMED_OUT
    assert str(error) == "git ls-remote: did not finish within 0.5 s"


def test_a_proxy_that_refuses_is_no_refusal_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy(answering(403)):  # type: ignore[misc]  # a class made by a function
        def do_CONNECT(self) -> None:
            self.send_response(403)
            self.end_headers()

    server: Server
    with serving(Proxy) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        assert failure("https://git.example.test:4403/denied-parties.git").kind is Refusal.UNREACHABLE
