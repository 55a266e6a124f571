"""A program on a terminal of its own, for a person to answer."""

import os
import pty
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from live import Done


class Terminal:
    """A running program whose standard input, output and error are a terminal."""

    def __init__(self, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
        self.shown = ""
        self._outside, inside = pty.openpty()
        own = {**environment, "TERM": "xterm"}
        self._process = subprocess.Popen(command, cwd=folder, env=own, stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)

    def wait_for(self, text: str) -> None:
        """Read until the program has shown this."""
        while text not in self.shown and self._read():
            pass
        assert text in self.shown, self.shown

    def press(self, keys: str) -> None:
        """Type, without waiting for anything."""
        os.write(self._outside, keys.encode())

    def answer(self, text: str) -> Done:
        """Type a line, and wait for the end."""
        self.press(f"{text}\n")
        return self.end()

    def interrupt(self) -> Done:
        """What ^C does, and wait for the end; again where it came just before the program began to read."""
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        return self.end()

    def end(self) -> Done:
        """Wait for the end."""
        while self._read():
            pass
        return Done(self._process.wait(timeout=60), "", self.shown)

    def close(self) -> None:
        """Leave nothing running."""
        self._process.kill()
        self._process.wait()
        os.close(self._outside)

    def _read(self) -> bool:
        try:
            chunk = os.read(self._outside, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.shown += chunk.decode(errors="replace").replace("\r\n", "\n")
        return bool(chunk)
