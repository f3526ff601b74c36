"""Start, inspect and stop the embedded lab, a Kubernetes node and a git host on this machine."""

import argparse
import os
import sys
from pathlib import Path

from lab import client, versions
from lab.errors import LabError
from lab.paths import LOGS


def parser() -> argparse.ArgumentParser:
    """The parser of scripts/lab's arguments."""
    top = argparse.ArgumentParser(prog="scripts/lab", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, text in (("up", "start the lab"), ("images", "list the images with their source, digest and origin")):
        command = verbs.add_parser(verb, help=text)
        command.add_argument(
            "--images", type=lambda folder: Path(folder).absolute(), metavar="DIR",
            help="use the OCI or docker archives (*.tar) in DIR; NAME.txt beside NAME.tar states its origin",
        )  # fmt: skip
    verbs.choices["up"].add_argument(
        "--kubernetes", default=versions.DEFAULT, metavar="MINOR",
        help=f"the node's version: {', '.join(versions.KUBERNETES)}; each is built once",
    )  # fmt: skip
    extras = "also start Gitea, a second git host, and KWOK, which simulates nodes"
    verbs.choices["up"].add_argument("--extras", action="store_true", help=extras)
    verbs.add_parser("down", help="stop the lab and clean up")
    verbs.add_parser("status", help="print the kubeconfig context and the git host's URLs of a running lab")
    verbs.add_parser("kubeconfig", help="print the path of the lab's kubeconfig")
    logs = verbs.add_parser("logs", help="print the log of a component")
    logs.add_argument("name", nargs="?", help="without it: list the logs")
    for verb in ("stop", "start", "restart"):
        verbs.add_parser(verb, help=f"{verb} one component").add_argument("name")
    inside = verbs.add_parser("exec", help="run a command in the node or the git host")
    inside.add_argument("place", choices=["node", "git-host"])
    inside.add_argument("command", nargs=argparse.REMAINDER)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit status: 0, 1 (failed; one line gives the reason) or 130 (interrupted)."""
    arguments = parser().parse_args(argv)
    try:
        return _VERBS.get(arguments.verb, _component)(arguments)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; if the lab was starting, it is down again", file=sys.stderr)
        return 130


def _up(arguments: argparse.Namespace) -> int:
    client.up(arguments.images, print, owned=False, extras=arguments.extras, kubernetes=arguments.kubernetes)
    print(f"kubectl --kubeconfig {client.find().kubeconfig} get pods --all-namespaces")
    return 0


def _down(_arguments: argparse.Namespace) -> int:
    print("lab down" if client.down() else "no lab was running; leftovers of an earlier one are removed")
    return 0


def _status(_arguments: argparse.Namespace) -> int:
    lab = client.find()
    print(f"up: context {lab.context}, kubeconfig {lab.kubeconfig}")
    print(f"git host: {lab.repository} (from pods), {lab.push_url} (from here); log {lab.access_log}")
    print(f"credentials: {lab.git_credentials} (read), {lab.push_credentials} (push)")
    return 0


def _kubeconfig(_arguments: argparse.Namespace) -> int:
    print(client.find().kubeconfig)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    names = sorted(path.stem for path in LOGS.glob("*.log"))
    if arguments.name in names:
        print((LOGS / f"{arguments.name}.log").read_text(errors="replace"), end="")
        return 0
    if arguments.name:
        raise LabError(f"no log {arguments.name!r}; available: {', '.join(names) or 'none'}")
    print("\n".join(names))
    return 0


def _images(arguments: argparse.Namespace) -> int:
    from lab import build, images, tools  # no other command needs the build

    runner = tools.Runner(lambda line: print(line, file=sys.stderr))
    build.check_host()
    print(images.listed(images.resolve(build.build(runner), arguments.images, runner)))
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    enter = client.find().enter(arguments.place)
    os.execvp(enter[0], [*enter, *arguments.command])  # the command takes over the terminal and receives the signals


def _component(arguments: argparse.Namespace) -> int:
    client.command(arguments.verb, arguments.name)
    return 0


_VERBS = {
    "up": _up, "down": _down, "status": _status, "kubeconfig": _kubeconfig, "logs": _logs, "images": _images,
    "exec": _exec,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
