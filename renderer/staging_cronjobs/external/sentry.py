"""Sentry's cron monitors: find by exact slug, delete by id. Another service would replace this module.

What answers may be broken or hostile: pages, bytes and time are limited, and ids and slugs are checked as they enter.
"""

import json
import re
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import Outside, Usage
from ..model import command_line
from ..model.settings import Settings, check_address
from . import shell, waits

if TYPE_CHECKING:
    import requests

TIMEOUT = (5, 20)  # seconds to connect, and between bytes
ANSWER = 60  # seconds that one answer may take in all, however it drips
TOTAL = 600  # seconds that a deletion, or all pages of a listing, may take in all
PAGES = 500  # of 100 monitors each
LARGEST = 8_000_000  # bytes of one answer, unpacked; a page of 100 monitors has some 100 kB
NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")  # of an organization or a project; it becomes part of a path
ID = re.compile("[A-Za-z0-9-]{1,64}")  # of a monitor: part of the path of a DELETE
SLUG = re.compile("[A-Za-z0-9._-]{1,200}")
SCOPE = re.compile("[a-z]+:[a-z]+")
ATTEMPTS = 5
BACKOFF = 0.5  # seconds before the second attempt, doubled each time
PATIENCE = 60  # seconds that one rate limit may make us wait
RETRIED = frozenset({500, 502, 503, 504, 507, 524})  # what sentry-cli retries, and 500
DELETING = frozenset({"alerts:write", "project:write", "project:admin"})  # one of these scopes lets a token delete
SCOPES = {"GET": "alerts:read", "DELETE": "alerts:write", "PUT": "alerts:write"}


class Denied(Outside):
    """Sentry answered, and said no."""


@dataclass(frozen=True)
class Project:
    """Where the monitors are, and the right to delete them. The token is in no representation of this."""

    url: str
    organization: str
    project: str
    token: str = field(repr=False)

    def __str__(self) -> str:
        return f"Sentry project {self.organization}/{self.project}"

    @property
    def path(self) -> str:
        """Where Sentry's API has it."""
        return f"/projects/{self.organization}/{self.project}"


@dataclass(frozen=True)
class Monitor:
    """One cron monitor. Its slug is the job's name; its id is what deletes it: slugs are unique per project only."""

    slug: str
    id: str
    states: tuple[str, ...] = field(default=(), compare=False)  # `disabled`, or what Sentry says of each environment


def connect(settings: Settings, token: str) -> Project | None:
    """The Sentry project of the settings; None when none is set. Nothing is asked of Sentry.

    Raises `Usage` when only part of it is set, without ever naming the token.
    """
    if not settings.sentry_org and not settings.sentry_project:
        return None
    missing = {"sentry-org": settings.sentry_org, "sentry-project": settings.sentry_project, "SENTRY_AUTH_TOKEN": token}
    if absent := [name for name, value in missing.items() if not value]:
        raise Usage(
            f"Sentry settings are incomplete: missing {' and '.join(absent)}. Set what is missing, or "
            f"{command_line.with_option('--keep-monitors')} to keep the monitors"
        )
    for name in ("sentry-org", "sentry-project"):
        if not NAME.fullmatch(missing[name]):
            raise Usage(
                f"{name} is {missing[name]!a}, which cannot be a Sentry slug. Copy the slug from Sentry's address bar"
            )
    if not re.fullmatch("[!-~]+", token):
        raise Usage("the Sentry token has blanks or other characters that a token cannot have. Copy it again")
    check_address(settings.sentry_url)  # again, where the token goes
    return Project(settings.sentry_url.rstrip("/"), settings.sentry_org, settings.sentry_project, token)


def listed(project: Project, *, seen: bool = False) -> list[Monitor]:
    """Every monitor of the project.

    Raises `Outside` when Sentry cannot be asked, and when no monitor of the project is visible and the token cannot
    read the project either: an empty list is then no proof that there is none, unless one was `seen` just before.
    """
    # Projects may be set by slug or number, as in Sentry's paths. A monitor may be on two pages if others come and go.
    visible = dict.fromkeys(monitor for monitor, owners in _pages(project) if project.project in owners)
    if not visible and not seen:
        _check_visible(project)
    return list(visible)


