"""Faults on demand in what `staging` does outside: a process group killed between any two calls or inside one.

Two things stand between the program and the real tools and servers. Wrappers, first on PATH, count the calls of git,
helm and kubectl and kill everything before or after one of them. The `Gate`, a proxy, is the way of helm and kubectl to
the API server: there every single request can be the last one, be refused, or be held for as long as a test likes.
"""

import base64
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import urlsplit

from pykube import HTTPClient

from forks import PROGRAM, Fork, forks
from live import SECONDS, Done, Staging
from local_server import Handler, LocalServer

TOOLS = ("git", "helm", "kubectl")
KINDS = ("cronjobs", "jobs", "pods", "secrets", "configmaps")
GIT_OPTIONS = re.compile(r"^git (-c \S+ |--[a-z-]+ )+")
CHANGING = re.compile(r"git push|helm (upgrade|install|uninstall|rollback)")
WRAPPER = """#!/bin/sh
# The real program of this name; its whole process group is killed before or after the call that FAULT_KILL counts.
tool=${0##*/}
echo "$tool $*" >> "$FAULT_CALLS"
case $FAULT_KILL in
before* | after*) call=$(wc -l < "$FAULT_CALLS" | tr -d ' ') ;;
*) PATH=$FAULT_PATH exec "$tool" "$@" ;;
esac
[ "$FAULT_KILL" = "before $call" ] && kill -KILL 0
PATH=$FAULT_PATH
export PATH
"$tool" "$@"
code=$?
[ "$FAULT_KILL" = "after $call" ] && kill -KILL 0
exit $code
"""
# Before the remote has changed anything, with git, its transport and staging itself all at work.
PRE_RECEIVE = """#!/bin/sh
[ "$FAULT_KILL" = "inside git push" ] && kill -KILL 0
exit 0
"""


def make_wrappers(folder: Path) -> Path:
    """The folder with the wrappers."""
    folder.mkdir()
    for tool in TOOLS:
        _make_program(folder / tool, WRAPPER)
    return folder


def let_pushes_be_killed(remote: Path) -> None:
    """Teach a bare repository to kill whoever pushes, when asked to."""
    _make_program(remote / "hooks" / "pre-receive", PRE_RECEIVE)


def _make_program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


# The gate


@dataclass(frozen=True)
class Request:
    """One request to the API server."""

    method: str
    path: str  # with its query
    number: int  # among the requests that change something, from 1; 0 for one that only reads
    call: int  # of the tools' calls so far, that of the helm that sent it
    helm: bool  # else it is a question of staging's own, through kubectl proxy or a kubectl

    def __str__(self) -> str:
        kind = next((part for part in self.path.split("/") if part.partition("?")[0] in KINDS), self.path)
        return f"{self.method} {kind.partition('?')[0]} ({self.number})"


class RefusedError(Exception):
    """Raised by a door's `before` or `after`: the API server says no, or is not there at all (503)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def pass_on(request: Request) -> None:
    """What a door does unless it is told otherwise."""


@dataclass
class Door:
    """The way of one run of the program through the gate."""

    name: str
    folder: Path
    gate: "Gate"
    before: Callable[[Request], None] = pass_on
    after: Callable[[Request], None] = pass_on  # the server has done it, the client does not know yet
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def changes(self) -> list[Request]:
        return [r for r in self.requests if r.number]

    @property
    def calls(self) -> list[str]:
        """The command lines of the tools so far, without the options that git has in all of its calls."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [GIT_OPTIONS.sub("git ", line) for line in lines]

    @property
    def url(self) -> str:
        return self.gate.url.replace("://", f"://{self.name}@")

    def environment(self) -> dict[str, str]:
        """What leads helm and kubectl through this door."""
        named = {"cluster": "gate", "user": "gate"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "gate",
            "contexts": [{"name": "gate", "context": named}],
            # The proxy's user says which door it is; clients send no credentials to a server without TLS.
            "clusters": [{"name": "gate", "cluster": {"server": "http://gate", "proxy-url": self.url}}],
            "users": [{"name": "gate", "user": {}}],
        }
        file = self.folder / "kubeconfig"
        file.write_text(json.dumps(config))
        return {"KUBECONFIG": str(file), "STAGING_KUBE_CONTEXT": "gate"}

    def note(self, method: str, path: str, client: str) -> Request:
        changing = method != "GET" and "dryRun=" not in path and "/authorization.k8s.io/" not in path
        with self.lock:
            request = Request(
                method, path, len(self.changes) + 1 if changing else 0, len(self.calls), client.startswith("Helm/")
            )
            self.requests.append(request)
        return request


