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
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

PROGRAM = Path(sys.executable).with_name("staging")
LATE = ("sh", "requests", "ruamel.yaml", "rich.console", "rich.text")  # imported by the commands that need them


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
        with ExitStack() as stack:
            stdin, stdout, stderr = (stack.enter_context(TemporaryFile()) for _ in range(3))
            stdin.write(given.encode())
            stdin.seek(0)
            code = self.start(args, folder, environment, stdin, stdout, stderr).wait(seconds)
            for file in (stdout, stderr):
                file.seek(0)
            return code, stdout.read().decode(), stderr.read().decode()

    def start(
        self,
        args: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        stdin: IO[Any],
        stdout: IO[Any],
        stderr: IO[Any],
    ) -> "Fork":
        """Start a run, in a session of its own, with these files."""
        assert not any(name.startswith("PYTHON") for name in environment), "too late: this Python has started already"
        ours, theirs = socket.socketpair()
        with TemporaryFile() as request, theirs:
            request.write(json.dumps([list(args), str(folder), dict(environment)]).encode())
            request.seek(0)
            files = [file.fileno() for file in (request, stdin, stdout, stderr, theirs)]
            socket.send_fds(self._control, [b"!"], files)
        return Fork(ours)


class Fork:
    """One run of the program."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report
        self._code: int | None = None
        self.pid = int(self._line())

    def wait(self, seconds: float) -> int:
        """Its exit code, or that of the signal that ended it. Raises TimeoutError, and kills it, if it takes longer."""
        if self._code is None:
            with self._report:
                self._report.settimeout(seconds)
                try:
                    self._code = int(self._line())
                except TimeoutError:
                    os.killpg(self.pid, signal.SIGKILL)
                    raise
        return self._code

    def _line(self) -> str:
        text = b""
        while not text.endswith(b"\n"):
            more = self._report.recv(1)
            assert more, "the process that forks is gone"
            text += more
        return text.decode()


@cache
def forks() -> Forks:
    """This process's own, started when it is first needed."""
    made = Forks()
    atexit.register(made.close)
    return made


# The process that forks


def serve() -> None:
    """Import everything; then fork for every request, until nobody can make one, and report how each fork ended."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the tests
    sys.path[0] = str(PROGRAM.parent)  # as of the program
    main = imported()
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    reports: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            for pid, code in ended():
                report = reports.pop(pid)
                with suppress(BrokenPipeError):  # of one whose test is over
                    os.write(report, f"{code}\n".encode())
                os.close(report)
        if control not in ready:
            continue
        asked, files, _, _ = socket.recv_fds(control, 1, 5)
        if not asked:
            return
        *own, report = files
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for inherited in (control, waking, woken):
                inherited.close()
            for other in reports.values():
                os.close(other)
            run(main, *own, report)
        reports[pid] = report
        for file in own:
            os.close(file)


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


def ended() -> Iterator[tuple[int, int]]:
    """The forks that have ended since, each with its exit code."""
    with suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            yield one[0], os.waitstatus_to_exitcode(one[1])


def run(main: Callable[[], None], request: int, stdin: int, stdout: int, stderr: int, report: int) -> NoReturn:
    """Be the program, once it is said which process that is."""
    for number, file in enumerate((stdin, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
    os.setsid()
    os.write(report, f"{os.getpid()}\n".encode())
    os.close(report)
    with open(request) as file:
        args, folder, environment = json.load(file)
    code = 1
    try:
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
        os._exit(code)


if __name__ == "__main__":
    serve()
