"""Sentry's cron monitors: find by exact slug, delete by id. Another service would replace this module."""

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import Outside, Usage
from ..model.settings import Settings

if TYPE_CHECKING:
    import requests

TIMEOUT = (5, 20)  # seconds to connect, and between bytes
ATTEMPTS = 5
BACKOFF = 0.5  # seconds before the second attempt, doubled each time
PATIENCE = 60  # seconds that one rate limit may make us wait
RETRIED = frozenset({500, 502, 503, 504, 507, 524})  # what sentry-cli retries, and 500
SCOPES = {"GET": "alerts:read", "DELETE": "alerts:write"}


@dataclass(frozen=True)
class Project:
    """Where the monitors are, and the right to delete them. The token is in no representation of this."""

    url: str
    organization: str
    project: str
    token: str = field(repr=False)

    def __str__(self) -> str:
        return f"Sentry project {self.organization}/{self.project}"


@dataclass(frozen=True)
class Monitor:
    """One cron monitor. Its slug is the job's name; its id is what deletes it: slugs are unique per project only."""

    slug: str
    id: str


def connect(settings: Settings, token: str) -> Project | None:
    """The Sentry project of the settings; None when none is set. Nothing is asked of Sentry.

    Raises `Usage` when only part of it is set, without ever naming the token.
    """
    if not settings.sentry_org and not settings.sentry_project:
        return None
    missing = {"sentry-org": settings.sentry_org, "sentry-project": settings.sentry_project, "SENTRY_AUTH_TOKEN": token}
    if absent := [name for name, value in missing.items() if not value]:
        raise Usage(
            f"Sentry settings are incomplete: missing {' and '.join(absent)}. Add what is missing, or pass "
            "--keep-monitors to leave the monitors there"
        )
    if not re.fullmatch("[!-~]+", token):
        raise Usage("the Sentry token holds blanks or other characters that no token has: copy it again")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", settings.sentry_url):
        raise Usage(f"sentry-url is {settings.sentry_url!r}: it must be such as https://sentry.io")
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


def find(project: Project, slugs: Collection[str], *, seen: bool = False) -> list[Monitor]:
    """Those of the project's monitors whose slug is exactly one of `slugs`. Raises `Outside` as `listed` does."""
    return [monitor for monitor in listed(project, seen=seen) if monitor.slug in slugs] if slugs else []


def delete(project: Project, monitor: Monitor) -> None:
    """Delete one monitor. Already gone is done. Raises `Outside` when Sentry does not do it."""
    # Never with `environment`: when the named ones do not exist, Sentry deletes the whole monitor.
    path = f"/projects/{project.organization}/{project.project}/monitors/{monitor.id}/"
    response = _ask(project, "DELETE", f"{project.url}/api/0{path}")
    if response.status_code not in (202, 204, 404):
        raise _refusal(project, "DELETE", response)


def _check_visible(project: Project) -> None:
    path = f"/projects/{project.organization}/{project.project}/"
    response = _ask(project, "GET", f"{project.url}/api/0{path}")
    if response.status_code != 200:
        raise Outside(
            f"{project} shows this token no monitor at all, so it is unknown whether there are any: check that the "
            "token's owner may see the project and the project's slug is right; with the scope project:read an empty "
            "project is told apart"
        )


def _pages(project: Project) -> Iterator[tuple[Monitor, tuple[str, str]]]:
    """Every monitor that the token may see, with the slug and number of its project.

    -1 is all projects: without it Sentry lists only those that the token's owner is a member of. By name: Sentry's own
    order changes with every check-in, and what moves to a page already read would be missed.
    """
    first = f"{project.url}/api/0/organizations/{project.organization}/monitors/?per_page=100&project=-1&sort=name"
    cursor, more = "", True
    while more:
        # Not the link's own URL: it names the address that Sentry believes to be its own, and the token stays here.
        response = _ask(project, "GET", first + (f"&cursor={quote(cursor)}" if cursor else ""))
        if response.status_code != 200:
            raise _refusal(project, "GET", response)
        following = response.links.get("next", {})
        more = following.get("results") == "true"
        try:
            yield from _read(response)
            if more and following["cursor"] in ("", cursor):
                raise ValueError("the pages do not go on")
        except (ValueError, TypeError, KeyError):
            raise Outside(f"{project.url} does not answer as Sentry's API does: is sentry-url right?") from None
        cursor = following.get("cursor", "")


def _read(response: "requests.Response") -> list[tuple[Monitor, tuple[str, str]]]:
    content = response.json()
    if not isinstance(content, list):
        raise TypeError("not a list")
    owners = [(str(m["project"]["slug"]), str(m["project"]["id"])) for m in content]
    return [(Monitor(str(m["slug"]), str(m["id"])), owner) for m, owner in zip(content, owners, strict=True)]


def _ask(project: Project, method: str, url: str) -> "requests.Response":
    """One request, repeated while Sentry is busy or broken, within limits."""
    import requests

    def authorize(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        request.headers["Authorization"] = f"Bearer {project.token}"  # as auth, so that no ~/.netrc replaces it
        return request

    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            response = requests.request(method, url, auth=authorize, timeout=TIMEOUT, allow_redirects=False)
            if response.raw.tell() < int(response.headers.get("Content-Length", 0)):
                raise requests.ConnectionError("cut in the middle")  # urllib3 before 2 does not notice
        except (requests.RequestException, ValueError) as error:  # ValueError: a host name that cannot be one
            problem = _reason(error)
            pause = BACKOFF * 2**attempt
        else:
            if response.status_code not in RETRIED | {429}:
                return response
            problem = f"HTTP {response.status_code}"
            pause = _rate_limit(response) or BACKOFF * 2**attempt
        if attempt < ATTEMPTS - 1:
            time.sleep(pause)
    raise Outside(f"{project} at {project.url} does not answer: {problem}, {ATTEMPTS} times")


def _rate_limit(response: "requests.Response") -> float:
    """Seconds to wait as a 429 says, bounded; 0 when it does not say."""
    reset = response.headers.get("X-Sentry-Rate-Limit-Reset", "")
    if response.status_code != 429 or not reset.replace(".", "", 1).isdecimal():
        return 0
    return min(max(float(reset) - time.time(), BACKOFF), PATIENCE)


def _reason(error: Exception) -> str:
    name = type(error).__name__
    return {"ConnectTimeout": "no connection in time", "ReadTimeout": "no answer in time"}.get(
        name, f"no connection ({name})"
    )


def _refusal(project: Project, method: str, response: "requests.Response") -> Outside:
    """Why Sentry said no, and what to do."""
    code = response.status_code
    if code == 401:
        return Outside(f"{project} does not know the token (401): it is wrong, expired or of another server")
    if code == 403:
        return Outside(
            f"{project} does not allow this (403): the token lacks the scope {SCOPES[method]} (an organization token "
            "has none: use one of an internal integration or a person)"
        )
    if code == 404:
        return Outside(f"{project} is not there (404), or hidden from this token: check sentry-org and sentry-project")
    if 300 <= code < 400:
        return Outside(f"{project.url} redirects to {response.headers.get('Location', '?')}: set sentry-url to that")
    return Outside(f"{project} answers HTTP {code}")
