"""scripts/lab: bring the embedded lab up and down and look into it."""

import argparse
import os
import sys
from pathlib import Path

from lab import client
from lab.errors import LabError
from lab.paths import LOGS


def parser() -> argparse.ArgumentParser:
    """The command line of scripts/lab."""
    top = argparse.ArgumentParser(prog="scripts/lab", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, text in (("up", "start the lab"), ("images", "list each image with its source and digest")):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("--images", type=Path, metavar="DIR", help="OCI or docker archives to use (*.tar)")
    extras = "also Gitea, a second git host, and KWOK, which simulates nodes"
    verbs.choices["up"].add_argument("--extras", action="store_true", help=extras)
    verbs.add_parser("down", help="end the lab and leave a clean machine")
    verbs.add_parser("status", help="say whether a lab runs, and where")
    verbs.add_parser("kubeconfig", help="print the path of the lab's kubeconfig")
    verbs.add_parser("logs", help="print a component's log").add_argument("name", nargs="?", help="default: list them")
    for verb in ("stop", "start", "restart"):
        verbs.add_parser(verb, help=f"{verb} one component").add_argument("name")
    inside = verbs.add_parser("exec", help="run a command in the node or the git host")
    inside.add_argument("place", choices=["node", "git-host"])
    inside.add_argument("command", nargs=argparse.REMAINDER)
    return top


def main(argv: list[str] | None = None) -> int:
    """Carry out one command. Exit status 0, 1 (failed, one line says why), 130 (interrupted)."""
    arguments = parser().parse_args(argv)
    try:
        return _VERBS.get(arguments.verb, _component)(arguments)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; a lab that was starting is down", file=sys.stderr)
        return 130


def _up(arguments: argparse.Namespace) -> int:
    client.up(arguments.images, print, owned=False, extras=arguments.extras)
    print(f"kubectl --kubeconfig {client.find().kubeconfig} get pods --all-namespaces")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    print("lab down" if client.down() else "no lab was running; its leftovers, if any, are removed")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    lab = client.find()
    print(f"up: context {lab.context}, kubeconfig {lab.kubeconfig}")
    print(f"git host: {lab.repository} (from pods), {lab.push_url} (from here); log {lab.git_log}")
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    print(client.find().kubeconfig)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    there = sorted(path.stem for path in LOGS.glob("*.log"))
    if arguments.name in there:
        print((LOGS / f"{arguments.name}.log").read_text(errors="replace"), end="")
        return 0
    if arguments.name:
        raise LabError(f"no log {arguments.name!r}; there are {', '.join(there) or 'none'}")
    print("\n".join(there))
    return 0


def _images(arguments: argparse.Namespace) -> int:
    from lab import build, images, tools  # only here: nothing else needs the build

    runner = tools.Runner(lambda line: print(line, file=sys.stderr))
    build.check_host()
    print(images.listed(images.resolve(build.build(runner), arguments.images, runner)))
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    enter = client.find().enter(arguments.place)
    os.execvp(enter[0], [*enter, *arguments.command])  # its terminal, its signals, its end


def _component(arguments: argparse.Namespace) -> int:
    client.command(arguments.verb, arguments.name)
    return 0


_VERBS = {
    "up": _up, "down": _down, "status": _status, "kubeconfig": _kubeconfig, "logs": _logs, "images": _images,
    "exec": _exec,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
