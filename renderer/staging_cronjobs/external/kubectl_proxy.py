"""`kubectl proxy`: one start, one login and one connection to the API server for all questions of a command.

It listens on a socket in a folder that nobody but this user may enter, and passes on what this program asks.
"""

import atexit
import gzip
import http.client
import json
import re
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import Outside
from . import shell

PATHS = "^/(api/v1|apis/batch/v1)/"  # that it passes on
METHODS = {"get": "GET", "create": "POST", "replace": "PUT", "delete": "DELETE"}  # by kubectl's words
STARTS = 10.0  # seconds that it may take to start
EXPECTED = (404, 409)  # refusals that are answers; of any other, kubectl's own words are wanted
WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')  # RFC 9110 has more, Kubernetes sends this


class Proxy:
    """A proxy to the cluster of a context; an empty one is where this runs, or the current one."""

    def __init__(self, context: str) -> None:
        self._folder = TemporaryDirectory(prefix="staging-")
        self._socket = str(Path(self._folder.name, "api"))
        flags = (f"--unix-socket={self._socket}", f"--accept-paths={PATHS}")
        try:
            self._process = shell.serve("kubectl", "proxy", *([f"--context={context}"] if context else []), *flags)
        except Outside:
            self._folder.cleanup()
            raise
        self._idle: list[http.client.HTTPConnection] = []
        atexit.register(self.close)

    def close(self) -> None:
        """End it. What is asked from then on has no answer."""
        shell.end(self._process)
        for connection in self._idle:
            connection.close()
        self._folder.cleanup()

    def ask(self, verb: str, path: str, given: str = "") -> shell.Result | None:
        """What `kubectl VERB --raw PATH` would give; None where that must be asked itself.

        That is where no answer comes, or one that kubectl would try again, or would have words of its own for.
        """
        try:
            connection = self._idle.pop()  # another thread may have taken the last one
        except IndexError:
            connection = _Connection(self._process, self._socket)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "Content-Type": "application/json"}
        try:
            connection.request(METHODS[verb], path, given.encode() or None, headers)
            response = connection.getresponse()
            answer, content = response.status, response.read()
            packed = response.headers.get("Content-Encoding") == "gzip"
            text = (gzip.decompress(content) if packed else content).decode()
        except (OSError, EOFError, ValueError, http.client.HTTPException):
            connection.close()
            return None
        self._idle.append(connection)
        warnings = "".join(f"Warning: {line}\n" for line in _warnings(response.headers.get_all("Warning") or ()))
        if answer in (200, 201, 202):
            return shell.Result(text, warnings, 0)
        return _refusal(text, warnings) if answer in EXPECTED else None


class _Connection(http.client.HTTPConnection):
    """To the proxy, once it is there."""

    def __init__(self, process: Any, path: str) -> None:
        super().__init__("localhost")  # the only host that kubectl proxy takes
        self._process, self._path = process, path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + STARTS
        while True:
            try:
                return self.sock.connect(self._path)
            except OSError:
                if not self._process.is_alive() or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)


_running: dict[str, tuple[Mapping[str, str], Proxy]] = {}


def to(context: str) -> Proxy:
    """The proxy of this context, started when it is first needed."""
    environment = shell.environment()
    known, proxy = _running.get(context, (None, None))
    if proxy is None or known != environment:  # another PATH or KUBECONFIG may mean another cluster
        if proxy:
            proxy.close()
        proxy = Proxy(context)
        _running[context] = environment, proxy
    return proxy


def _refusal(text: str, warnings: str) -> shell.Result | None:
    """The API server's refusal as kubectl tells it; None for what comes from elsewhere."""
    try:
        status = json.loads(text)
        return shell.Result("", f"{warnings}Error from server ({status['reason']}): {status['message']}\n", 1)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _warnings(headers: Collection[str]) -> list[str]:
    """What the API server warns of."""
    return [re.sub(r"\\(.)", r"\1", text) for header in headers for text in WARNING.findall(header)]