def scopes(project: Project) -> frozenset[str] | None:
    """What the token may do, in Sentry's words; None where Sentry does not tell. Raises `Outside` as `listed` does."""
    answer = _ask(project, "GET", "/")
    try:
        found = json.loads(_unpacked(answer))["auth"]["scopes"]
        return frozenset(filter(SCOPE.fullmatch, found)) if isinstance(found, list) else None
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
        return None


def find(project: Project, slugs: Collection[str], *, seen: bool = False) -> list[Monitor]:
    """Those of the project's monitors whose slug is exactly one of `slugs`. Raises `Outside` as `listed` does."""
    return [monitor for monitor in listed(project, seen=seen) if monitor.slug in slugs] if slugs else []


def delete(project: Project, monitor: Monitor) -> None:
    """Delete one monitor. Already gone is done. Raises `Outside` when Sentry does not do it."""
    # Never with `environment`: when the named ones do not exist, Sentry deletes the whole monitor.
    _ask(project, "DELETE", f"{project.path}/monitors/{monitor.id}/", codes=(202, 204, 404))


def set_enabled(project: Project, monitor: Monitor, enabled: bool) -> None:
    """Let Sentry expect check-ins of one monitor, or none. Raises `Outside` when Sentry does not do it."""
    body = {"status": "active" if enabled else "disabled"}
    _ask(project, "PUT", f"{project.path}/monitors/{monitor.id}/", body=body)


def _check_visible(project: Project) -> None:
    try:
        _ask(project, "GET", f"{project.path}/")
    except Denied:
        raise Outside(
            f"{project} shows this token no monitor at all, so it is unknown whether there are any. Check that "
            "sentry-project is right and that the token's owner may see it. A token with the scope project:read can "
            "tell that a project is empty"
        ) from None


def _pages(project: Project) -> Iterator[tuple[Monitor, tuple[str, str]]]:
    """Every monitor that the token may see, with the slug and number of its project.

    -1 is all projects: without it Sentry lists only those that the token's owner is a member of. By name: Sentry's own
    order changes with every check-in, and what moves to a page already read would be missed.
    """
    first = f"/organizations/{project.organization}/monitors/?per_page=100&project=-1&sort=name"
    cursor, until = "", time.monotonic() + TOTAL
    for _ in range(PAGES):
        # Not the link's own URL: it names the address that Sentry believes to be its own, and the token stays here.
        answer = _ask(project, "GET", first + (f"&cursor={quote(cursor)}" if cursor else ""), until=until)
        following = answer.links.get("next", {})
        more = following.get("results") == "true"
        try:
            yield from _read(answer)
            if more and following["cursor"] in ("", cursor):
                raise ValueError("the pages do not go on")
        except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
            raise Outside(f"{project.url} does not answer as Sentry's API does. Check sentry-url") from None
        if not more:
            return
        cursor = following["cursor"]
    raise Outside(f"{project.url} has more than {PAGES} pages of monitors, or repeats them. Check sentry-url")


def _read(answer: "_Answer") -> Iterator[tuple[Monitor, tuple[str, str]]]:
    content = json.loads(_unpacked(answer))
    if not isinstance(content, list):
        raise TypeError("not a list")
    for entry in content:
        monitor, owner = Monitor(str(entry["slug"]), str(entry["id"]), _states(entry)), entry["project"]
        if not SLUG.fullmatch(monitor.slug) or not ID.fullmatch(monitor.id):
            raise ValueError("no slug or id of Sentry's")
        yield monitor, (str(owner["slug"]), str(owner["id"]))


