"""A local HTTP server that plays Sentry's cron monitors, for tests: the documented API, and faults on demand.

    with SentryServer() as sentry:
        project = sentry.add_project("weather")
        token = sentry.add_token([project])
        sentry.check_in("staging-ridge-snow-v0-3-0-update", project, CONFIG)
        sentry.inject(rate_limited(reset_in=1), method="DELETE")

What it answers follows https://docs.sentry.io/api/crons/, https://docs.sentry.io/api/pagination/ and, where those are
silent, Sentry's source (src/sentry/monitors). tests/unit/test_sentry_server.py holds it against Sentry's own
description of its API.
"""

import json
import math
import re
import socket
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from local_server import Handler, LocalServer

CONFIG: dict[str, Any] = {"schedule": {"type": "crontab", "value": "0 * * * *"}, "checkin_margin": 10}
ALERT_SCOPES = frozenset({"alerts:read", "alerts:write", "project:read"})  # of a token that may do all this takes
LIST_SCOPES = frozenset({"alerts:read", "org:read", "org:write", "org:admin"})
PROJECT_SCOPES = frozenset({"project:read", "project:write", "project:admin"})
READ_SCOPES = PROJECT_SCOPES | {"alerts:read", "alerts:write"}
DELETE_SCOPES = frozenset({"alerts:write", "project:write", "project:admin"})
PAGE = 100
SLUG_LENGTH = 50

Query = dict[str, list[str]]

NO_CREDENTIALS = "Authentication credentials were not provided."
INVALID_TOKEN = "Invalid token"
FORBIDDEN = "You do not have permission to perform this action."
NOT_FOUND = "The requested resource does not exist"
TOO_FREQUENT = "You are attempting to use this endpoint too frequently. Limit is 40 requests in 1 seconds"


def slugify(name: str) -> str | None:
    """The slug under which Sentry files a check-in for `name`; None when it refuses the name and drops the check-in."""
    text = unicodedata.normalize("NFKD", name[:SLUG_LENGTH]).encode("ascii", "ignore").decode()
    text = re.sub(r"[^\w\s-]", "", text.lower())
    slug = re.sub(r"[-\s]+", "-", text).strip("-_")[:SLUG_LENGTH].strip("-")
    return slug if re.fullmatch(r"(?![0-9]+$)[a-z0-9_-]+", slug) else None


@dataclass(eq=False)
class Project:
    slug: str
    id: str
    created: datetime


@dataclass(eq=False)
class Environment:
    name: str
    status: str
    last_check_in: datetime | None


@dataclass(eq=False)
class Monitor:
    """One cron monitor. The oldest has the smallest `number`."""

    slug: str
    name: str
    project: Project
    config: Mapping[str, Any]
    number: int
    created: datetime
    status: str = "active"
    environments: list[Environment] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False)
class _Token:
    scopes: frozenset[str]
    projects: Collection[Project]  # that it may see
    member_of: Collection[Project]  # that a listing without `project=` shows


@dataclass(frozen=True)
class Request:
    """What was asked. `authorized`: "right", "wrong" or "missing"; the token itself is never kept."""

    method: str
    path: str
    query: Query
    authorized: str
    at: float  # time.monotonic()


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead of, or before, its answer."""

    answer: Answer | None = None  # given instead; nothing is carried out
    delay: float = 0.0  # seconds before anything else
    cut: str = ""  # where the connection ends: see `cut`
    before: Callable[[], None] | None = None  # called first: what others do meanwhile
    stream: Callable[[], Iterator[bytes]] | None = None  # the answer from its status line on, piece by piece
    pause: float = 0.0  # seconds after each piece


def answered(status: int, content: object = None, headers: Mapping[str, str] | None = None) -> Fault:
    """The answer `status`, with `content` as JSON (bytes: as they are; None: no body)."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    return Fault(Answer(status, body, headers or {}))


def rate_limited(reset_in: float | None = None) -> Fault:
    """429 as Sentry says it: the body is a JSON string.

    `reset_in`: with sentry.io's header, which others lack, for the first whole second after so many seconds.
    """
    headers = {} if reset_in is None else {"X-Sentry-Rate-Limit-Reset": str(math.ceil(time.time() + reset_in))}
    return answered(429, TOO_FREQUENT, headers)


