"""The only place that starts programs. Everything passes through `run`; nothing passes through a shell."""

import os
import re
import shlex
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Outside, StagingError, Usage
from . import waits

if TYPE_CHECKING:
    from concurrent.futures import Future

LEFT_OUT = re.compile(
    "SENTRY_AUTH_TOKEN|"  # only requests, in this process, needs it
    # What `git rev-parse --local-env-vars` prints: it would send git to another repository (in a hook, say).
    "GIT_(ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|CONFIG|DIR|GRAFT_FILE|IMPLICIT_WORK_TREE|INDEX_FILE|PREFIX|"
    "INTERNAL_SUPER_PREFIX|NO_REPLACE_OBJECTS|OBJECT_DIRECTORY|REPLACE_REF_BASE|SHALLOW_FILE|WORK_TREE)|"
    # What would lead helm alone to another cluster, or change what it says and keeps.
    "HELM_(KUBE.*|NAMESPACE|DEBUG|COLOR|MAX_HISTORY|PLUGINS)"
)
ADDED = {
    "GIT_TERMINAL_PROMPT": "0",
    "HELM_NO_PLUGINS": "1",  # no call needs one
    "KUBERC": "off",  # a person's defaults would change what our calls do
    "KUBECTL_KUBERC": "false",
    "PYTHONIOENCODING": "utf-8",  # what user code prints is read as UTF-8
}
# helm and kubectl start with a fifth less work if Go tidies its memory up less often.
DEFAULTS = {"GOGC": "400"}
WHY = re.compile(r"^ *\w+: (\[Errno \d+\] )?|: b'.*'$")  # around the words of the system, in what sh says
GRACE = 20  # seconds a program gets to end by itself after ^C or SIGTERM before it is killed
READER_GRACE = 1  # the same of one whose answer is no longer needed: it changes nothing
AT_ONCE = 8  # programs side by side
T = TypeVar("T")
_listeners: list[Callable[[str], object]] = []  # who gets the command line of each program: see `echoed`


