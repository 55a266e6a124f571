"""The only place that starts programs. Everything passes through `run`; nothing passes through a shell."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Outside

# What `git rev-parse --local-env-vars` prints: they would send git to another repository (in a hook, say).
GIT_LOCAL = frozenset(
    f"GIT_{name}"
    for name in (
        *("ALTERNATE_OBJECT_DIRECTORIES", "COMMON_DIR", "CONFIG", "DIR", "GRAFT_FILE", "IMPLICIT_WORK_TREE"),
        *("INDEX_FILE", "INTERNAL_SUPER_PREFIX", "NO_REPLACE_OBJECTS", "OBJECT_DIRECTORY", "PREFIX"),
        *("REPLACE_REF_BASE", "SHALLOW_FILE", "WORK_TREE"),
    )
)
SECRETS = frozenset({"SENTRY_AUTH_TOKEN"})  # only requests, in this process, needs it
GRACE = 20  # seconds a program gets to end by itself after ^C or SIGTERM before it is killed


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
    """Run a program to its end.

    `timeout` is in seconds. With `output`, standard output and error go to that file instead of the result: for
    programs whose own children may keep a pipe open. Raises `Outside` when the program is missing, takes longer than
    `timeout`, or, with `check`, fails.
    """
    import sh

    name = Path(program).name
    if stray := [a for a in args if not isinstance(a, str)]:
        raise TypeError(f"{name}: arguments must be strings: {stray}")  # sh drops None and False without a word
    try:
        command = sh.Command(str(program))
    except sh.CommandNotFound:
        raise Outside(f"{name} is not installed, or not on PATH: install it and run this again") from None
    options: dict[str, Any] = {
        "_in": stdin,
        "_cwd": str(cwd) if cwd else None,
        "_env": {**environment(), **(env or {})},
        "_tty_out": False,
        "_ok_code": range(-64, 256),
        "_timeout": timeout,
        "_decode_errors": "replace",
        "_bg": True,  # `wait` below is where an interrupt arrives
        "_bg_exc": False,
    }
    if output:
        options |= {"_out": str(output), "_err_to_out": True}
    process = command(*args, **options)
    try:
        process.wait()
    except sh.TimeoutException:
        raise Outside(f"{name} {args[0] if args else ''} took longer than {timeout:.0f} s and was stopped") from None
    except BaseException:
        _stop(process)
        raise
    result = Result("" if output else str(process), "" if output else _text(process.stderr), process.exit_code)
    if check and result.code != 0:
        raise Outside(f"{name} failed: {result.complaint}")
    return result


def environment() -> dict[str, str]:
    """This process's environment without what locates another git repository, and without secrets."""
    kept = {k: v for k, v in os.environ.items() if k not in GIT_LOCAL and k not in SECRETS}
    return kept | {"GIT_TERMINAL_PROMPT": "0"}


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw


def _stop(process: Any) -> None:
    """End the program kindly: helm marks its release failed when it is asked to stop."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.signal(number)
            process.wait(timeout=GRACE)
        except Exception:  # noqa: S112 - sh raises several kinds here, and the interrupt must win
            continue
        return