def _states(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What Sentry says of a monitor: words of its own, which may become more."""
    if entry.get("status") == "disabled":
        return ("disabled",)
    found = entry.get("environments")
    told = (one.get("status") for one in found if isinstance(one, dict)) if isinstance(found, list) else ()
    return tuple(sorted({str(status)[:40] for status in told}))


def _unpacked(answer: "_Answer") -> bytes:
    """The body, of which a few bytes cannot become more than `LARGEST`."""
    if answer.headers.get("Content-Encoding", "identity") == "identity":
        return answer.body
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    body = gzip.decompress(answer.body, LARGEST)
    if not gzip.eof:
        raise ValueError("cut, or too large")
    return body


@dataclass(frozen=True)
class _Answer:
    code: int
    headers: Mapping[str, str]
    links: Mapping[str, dict[str, str]]
    body: bytes


@waits.on("Sentry")
def _ask(
    project: Project,
    method: str,
    path: str,
    *,
    codes: Collection[int] = (200,),
    until: float = 0,
    body: Mapping[str, str] | None = None,
) -> _Answer:
    """One request, repeated while Sentry is busy or broken, within limits and not beyond a moment.

    Raises `Denied` for an answer of another code, `Outside` where there is none.
    """
    import requests

    url, until = f"{project.url}/api/0{path}", until or time.monotonic() + TOTAL
    problem, attempt = "", 0
    for attempt in range(1, ATTEMPTS + 1):
        pause = BACKOFF * 2 ** (attempt - 1)
        try:
            seconds = max(0.0, min(ANSWER, until - time.monotonic()))
            # In a thread, because looking up a name, and headers that drip, know no time limit.
            answer = shell.in_thread(partial(_asked_once, project, method, url, body)).result(seconds)
        # ValueError: a host name that cannot be one; BaseHTTPError: what breaks while the body is read.
        except (requests.RequestException, requests.exceptions.BaseHTTPError, ValueError, TimeoutError) as error:
            problem = _reason(error)
        else:
            if answer.code in codes:
                return answer
            if answer.code not in RETRIED | {429}:
                raise _refusal(project, method, answer)
            problem = f"HTTP {answer.code}"
            pause = _rate_limit(answer) or pause
        if attempt == ATTEMPTS or time.monotonic() + pause > until:
            break
        time.sleep(pause)
    raise Outside(f"{project} at {project.url} does not answer: {problem}. Tried {attempt} times")


def _asked_once(project: Project, method: str, url: str, content: Mapping[str, str] | None) -> _Answer:
    import requests

    def authorize(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        request.headers["Authorization"] = f"Bearer {project.token}"  # as auth, so that no ~/.netrc replaces it
        return request

    asked: dict[str, Any] = {
        "auth": authorize,
        "headers": {"Accept-Encoding": "gzip"},
        "timeout": TIMEOUT,
        "stream": True,
        "json": content,
    }
    session = requests.Session()
    # Redirects are not even looked at: requests would read their whole body, however large.
    session.get_redirect_target = lambda resp: None  # noqa: ARG005 - the name that requests gives it
    with session, session.request(method, url, **asked) as response:
        body = response.raw.read(LARGEST + 1, decode_content=False)
        if len(body) > LARGEST:
            raise Outside(f"{project.url} answers with more than {LARGEST:,} bytes. Check sentry-url")
        if len(body) < int(response.headers.get("Content-Length", 0)):
            raise requests.ConnectionError("cut in the middle")
        return _Answer(response.status_code, response.headers, response.links, body)


def _rate_limit(answer: _Answer) -> float:
    """Seconds to wait as a 429 says, bounded; 0 when it does not say."""
    reset = answer.headers.get("X-Sentry-Rate-Limit-Reset", "")
    if answer.code != 429 or not reset.replace(".", "", 1).isdecimal():
        return 0
    return min(max(float(reset) - time.time(), BACKOFF), PATIENCE)


def _reason(error: Exception) -> str:
    late = dict.fromkeys(("ReadTimeout", "ReadTimeoutError", "TimeoutError"), "no answer in time")
    name = type(error).__name__
    return {"ConnectTimeout": "no connection in time", **late}.get(name, f"no connection ({name})")


def _refusal(project: Project, method: str, answer: _Answer) -> "Denied":
    """Why Sentry said no, and what to do."""
    code = answer.code
    if code == 401:
        return Denied(f"{project} does not know the token (401). It is wrong, expired, or from another server")
    if code == 403:
        return Denied(
            f"{project} does not allow this (403): the token lacks the scope {SCOPES[method]}. An organization token "
            "cannot have it. Use a token of an internal integration or a personal one"
        )
    if code == 404:
        return Denied(
            f"{project} does not exist (404), or the token cannot see it. Check sentry-org and sentry-project"
        )
    if 300 <= code < 400:
        location = answer.headers.get("Location", "")
        shown = location if re.fullmatch("[!-~]{1,200}", location) else "another address"
        return Denied(f"{project.url} redirects to {shown}. If you trust that address, set sentry-url to it")
    return Denied(f"{project} answers HTTP {code}")