@dataclass(frozen=True, slots=True)
class Result:
    """What a program said, and its exit code."""

    stdout: str
    stderr: str
    code: int

    @property
    def complaint(self) -> str:
        """The program's own words about its failure, on one line."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return " ".join(" ".join(lines).split()) or f"exit code {self.code}"


def run(
    program: str | Path,
    *args: str,
    stdin: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float | None = None,
    output: Path | None = None,
) -> Result:
    """Run a program to its end. Arguments, input and output are UTF-8, whatever the locale.

    `timeout` is in seconds. With `output`, standard output and error go to that file instead of the result: for
    programs whose own children may keep a pipe open. Raises `Outside` when the program is missing, takes longer than
    `timeout`, or, with `check`, fails.
    """
    what: dict[str, Any] = {"cwd": cwd, "env": env, "timeout": timeout, "output": output}
    process = _begun(program, args, stdin, what)
    if process is None:  # one that has printed nothing counts as false
        process = _start(program, args, stdin=stdin.encode(), **what)
    with waits.on(Path(program).name):
        result = _finish(process, timeout=timeout, output=output)
    if check and result.code != 0:
        raise Outside(f"{Path(program).name} failed: {result.complaint}")
    return result


def serve(program: str, *args: str) -> Any:
    """Start a program that is there until `end`; gives the handle, whose `is_alive()` tells whether it still is."""
    return _start(program, args, stdin=b"")


def end(process: Any) -> None:
    """End what `serve` has started, and do not wait for it."""
    if process.is_alive():
        with suppress(ProcessLookupError):
            process.signal(signal.SIGTERM)


# What was started before anybody waits for it, by its arguments and the input that it has; with where it gets that.
_AHEAD: ContextVar[dict[tuple[str, str | None], Any] | None] = ContextVar("ahead", default=None)
_THREADS: ContextVar[dict[tuple[str, ...], Any] | None] = ContextVar("threads", default=None)  # the same of `asked`
_STARTING = ContextVar("starting", default="")  # "told" or "held": a question may go no further than its first program


class _Started(BaseException):
    """That program was started. This ends the question, so no handler of errors on the way is meant."""


@contextmanager
def ahead(grace: float = READER_GRACE) -> Generator[None]:
    """Within, programs may run side by side: see `begin`. What nobody took up is stopped at the end.

    `grace` is the time that each gets for that, in seconds: the default is for those that only ask.
    """
    if _AHEAD.get() is not None:
        yield
        return
    token, threads = _AHEAD.set(running := {}), _THREADS.set({})
    try:
        yield
    finally:
        _AHEAD.reset(token)
        _THREADS.reset(threads)
        for process, _ in running.values():
            _stop(process, grace)


def begin(question: Callable[[], T], *, held: bool = False) -> Callable[[], T]:
    """Start the first program that the question runs, and go no further; gives the function that asks in earnest.

    Then `run` takes up the program that was started with the same arguments. So the order in which answers are looked
    at, and in which errors are told, is that of the code. A question that needs no program is answered at once. With
    `held` the program waits for its input until it is asked in earnest: what the question has for it now is no matter.
    """
    if _AHEAD.get() is None:
        return question
    token = _STARTING.set("held" if held else "told")
    try:
        return answered(question)
    except _Started:
        return question
    finally:
        _STARTING.reset(token)


def answered(question: Callable[[], T]) -> Callable[[], T]:
    """Ask now; gives the function that has the answer, or raises the error when it is wanted."""
    from concurrent.futures import Future

    answer = Future[T]()
    try:
        answer.set_result(question())
    except StagingError as error:
        answer.set_exception(error)
    return answer.result


def asked(question: tuple[str, ...], ask: Callable[[], T]) -> T:
    """As `run`, for a question that starts no program: one that is begun is asked in a thread of its own."""
    if (threads := _THREADS.get()) is None:
        return ask()
    answer, starting = threads.pop(question, None), _STARTING.get()
    if not starting:
        return answer.result() if answer else ask()
    if starting == "told":
        threads[question] = answer or in_thread(ask)
    raise _Started


def in_thread(ask: Callable[[], T]) -> "Future[T]":
    """Ask in a thread of its own, which ends with this program at the latest: nobody waits for it then."""
    from concurrent.futures import Future
    from threading import Thread

    answer = Future[T]()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    return answer


def _begun(program: str | Path, args: Sequence[str], stdin: str, what: Mapping[str, Any]) -> Any:
    """The program if it was started ahead. Where it is to be, starts it and raises `_Started`."""
    if (running := _AHEAD.get()) is None:
        return None
    call, starting = repr((program, args, sorted(what.items()))), _STARTING.get()
    process, given = running.pop((call, stdin), None) or running.pop((call, None), None) or (None, None)
    if process is None and starting:
        given = Queue[bytes | None]() if starting == "held" else None
        process = _start(program, args, stdin=stdin.encode() if given is None else given, **what)
    if given and starting != "held":
        given.put(stdin.encode())
        given = given.put(None)  # the end of its input
    if not starting:
        return process
    running[call, None if given else stdin] = process, given
    raise _Started


def together(questions: Sequence[Callable[[], T]], grace: float = READER_GRACE) -> list[T]:
    """Ask them all, AT_ONCE side by side; the answers in their order. `grace` is that of `ahead`."""
    answers: list[T] = []
    with ahead(grace):
        for start in range(0, len(questions), AT_ONCE):
            answers += [ask() for ask in [begin(question) for question in questions[start : start + AT_ONCE]]]
    return answers


def _start(
    program: str | Path,
    args: Sequence[str],
    *,
    stdin: "bytes | Queue[bytes | None]",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    output: Path | None = None,
) -> Any:
    import logging

    import sh

    if (log := logging.getLogger("sh")).level == logging.NOTSET:
        log.setLevel(logging.WARNING)  # a user's own program may show INFO: every command line of ours would be there
    name = Path(program).name
    if stray := [a for a in args if not isinstance(a, str)]:
        raise TypeError(f"{name}: arguments must be strings: {stray}")  # sh drops None and False without a word
    try:
        command = sh.Command(str(program))
    except sh.CommandNotFound:
        raise Outside(f"{name} is not installed, or not on PATH. Install it and run this again") from None
    options: dict[str, Any] = {
        "_in": stdin,
        "_encoding": "utf-8",  # else the locale's: what it has no character for would end the thread that writes
        "_cwd": str(cwd) if cwd else None,
        "_env": {**environment(), **(env or {})},
        "_tty_out": False,
        "_ok_code": range(-64, 256),
        "_timeout": timeout,
        "_decode_errors": "replace",
        "_bg": True,  # `_finish` is where an interrupt arrives
        "_bg_exc": False,
    }
    with ExitStack() as stack:
        if output:  # sh opens one for a path, and leaves it open
            options |= {"_out": stack.enter_context(output.open("wb")), "_err_to_out": True}
        else:  # by default it reads by lines, and what the API server lists is one line of megabytes
            options["_out_bufsize"] = 65_536
        given = [_utf8(name, a) for a in args]
        tell(str(program), *given)
        caught = stack.enter_context(_held())
        try:
            process = command(*given, **options)
        except sh.ForkException as error:
            why = str(error).strip().splitlines()[-1]
            raise Outside(f"{name} could not be started: {WHY.sub('', why)}") from None
    if caught:
        _stop(process)
        signal.raise_signal(caught[0])
    return process


def _finish(process: Any, *, timeout: float | None = None, output: Path | None = None) -> Result:
    import sh

    try:
        process.wait()
    except sh.TimeoutException:
        raise Outside(f"{process.ran.split(' ')[0]} took longer than {timeout:.0f} s and was stopped") from None
    except sh.ErrorReturnCode as ended:  # sh before 2.2.2 raises for a signal whatever _ok_code says
        return Result(_text(ended.stdout), _text(ended.stderr), ended.exit_code)
    except BaseException:
        _stop(process)
        raise
    return Result("" if output else str(process), "" if output else _text(process.stderr), process.exit_code)


def tell(*command: str) -> None:
    """Show a command line that would do what is done otherwise."""
    for say in _listeners:
        say(shlex.join(command))


@contextmanager
def echoed(say: Callable[[str], object]) -> Generator[None]:
    """Within, `say` gets the command line of each program that starts, quoted for a shell.

    Its environment and its input are not shown: secrets go there, and nowhere else.
    """
    _listeners.append(say)
    try:
        yield
    finally:
        _listeners.remove(say)


def documents(text: str) -> list[Any]:
    """The JSON values that a program printed one after the other. Raises ValueError for anything else."""
    import json

    found, rest = [], text.strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found


def environment() -> dict[str, str]:
    """This process's environment without secrets, and what leads git or helm alone elsewhere."""
    own = {name: value for name, value in os.environ.items() if not LEFT_OUT.fullmatch(name)}
    return DEFAULTS | own | ADDED


@contextmanager
def _held() -> Generator[list[int]]:
    """Hold ^C and SIGTERM back while a program starts: without its handle, nobody could stop it."""
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _utf8(program: str, argument: str) -> str:
    """The argument without the marks that Python puts in place of bytes which its own locale does not know."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise Usage(f"{program} takes only UTF-8, and {argument!a} is not. Use another name") from None


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw


def _stop(process: Any, grace: float = GRACE) -> None:
    """End the program kindly: helm marks its release failed when it is asked to stop."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.signal(number)
            process.wait(timeout=grace)
        except Exception:  # noqa: S112 - sh raises several kinds here, and the interrupt must win
            continue
        return
