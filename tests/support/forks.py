"""Runs of `staging` without its start: one process imports everything, and forks for each run.

Imports would be most of what a run costs. Arguments, folder, environment and standard streams are each run's own. What
is about the process itself (signals, terminals, a start from nothing) needs the installed program: `Staging.start`.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

PROGRAM = Path(sys.executable).with_name("staging")
LATE = ("sh", "requests", "ruamel.yaml", "rich.console", "rich.table")  # imported by the commands that need them


class Forks:
    """The process that forks, for this process and its threads."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        language = {"LANG": os.environ.get("LANG", "C.UTF-8")}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=language
            )

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.wait()

    def run(
        self, args: Sequence[str], folder: Path, environment: Mapping[str, str], given: str, seconds: float
    ) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one run. Raises TimeoutError after so many seconds."""
        assert not any(name.startswith("PYTHON") for name in environment), "too late: this Python has started already"
        with ExitStack() as stack:
            request, stdin, stdout, stderr = (stack.enter_context(TemporaryFile()) for _ in range(4))
            request.write(json.dumps([list(args), str(folder), dict(environment)]).encode())
            stdin.write(given.encode())
            for file in (request, stdin):
                file.seek(0)
            ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
            files = [file.fileno() for file in (request, stdin, stdout, stderr, theirs)]
            socket.send_fds(self._control, [b"!"], files)
            theirs.close()
            ours.settimeout(seconds)
            report = stack.enter_context(ours.makefile())
            process = int(report.readline())
            try:
                code = report.readline()
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise
            for file in (stdout, stderr):
                file.seek(0)
            said = stdout.read().decode(), stderr.read().decode()
            assert code, f"staging {' '.join(args)} ended without an exit code: {said[1]}"
            return int(code), *said


@cache
def forks() -> Forks:
    """This process's own, started when it is first needed."""
    made = Forks()
    atexit.register(made.close)
    return made


# The process that forks


def serve() -> None:
    """Import everything; then fork for every request, until nobody can make one."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the tests
    sys.path[0] = str(PROGRAM.parent)  # as of the program
    main = imported()
    while True:
        asked, files, _, _ = socket.recv_fds(control, 1, 5)
        if not asked:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(main, *files)
        for file in files:
            os.close(file)
        while ended():
            pass


def imported() -> Callable[[], None]:
    """The program's main function, once all that it may need later is there."""
    import staging_cronjobs
    from staging_cronjobs import cli

    for module in pkgutil.walk_packages(staging_cronjobs.__path__, "staging_cronjobs."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    cli.app(["name", "--branch", "stage/a/v1"], standalone_mode=False)  # for what typer imports with the first command
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    return cli.main


def ended() -> bool:
    """Whether there was a fork that had ended; it is gone now."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def run(main: Callable[[], None], request: int, stdin: int, stdout: int, stderr: int, report: int) -> NoReturn:
    """Be the program; say which process that is, and at the end its exit code."""
    for number, file in enumerate((stdin, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
    os.set_inheritable(report, False)
    with open(request) as file:
        args, folder, environment = json.load(file)
    code = 1
    try:
        os.write(report, f"{os.getpid()}\n".encode())
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [str(PROGRAM), *args]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()  # as at the end of any program: temporary folders go
        sys.stdout.flush()
        os.write(report, f"{code}\n".encode())
        os._exit(code)


if __name__ == "__main__":
    serve()
