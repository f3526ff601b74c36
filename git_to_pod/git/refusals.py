"""Why a git command failed: one classification of the messages of git, ssh, libcurl and git hosts."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from urllib.parse import unquote, urlsplit

LONGEST = 300  # characters of a message


class Refusal(Enum):
    """The reason, as a message names it."""

    HOST_KEY = "the host key is not trusted"
    CERTIFICATE = "the certificate is not trusted"
    BEHIND = "the branch has commits that the push does not contain"
    RULE = "a rule of the git host refused the push"
    AUTHENTICATION = "authentication failed"
    NOT_AUTHORIZED = "the account is not authorized"
    NO_REPOSITORY = "no such repository"
    NO_COMMIT = "no such commit or branch"
    NO_HOST = "the host name cannot be resolved"
    TIMED_OUT = "timed out"
    UNREACHABLE = "the host cannot be reached"
    OTHER = "unknown reason"


# In this order: the first pattern that matches decides. A number or a plain word counts only within its sentence, so
# that a port, a branch or a repository of that name does not match.
PATTERNS = {
    Refusal.HOST_KEY: r"host key is known for|Host key for .{0,300} has changed|Host key verification failed",
    Refusal.CERTIFICATE: (
        r"certificate (problem|verification failed|subject)|peer('s)? certificate|no alternative certificate"
        r"|certificate.{0,60}(not trusted|expired|revoked|(not|n't) match)|unable to get local issuer"
        r"|error (setting|reading|adding).{0,40}(certificate|ca cert|trust anchors)"
    ),
    Refusal.BEHIND: r"\((fetch first|non-fast-forward|stale info)\)|is at [0-9a-f]{40,64} but expected",
    Refusal.AUTHENTICATION: (
        r"Authentication failed|could not read (Username|Password)|(HTTP|returned error:) 401\b"
        r"|Permission denied \([a-z, -]+\)|Too many authentication failures|HTTP Basic: Access denied"
        r"|invalid (credentials|username or (password|token))"
    ),
    Refusal.RULE: (
        r"protected branch|branch is protected|GH006:|GH007:|GH013:|rule violations|through (a )?pull requests?"
        r"|use a pull request|does not follow the pattern|not (a )?member of (the )?team"
        r"|^remote: .*\b(author|committer|e-?mail)\b(?=[\s\S]*declined)"
    ),
    Refusal.NOT_AUTHORIZED: (
        r"(HTTP|returned error:) 403\b|Permission to .{0,300}denied to|hook declined|declined to update"
        r"|marked as read[- ]only|key is read[- ]only|key does not have write access|repository access denied"
        r"|(not|n't) (allowed|permitted|authori[sz]ed) to|not granted|User permission denied|may not run"
        r"|(not|n't) have (\w+ )?(permission|access)|insufficient permission|lack one or more required privilege"
        r"|You need the Git '|DENIED by|prohibited by Gerrit|Gitea: Unauthori[sz]ed"
        r"|^((remote|ERROR): )?(Unauthori[sz]ed|Forbidden)\.?$"
    ),
    Refusal.NO_REPOSITORY: (
        r"repository .{0,300}not found|does not appear to be a git repository|repository does not exist"
        r"|(HTTP|returned error:) 404\b|Cannot find repository|repository not exported"
    ),
    Refusal.NO_COMMIT: r"unadvertised object|not our ref|couldn't find remote ref|Remote branch .{0,300}not found",
    Refusal.NO_HOST: r"Could not resolve (host|proxy)",
    Refusal.TIMED_OUT: r"timed out|Timeout was reached|Operation too slow",
    Refusal.UNREACHABLE: (
        r"Failed to connect|Could(n't| not) connect|connect to host|Connection refused|No route to host"
        r"|Network is unreachable|Empty reply from server|Connection (was |to .{0,100} )?(closed|reset)"
        r"|kex_exchange_identification|from proxy after CONNECT|CONNECT tunnel failed|returned error: 407\b"
        r"|SSL_ERROR_SYSCALL|SSL_connect|gnutls_handshake|TLS connect error|unexpected eof|Recv failure|Send failure"
        r"|hung up unexpectedly|unexpected disconnect|early EOF"
    ),
}
# A host's words to an account that may not see a repository. They hide whether it exists, and count as "no repository".
HIDDEN = r"(could not be found|(does|do) not exist) or you (do not|don't) have (permissions?|access)"
# Lines without a reason: git's advice, and what ssh's end always adds.
ADVICE = (
    r"^(hint: .*|warning: .*|fatal: Could not read from remote repository\."
    r"|Please make sure you have the correct access rights|and the repository exists\.|remote:\W*(error:)?\W*|\W*)$"
)
FLAGS = re.IGNORECASE | re.MULTILINE


def classify(stderr: str, url: str = "") -> Refusal:
    """Why git failed, by its standard error. `url`: the repository's; its words and numbers do not count."""
    found = kinds(stderr, url)
    return found[0] if found else Refusal.OTHER


