"""`python -m controlplane build | path NAME | up | down | run -- COMMAND`: the control plane outside a test."""

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from controlplane import binaries, cluster, processes, schemas
from controlplane.binaries import UnavailableError, say

FOLDER = Path(__file__).resolve().parents[3] / ".cluster"
OUTSIDE_FAILED = 4


def main() -> int:
    signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(prog="python -m controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the programs and schemas that are not there yet")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(binaries.BINARIES)}; all unless named")
    where = commands.add_parser("path", help="print where a program is; builds it when it must")
    where.add_argument("names", nargs=1, metavar="NAME")
    commands.add_parser("up", help="start a control plane that stays, and print the exports for a shell")
    commands.add_parser("down", help="stop it")
    run = commands.add_parser("run", help="run a command with a control plane of its own")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    if unknown := set(getattr(options, "names", ())) - set(binaries.BINARIES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    try:
        match options.command:
            case "build":
                build_all(options.names)
            case "path":
                print(binaries.path(options.names[0]))
            case "up":
                up()
            case "down":
                down()
            case "run":
                return run_with_cluster(options.argv)
    except UnavailableError as error:
        say(f"error: {error}")
        return OUTSIDE_FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def build_all(names: Sequence[str]) -> None:
    """These programs; without a name all of them, and the schemas."""
    binaries.paths(names or binaries.BINARIES)
    for name in () if names else schemas.VERSIONS:
        schemas.path(name)


def up() -> None:
    """Start it unless it runs; standard output is for `eval`."""
    plane = cluster.ControlPlane(FOLDER)
    if plane.answers():
        say(f"it already runs: {FOLDER}")
    else:
        processes.remove(FOLDER)  # what a reboot or a crash has left
        try:
            plane.prepare()
            say("starting a control plane …")
            plane.start()
        except BaseException:
            say(plane.last_words() or "not started")
            plane.stop()
            raise
        say(f"it runs until `make cluster-down`: {FOLDER}")
    print(f"export KUBECONFIG={shlex.quote(str(plane.kubeconfig))}")
    print(f'export PATH={shlex.quote(str(plane.bin))}:"$PATH"')


def down() -> None:
    if FOLDER.exists():
        processes.remove(FOLDER)
        say("the control plane is stopped")
    else:
        say("no control plane runs here")


def run_with_cluster(argv: list[str]) -> int:
    """Pass the command's exit code on; a signal's, and that of a missing command, as a shell would."""
    say("starting a control plane …")
    with cluster.running() as plane:
        try:
            command = subprocess.Popen(argv, env=plane.environment())
        except OSError as error:
            say(f"error: {error}")
            return 127
        code = _ended(command)
    return code if code >= 0 else 128 - code


def _ended(command: subprocess.Popen[bytes]) -> int:
    """Wait for a command; ^C has reached it too, and it may tidy up, but whatever else ends this process ends it."""
    try:
        return command.wait()
    except KeyboardInterrupt:
        return command.wait()
    except BaseException:
        command.terminate()
        raise


def _end(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