def redirect(location: str, status: int = 302) -> Fault:
    return answered(status, headers={"Location": location})


def slow(seconds: float) -> Fault:
    return Fault(delay=seconds)


def endless(where: str = "body", *, pause: float = 0.0, length: int | None = None) -> Fault:
    """An answer whose "headers" or "body" never end; with a `pause` they drip. `length`: what it says of itself."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if length is not None:
        head += b"Content-Length: %d\r\n" % length
    piece = b" " if pause else b" " * 65_536
    begin, more = (head, b"X" if pause else piece) if where == "headers" else (head + b"\r\n[", piece)

    def stream() -> Iterator[bytes]:
        yield begin
        while True:
            yield more

    return Fault(stream=stream, pause=pause)


def cut(where: str) -> Fault:
    """The connection ends "before" the request is carried out, "after" it, or in the middle of the answer's "body"."""
    return Fault(cut=where)


def meanwhile(action: Callable[[], object]) -> Fault:
    """`action` is done before the request is looked at."""
    return Fault(before=lambda: (action(), None)[1])


@dataclass
class _Planned:
    fault: Fault
    method: str
    path: str
    skip: int
    times: float


class SentryServer(LocalServer):
    """Sentry with one organization. `url` is what a user would set as SENTRY_URL.

    `public_url` is what the server believes its address to be: it begins the links between pages, as Sentry's
    `system.url-prefix` does, and need not be the address that clients use.
    """

    def __init__(self, organization: str = "acme", public_url: str = "") -> None:
        self.organization = organization
        self.requests: list[Request] = []
        self.monitors: list[Monitor] = []
        self.projects: list[Project] = []
        self._tokens: dict[str, _Token] = {}
        self._planned: list[_Planned] = []
        self._number = 0
        self._lock = threading.RLock()
        self._closing = threading.Event()
        super().__init__(_Handler)
        self.public_url = public_url or self.url

    def close(self) -> None:
        """Stop, also what is delayed."""
        self._closing.set()
        super().close()

    # What tests arrange

    def add_project(self, slug: str) -> Project:
        project = Project(slug, str(4_500_000 + len(self.projects)), datetime.now(UTC))
        self.projects.append(project)
        return project

    def add_token(
        self,
        projects: Iterable[Project],
        scopes: Iterable[str] = ALERT_SCOPES,
        member_of: Iterable[Project] | None = None,
    ) -> str:
        """A new token of someone who may see `projects`; member of all of them unless said otherwise."""
        seen = list(projects)
        token = f"sntryu_{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self._tokens[token] = _Token(frozenset(scopes), seen, seen if member_of is None else list(member_of))
        return token

    def add_organization_token(self) -> str:
        """An organization token (scope org:ci only): Sentry's answer to it is 403 here."""
        return self.add_token(self.projects, {"org:ci"})

    def add_monitor(self, slug: str, project: Project, *, name: str = "", status: str = "active") -> Monitor:
        """A monitor that has never had a check-in. Slugs are unique per project."""
        with self._lock:
            if self._by_slug(slug, [project]):
                raise ValueError(f"{project.slug} has a monitor {slug} already")
            self._number += 1
            monitor = Monitor(slug, name or slug, project, _config(CONFIG), self._number, datetime.now(UTC), status)
            self.monitors.append(monitor)
            return monitor

    def check_in(
        self,
        name: str,
        project: Project,
        config: Mapping[str, Any] | None = None,
        *,
        status: str = "ok",
        environment: str = "production",
    ) -> Monitor | None:
        """A pod's check-in. With a config it makes the monitor, or makes it again; without one it may be dropped."""
        slug = slugify(name)
        if slug is None:
            return None
        with self._lock:
            found = self._by_slug(slug, [project])
            if not found and config is None:
                return None
            monitor = found[0] if found else self.add_monitor(slug, project)
            if config is not None:
                monitor.config = _config(config)
            now = datetime.now(UTC)
            for existing in monitor.environments:
                if existing.name == environment:
                    existing.status, existing.last_check_in = status, now
                    break
            else:
                monitor.environments.append(Environment(environment, status, now))
            return monitor

    def inject(self, fault: Fault, *, method: str = "", path: str = "", skip: int = 0, times: float = 1) -> None:
        """`fault` for the next `times` requests (`math.inf`: all) of `method` whose path and query contain `path`.

        The first `skip` of them go well. The first fault injected that matches a request is the one it gets.
        """
        with self._lock:
            self._planned.append(_Planned(fault, method, path, skip, times))

    def asked(self, method: str = "", path: str = "") -> list[Request]:
        """The requests so far of that method whose path contains `path`."""
        return [r for r in list(self.requests) if (not method or r.method == method) and path in r.path]

    def slugs(self, project: Project) -> list[str]:
        """The slugs of the project's monitors, sorted."""
        with self._lock:
            return sorted(m.slug for m in self.monitors if m.project is project)

    # What happens to a request

    def take_fault(self, method: str, target: str) -> Fault:
        with self._lock:
            for planned in self._planned:
                if planned.times > 0 and planned.method in ("", method) and planned.path in target:
                    if planned.skip > 0:
                        planned.skip -= 1
                        continue
                    planned.times -= 1
                    return planned.fault
        return Fault()

    def wait(self, seconds: float) -> bool:
        """Whether the server closes meanwhile."""
        return self._closing.wait(seconds)

    def authorization(self, header: str | None) -> str:
        if not header:
            return "missing"
        return "right" if self._token(header) else "wrong"

    def carry_out(self, method: str, target: str, header: str | None, body: bytes) -> Answer:
        """The answer to a request, and what it changes."""
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        with self._lock:
            self._sent = body
            if match := re.fullmatch(r"/api/(?P<project>[0-9]+)/cron/(?P<slug>[^/]+)/(?P<key>[^/]+)/?", parts.path):
                return self._cron(method, match["project"], match["slug"], body)
            token = self._token(header)
            if token is None:
                return _detail(401, INVALID_TOKEN if header else NO_CREDENTIALS)
            for pattern, handler in self._routes().items():
                if (match := re.fullmatch(f"/api/0{pattern}", parts.path)) and handler.get(method):
                    return handler[method](token, query, *match.groups())
                if match:
                    return _detail(405, f'Method "{method}" not allowed.')
            return _detail(404, NOT_FOUND)

    def _routes(self) -> dict[str, dict[str, Callable[..., Answer]]]:
        one = {"GET": self._show, "DELETE": self._delete, "PUT": self._update}
        return {
            "/": {"GET": self._index},
            "/organizations/([^/]+)/monitors/": {"GET": self._list},
            "/organizations/([^/]+)/monitors/([^/]+)/": {m: self._oldest(call) for m, call in one.items()},
            "/projects/([^/]+)/([^/]+)/": {"GET": self._project},
            "/projects/([^/]+)/([^/]+)/monitors/([^/]+)/": {m: self._in_project(call) for m, call in one.items()},
        }

    def _index(self, token: _Token, query: Query) -> Answer:
        return Answer(
            200, json.dumps({"version": "0", "auth": {"scopes": sorted(token.scopes)}, "user": None}).encode()
        )

    def _list(self, token: _Token, query: Query, organization: str) -> Answer:
        if organization != self.organization:
            return _detail(404, NOT_FOUND)
        if not token.scopes & LIST_SCOPES:
            return _detail(403, FORBIDDEN)
        asked = query.get("project", [])
        if not all(re.fullmatch("-?[0-9]+", p) for p in asked):
            return _detail(400, "Invalid project parameter. Values must be numbers.")
        if not asked:
            projects = list(token.member_of)  # Sentry's "My Projects"
        elif "-1" in asked:
            projects = list(token.projects)
        else:
            projects = [p for p in token.projects if p.id in asked]
            if len(projects) < len(set(asked)):
                return _detail(403, FORBIDDEN)
        if not projects:
            return Answer(200, b"[]")  # without links
        monitors = [m for m in self.monitors if m.project in projects]
        for text in query.get("query", []):
            monitors = [m for m in monitors if text.lower() in m.name.lower() or text.lower() in m.slug.lower()]
        if query.get("sort", [""])[-1] == "name":
            monitors.sort(key=lambda m: m.name)
        else:
            monitors.sort(key=_urgency)
        return self._page(monitors, query, organization)

    def _page(self, monitors: list[Monitor], query: Query, organization: str) -> Answer:
        size = query.get("per_page", [str(PAGE)])[-1]
        if not size.isdecimal() or not 1 <= int(size) <= PAGE:
            return _detail(400, f"Invalid per_page value. Must be between 1 and {PAGE}.")
        limit = int(size)
        cursor = re.fullmatch("([0-9]+):(-?[0-9]+):([01])", query.get("cursor", [f"{limit}:0:0"])[-1])
        if not cursor:
            return _detail(400, "Invalid cursor parameter.")
        number = int(cursor[2])
        if number < 0:
            return _detail(400, "Pagination offset cannot be negative")
        start = number * int(cursor[1])
        rest = [(k, v) for k, values in query.items() if k != "cursor" for v in values]
        base = f"{self.public_url}/api/0/organizations/{quote(organization)}/monitors/?{urlencode(rest)}"
        more = {
            "previous": (f"{limit}:{number - 1}:1", number > 0),
            "next": (f"{limit}:{number + 1}:0", len(monitors) > start + limit),
        }
        links = [
            f'<{base}&cursor={position}>; rel="{rel}"; results="{str(results).lower()}"; cursor="{position}"'
            for rel, (position, results) in more.items()
        ]
        shown = [_shown(m) for m in monitors[start : start + limit]]
        return Answer(200, json.dumps(shown).encode(), {"Link": ", ".join(links)})

    def _project(self, token: _Token, query: Query, organization: str, name: str) -> Answer:
        project = self._find_project(organization, name)
        if project is None:
            return _detail(404, NOT_FOUND)
        if project not in token.projects or not token.scopes & PROJECT_SCOPES:
            return _detail(403, FORBIDDEN)
        return Answer(200, json.dumps(_shown_project(project)).encode())

    def _in_project(self, call: Callable[[Monitor, Query], Answer]) -> Callable[..., Answer]:
        def handle(token: _Token, query: Query, organization: str, name: str, monitor: str) -> Answer:
            project = self._find_project(organization, name)
            if project is None:
                return _detail(404, NOT_FOUND)
            return self._on_one(token, query, call, project in token.projects, [project], monitor)

        return handle

    def _oldest(self, call: Callable[[Monitor, Query], Answer]) -> Callable[..., Answer]:
        def handle(token: _Token, query: Query, organization: str, monitor: str) -> Answer:
            projects = self.projects if organization == self.organization else []
            return self._on_one(token, query, call, True, projects, monitor)

        return handle

    def _on_one(
        self,
        token: _Token,
        query: Query,
        call: Callable[[Monitor, Query], Answer],
        allowed: bool,
        projects: Collection[Project],
        name: str,
    ) -> Answer:
        scopes = READ_SCOPES if call == self._show else DELETE_SCOPES
        if not allowed or not token.scopes & scopes:
            return _detail(403, FORBIDDEN)
        found = self._by_slug(name, projects) or [m for m in self.monitors if m.id == name and m.project in projects]
        if not found:
            return _detail(404, NOT_FOUND)
        monitor = min(found, key=lambda m: m.number)
        return call(monitor, query) if monitor.project in token.projects else _detail(403, FORBIDDEN)

    def _show(self, monitor: Monitor, query: Query) -> Answer:
        return Answer(200, json.dumps(_shown(monitor)).encode())

    def _update(self, monitor: Monitor, query: Query) -> Answer:
        """What is sent is changed, and no more: Sentry's own check of it is a partial one."""
        status = json.loads(self._sent).get("status", monitor.status)
        if status not in ("active", "disabled"):
            return Answer(400, json.dumps({"status": ["Invalid status"]}).encode())
        monitor.status = status
        return Answer(200, json.dumps(_shown(monitor)).encode())

    def _delete(self, monitor: Monitor, query: Query) -> Answer:
        known = {e.name for m in self.monitors for e in m.environments}
        if named := known.intersection(query.get("environment", [])):
            kept = [e for e in monitor.environments if e.name not in named]
            if len(kept) == len(monitor.environments):
                return Answer(404)
            monitor.environments = kept
        else:  # also when only unknown environments are named
            self.monitors.remove(monitor)
        return Answer(202)

    def _cron(self, method: str, project_id: str, slug: str, body: bytes) -> Answer:
        """A check-in without an SDK. What comes of it is not said."""
        project = next((p for p in self.projects if p.id == project_id), None)
        if project is None or method not in ("GET", "POST"):
            return _detail(403, "bad sentry DSN public key")
        content = json.loads(body) if body else {}
        self.check_in(slug, project, content.get("monitor_config"), status=content.get("status", "ok"))
        return Answer(202)

    def _token(self, header: str | None) -> _Token | None:
        scheme, _, value = (header or "").partition(" ")
        return self._tokens.get(value) if scheme == "Bearer" else None

    def _find_project(self, organization: str, name: str) -> Project | None:
        projects = self.projects if organization == self.organization else []
        return next((p for p in projects if name in (p.slug, p.id)), None)

    def _by_slug(self, slug: str, projects: Collection[Project]) -> list[Monitor]:
        return [m for m in self.monitors if m.slug == slug and m.project in projects]