def kinds(stderr: str, url: str = "") -> list[Refusal]:
    """Every reason that the text names, the first one first. Another one may follow from it."""
    text = plain(stderr, url)
    return [kind for kind, pattern in PATTERNS.items() if re.search(pattern, text, FLAGS)]


def reason(stderr: str, url: str = "") -> str:
    """The line of git's standard error that gives the reason, as it stands there. At most 300 characters."""
    lines = [printable(line) for line in stderr.splitlines()]
    lines = [line for line in lines if not re.match(ADVICE, line, re.IGNORECASE)]
    kind = classify(stderr, url)
    wanted = [PATTERNS[kind]] if kind in PATTERNS else []
    if wanted and any(re.search("hook declined|declined to update", line) for line in lines):
        wanted = [rf"^remote: .*({wanted[0]})", r"^remote: (?!error: hook declined)", *wanted]  # the hook's own words
    for pattern in (*wanted, r"^(fatal|error): *\S|^! \["):
        for line in lines:
            if re.search(pattern, plain(line, url), FLAGS):
                return without_password(line)[:LONGEST]
    return without_password((lines or ["git gave no reason"])[0])[:LONGEST]


def excerpt(text: str, wanted: Collection[Refusal]) -> str:
    """The part of a log that names one of these reasons, without quotes and escapes around it."""
    pattern = "|".join(PATTERNS[kind].replace("^", r"\b") for kind in PATTERNS if kind in wanted)
    found = re.search(rf"[^\n\"\\:']*(?:{pattern})[^\n\"\\]*", text, re.IGNORECASE)
    return without_password(found[0].strip()) if found else ""


def plain(text: str, url: str = "") -> str:
    """The text without any URL and, of this one, without host, port and path, which may look like a refusal."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if not re.match(ADVICE, line, re.IGNORECASE)]
    # Of "! [rejected] COMMIT -> BRANCH (why)" the names go too.
    lines = [re.sub(r"^(! \[[a-z ]*rejected\]).*(\([^()]*\))$", r"\1 \2", line) for line in lines]
    text = re.sub(HIDDEN, "is hidden: repository does not exist", "\n".join(lines), flags=re.IGNORECASE)
    text = re.sub(r"[a-z][a-z0-9+.-]*://[^\s'\"<>,;)\\]+", "", text, flags=re.IGNORECASE)
    for form in forms(url):
        text = re.sub(rf"(?<![\w.-]){re.escape(form)}(?![\w-])", "", text, flags=re.IGNORECASE)
    return text


def forms(url: str) -> list[str]:
    """How messages may write the parts of a URL, the longest first.

    A plain word or number is none of them: no pattern matches it, and without it a message may lose its sense.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path.strip("/")
    found = {url, host}
    if parts.port:
        found |= {f"{host}:{parts.port}", f"[{host}]:{parts.port}", f"port {parts.port}", f":{parts.port}"}
    for name in filter(None, (path, unquote(path))):
        stem = name.removesuffix(".git")
        found |= {f"/{name}/", f"/{name}", name, stem}
        found |= {last for last in (name.rpartition("/")[2], stem.rpartition("/")[2]) if " " not in last}
    return sorted((form for form in found if not re.fullmatch("[a-z]*|[0-9]*", form, re.I)), key=len, reverse=True)


def without_password(text: str) -> str:
    """The text without user names and passwords in its URLs."""
    return re.sub(r"(\w+://)[^/\s'\"@]*:[^/\s'\"@]*@", r"\1", text)


def printable(line: str) -> str:
    """One line for a terminal: a git host may send control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in line).split())
