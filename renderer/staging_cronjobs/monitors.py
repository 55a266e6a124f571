"""Sentry's cron monitors: find by exact slug, delete by id. Another service would replace this module."""

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import Outside, Usage
from .settings import Settings

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
            f"Sentry is set up but for {absent[0]}: set it, or pass --keep-monitors to leave the monitors there"
        )
    if not re.fullmatch("[!-~]+", token):
        raise Usage("the Sentry token holds blanks or other characters that no token has: copy it again")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", settings.sentry_url):
        raise Usage(f"sentry-url is {settings.sentry_url!r}: it must be such as https://sentry.io")
    return Project(settings.sentry_url.rstrip("/"), settings.sentry_org, settings.sentry_project, token)


def find(project: Project, slugs: Collection[str]) -> list[Monitor]:
    """Those of the project's monitors whose slug is exactly one of `slugs`.

    Raises `Outside` when Sentry cannot be asked, and when no monitor of the project is visible at all and the token
    cannot read the project either: an empty list is then no proof that there is nothing to delete.
    """
    path = f"/organizations/{project.organization}/monitors/"
    visible = [m for m in _pages(project, path) if m.get("project", {}).get("slug") == project.project]
    if not visible and slugs:
        _check_visible(project)
    return [Monitor(m["slug"], str(m["id"])) for m in visible if m["slug"] in slugs]


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
            "token's owner is a member of the project and the project's slug is right; with the scope project:read "
            "an empty project is told apart"
        )


def _pages(project: Project, path: str) -> Iterator[dict[str, Any]]:
    url = f"{project.url}/api/0{path}?per_page=100"
    while url:
        response = _ask(project, "GET", url)
        if response.status_code != 200:
            raise _refusal(project, "GET", response)
        try:
            yield from response.json()
        except ValueError:
            raise Outside(f"{project.url} does not answer as Sentry's API does: is sentry-url right?") from None
        following = response.links.get("next", {})
        url = following.get("url", "") if following.get("results") == "true" else ""
        if url and not url.startswith(f"{project.url}/"):
            raise Outside(f"{project.url} sends its pages to another host, {url.split('?')[0]}: set sentry-url to that")


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
        except requests.RequestException as error:
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