class Gate(LocalServer):
    """The API server as programs see it that go through one of the gate's doors; they need no credentials."""

    def __init__(self, client: HTTPClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.doors: dict[str, Door] = {}
        super().__init__(_Handler)

    def door(self, name: str) -> Door:
        folder = self.folder / name
        folder.mkdir()
        self.doors[name] = Door(name, folder, self)
        return self.doors[name]

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        path = _short_watch(path) if "watch=" in path else path
        return self.client.session.request(
            method, f"{self.client.url}{path}", headers=dict(headers), data=body, stream=True, timeout=(5, SECONDS)
        )


def _short_watch(path: str) -> str:
    """The same watch for a second: whoever watches asks again, and nobody is left watching when a test ends."""
    path = re.sub(r"&?timeoutSeconds=\d+|&?timeout=[^&]+", "", path)
    return f"{path}&timeoutSeconds=1"


class _Handler(Handler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    dropped = ("host", "connection", "proxy-authorization", "content-length", "transfer-encoding")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline() or self._gone(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _gone(self) -> NoReturn:
        raise ConnectionResetError("killed before its request was whole")

    def handle_request(self) -> None:
        gate: Gate = self.owner
        url = urlsplit(self.path)
        user = base64.b64decode(self.headers["Proxy-Authorization"].removeprefix("Basic ")).decode()
        door, self.path = gate.doors[user.removesuffix(":")], url._replace(scheme="", netloc="").geturl()
        body = self._body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in self.dropped}
        request = door.note(self.command, self.path, self.headers.get("User-Agent", ""))
        try:
            door.before(request)
            with gate.forward(self.command, self.path, headers, body) as response:
                if "watch=" in self.path:
                    return self.stream(response)
                content = response.raw.read(decode_content=False)
            door.after(request)
            self.answer(response.status_code, response.headers, content)
        except RefusedError as refused:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": refused.status}
            reason = "Forbidden" if refused.status == 403 else "ServiceUnavailable"
            text = json.dumps(status | {"reason": reason, "message": "refused by the test"}).encode()
            self.answer(refused.status, {"Content-Type": "application/json"}, text)
        return None

    def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in self.dropped:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def stream(self, response: Any) -> None:
        self.send_response_only(response.status_code)
        self.send_header("Content-Type", response.headers.get("Content-Type", "application/json"))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for chunk in response.raw.stream(65536, decode_content=False):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    do_GET = do_DELETE = do_POST = do_PUT = do_PATCH = handle_request  # noqa: N815 - the names of the base class


class Hold:
    """Stops a request, where a door says so, until the test lets it go; gives up after a while."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self) -> None:
        if not self.reached.is_set():  # the first one only
            self.reached.set()
            assert self.released.wait(SECONDS), "nobody released it"

    def wait(self) -> None:
        assert self.reached.wait(SECONDS), "nothing came here"

    def release(self) -> None:
        self.released.set()


# Runs


class Run:
    """A program in a process group of its own, with the wrappers first on PATH and its own door in the gate."""

    def __init__(
        self,
        staging: Staging,
        wrappers: Path,
        door: Door,
        folder: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        kill: str = "",
    ) -> None:
        path = staging.environment["PATH"]
        faults = {"FAULT_CALLS": str(door.folder / "calls"), "FAULT_KILL": kill, "FAULT_PATH": path}
        variables = {**staging.environment, "PATH": f"{wrappers}{os.pathsep}{path}", **door.environment(), **faults}
        self.door = door
        self._ready = threading.Event()
        self._output = (door.folder / "stdout", door.folder / "stderr")
        # Files, not pipes: nobody reads while it runs, and a child that outlives it must not keep the test waiting.
        with ExitStack() as stack:
            files = [(Path(os.devnull), "r"), *((file, "w") for file in self._output)]
            streams = [stack.enter_context(file.open(mode)) for file, mode in files]
            self._started = started(command, folder, {**environment, **variables}, *streams)
        self._ready.set()

    def kill(self) -> None:
        """Kill the whole group: staging, the tools it runs, and theirs."""
        self._ready.wait()  # a request may come before the start is noted
        os.killpg(self._started.pid, signal.SIGKILL)

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._output[1].read_text()

    def end(self) -> Done:
        """Wait for its end."""
        code = self._started.wait(SECONDS)
        return Done(code, *(file.read_text() for file in self._output))


def started(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: IO[str],
    stdout: IO[str],
    stderr: IO[str],
) -> Fork | subprocess.Popen[bytes]:
    """A program in a session of its own; `staging` without its start, which no test of faults is about."""
    program, *args = command
    if program == str(PROGRAM):
        return forks().start(args, folder, environment, stdin, stdout, stderr)
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


def staging_command(*args: str) -> list[str]:
    return [str(PROGRAM), *args]


@dataclass(frozen=True)
class Point:
    """Where a run is killed."""

    name: str  # what had been done, or was being done
    kill: str = ""  # as the wrappers and the hook know it
    request: int = 0  # killed once the API server has carried out this change
    sentry: tuple[str, int, str] | None = None  # method, which request of it, "before" or "after"
    helm: bool = False  # beside or inside one of Helm's calls


def points(door: Door, asked: Mapping[str, int], *, reading: bool = True) -> list[Point]:
    """The kill points of a run that was watched: `asked` counts its requests to Sentry by method.

    Before the first call that changes something, between any two, after the last, inside each between any two requests
    that change something, and after each such request of staging's own; with `reading` also after the last reading call
    of each tool and of Sentry.
    """
    calls = door.calls
    changing = [number for number, call in enumerate(calls, 1) if CHANGING.match(call)]
    first = _short(calls[changing[0] - 1])
    found = [Point(f"before {first}", kill=f"before {changing[0]}", helm=first.startswith("helm"))]
    for number in changing:
        call = _short(calls[number - 1])
        helm = call.startswith("helm")
        requests = [r for r in door.changes if r.call == number and r.helm]
        if call.startswith("git"):
            found.append(Point(f"inside {call}", kill="inside git push"))
        for request in requests[:-1]:  # after the last one is after the call
            found.append(Point(f"inside {call}, after {request}", request=request.number, helm=helm))
        found.append(Point(f"after {call}", kill=f"after {number}", helm=helm))
    found += [Point(f"after {request}", request=request.number) for request in door.changes if not request.helm]
    for tool in TOOLS if reading else ():
        # The proxy ends with the command.
        others = [n for n, call in enumerate(calls, 1) if call.startswith(f"{tool} ") and n not in changing]
        others = [n for n in others if not calls[n - 1].startswith("kubectl proxy")]
        for number in others[-1:]:
            found.append(Point(f"after {_short(calls[number - 1])} ({number} of {len(calls)})", kill=f"after {number}"))
    for method, count in asked.items():
        for number in range(1, count + 1) if method == "DELETE" else [count]:
            found.append(Point(f"Sentry {method} {number}, not answered", sentry=(method, number, "after")))
        if method == "DELETE":
            found.append(Point("Sentry DELETE 1, not carried out", sentry=(method, 1, "before")))
    return found


def _short(call: str) -> str:
    tool, verb, *rest = call.split()
    if tool == "git" and verb == "push":
        return "git push --delete"
    if tool == "helm" and verb == "uninstall":
        return f"helm uninstall{' --keep-history' if '--keep-history' in rest else ''}"
    return f"{tool} {verb}"


@dataclass
class Count:
    """How a kind of kill points went."""

    tried: int = 0
    converged: int = 0
    left: int = 0
    lost: int = 0


class Matrix:
    """A pytest plugin: the results of all kill points, printed at the end of the run."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Count] = {}

    def count(self, kind: str, helm: str) -> Count:
        return self.counts.setdefault((kind, helm), Count())

    def lines(self) -> list[str]:
        titles = ("points tried", "converged", "left behind", "foreign lost")
        header = f"{'killed in':<16}{'helm':<8}{''.join(f'{title:>14}' for title in titles)}"
        rows = [
            f"{kind:<16}{helm:<8}{c.tried:>14}{c.converged:>14}{c.left:>14}{c.lost:>14}"
            for (kind, helm), c in sorted(self.counts.items())
        ]
        for helm in sorted({helm for _, helm in self.counts}):
            of_helm = [astuple(count) for (_, other), count in self.counts.items() if other == helm]
            rows.append(f"{'all':<16}{helm:<8}{''.join(f'{sum(column):>14}' for column in zip(*of_helm, strict=True))}")
        return [header, *rows]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.counts:
            terminalreporter.section("fault matrix")
            for line in self.lines():
                terminalreporter.write_line(line)
