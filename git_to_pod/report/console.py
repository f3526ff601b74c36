"""Commands as a Kubernetes user types them, with their output, for the notebook."""

from __future__ import annotations

from git_to_pod.cluster.api import ApiError, Cluster
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.git.repository import Repository
from git_to_pod.report.html import Html, render


def kubectl(cluster: Cluster, namespace: str, *arguments: str) -> Html:
    """The output of kubectl in this namespace. If the command fails, its error: nothing depends on this output."""
    try:
        output = cluster.kubectl(*arguments, f"--namespace={namespace}")
    except (ApiError, TimedOut) as error:
        output = str(error)
    return terminal(f"kubectl {' '.join(arguments)}", output)


def last_push(repository: Repository) -> Html:
    """The last pushed commit, as `git show --stat` prints it."""
    words = ("show", "--stat", "--format=short", repository.pushed[-1])
    return terminal(f"git {' '.join(words)}", repository.account.git(*words, folder=repository.clone))


def terminal(command: str, output: str) -> Html:
    """A command and its output, in the order of a terminal."""
    return Html(render("terminal", command=command, output=output.rstrip()))
