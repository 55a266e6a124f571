"""The processes of one folder: every program is started by a path in it, so whatever runs can be found and ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def remove(folder: Path, seconds: float = 10) -> None:
    """End all processes of the folder and delete it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in running(folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)  # a process may write one more file while it ends
        if not folder.exists() and not list(running(folder)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{folder} could not be removed")


def end(folder: Path, program: str, number: signal.Signals, seconds: float = 90) -> None:
    """Send the folder's processes of one program a signal, and wait until they have ended."""
    deadline = time.monotonic() + seconds
    for process in running(folder, program):
        os.kill(process, number)
    while list(running(folder, program)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{program} did not end within {seconds:.0f} s")
        time.sleep(0.05)


def running(folder: Path, program: str = "") -> Iterator[int]:
    """The ids of the folder's processes, or of those of one program."""
    for process, command in _programs():
        if command.startswith(f"{folder}/") and command.endswith(f"/{program}" if program else ""):
            yield process


def _programs() -> Iterator[tuple[int, str]]:
    if PROC.joinpath("self/cmdline").exists():
        for entry in PROC.iterdir():
            with suppress(OSError):  # it has ended meanwhile
                if entry.name.isdigit():
                    yield int(entry.name), entry.joinpath("cmdline").read_text(errors="replace").split("\0")[0]
        return
    listing = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        process, _, command = line.strip().partition(" ")
        yield int(process), command