def _detail(status: int, text: str) -> Answer:
    return Answer(status, json.dumps({"detail": text}).encode())


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    schedule = given["schedule"]
    interval = schedule["type"] == "interval"
    optional = ("checkin_margin", "max_runtime", "failure_issue_threshold", "recovery_threshold", "alert_rule_id")
    return {
        "schedule_type": schedule["type"],
        "schedule": [schedule["value"], schedule["unit"]] if interval else schedule["value"],
        "timezone": given.get("timezone", "UTC"),
        **{name: given.get(name) for name in optional},
    }


def _urgency(monitor: Monitor) -> tuple[int, float]:
    """Sentry's order unless asked otherwise: trouble first, then the latest check-in; it changes as jobs run."""
    if monitor.status == "disabled":
        return 3, 0
    rank = {"error": 0, "timeout": 0, "missed_checkin": 0, "ok": 1}
    last = [e.last_check_in.timestamp() for e in monitor.environments if e.last_check_in]
    return min((rank.get(e.status, 2) for e in monitor.environments), default=2), -max(last, default=0)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _shown_project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "slug": project.slug,
        "name": project.slug,
        "platform": "python",
        "dateCreated": _time(project.created),
        "status": "active",
        "isMember": True,
        "hasAccess": True,
    }


def _shown(monitor: Monitor) -> dict[str, Any]:
    def shown(environment: Environment) -> dict[str, Any]:
        last = environment.last_check_in
        following = last + timedelta(hours=1) if last else None
        return {
            "name": environment.name,
            "status": environment.status,
            "isMuted": False,
            "dateCreated": _time(monitor.created),
            "lastCheckIn": _time(last),
            "nextCheckIn": _time(following),
            "nextCheckInLatest": _time(following + timedelta(minutes=10) if following else None),
            "activeIncident": None,
        }

    return {
        "id": monitor.id,
        "name": monitor.name,
        "slug": monitor.slug,
        "status": monitor.status,
        "isMuted": False,
        "isUpserting": bool(monitor.environments),
        "config": monitor.config,
        "dateCreated": _time(monitor.created),
        "project": _shown_project(monitor.project),
        "environments": [shown(e) for e in monitor.environments],
        "owner": None,
    }


class _Handler(Handler):
    def handle_request(self) -> None:
        sentry: SentryServer = self.owner
        header = self.headers.get("Authorization")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        authorized = sentry.authorization(header)
        sentry.requests.append(Request(self.command, parts.path, query, authorized, time.monotonic()))
        fault = sentry.take_fault(self.command, self.path)
        if fault.before:
            fault.before()
        if fault.delay:
            sentry.wait(fault.delay)
        if fault.cut == "before":
            return self.end()
        for piece in fault.stream() if fault.stream else ():
            self.wfile.write(piece)
            if sentry.wait(fault.pause):
                return self.end()
        answer = fault.answer or sentry.carry_out(self.command, self.path, header, body)
        if fault.cut == "after":
            return self.end()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body) + (fault.cut == "body")))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if fault.cut == "body" else answer.body)
        return self.end() if fault.cut else None

    def end(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):  # the client was faster
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_DELETE = do_POST = do_PUT = handle_request  # noqa: N815 - the names that the base class looks for
