"""The server that plays Sentry, held against Sentry's description of its own API and its documented behaviour."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from sentry_server import CONFIG, Project, SentryServer, slugify

API = json.loads((Path(__file__).parent / "sentry_api.json").read_text(encoding="utf-8"))
KINDS = {"string": str, "boolean": bool, "integer": int, "array": list, "object": dict, "null": type(None)}


def mismatches(value: Any, described: Any, where: str = "") -> list[str]:
    """Where `value` is not what sentry_api.json describes; a field that it does not describe is one too."""
    if isinstance(described, list):
        items = enumerate(value) if isinstance(value, list) else ()
        found = [m for i, item in items for m in mismatches(item, described[0], f"{where}[{i}]")]
        return found if isinstance(value, list) else [f"{where} is no list"]
    if isinstance(described, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        keys = [f"{where}.{key} is missing or unknown" for key in described.keys() ^ value.keys()]
        return keys + [
            m for k in described.keys() & value.keys() for m in mismatches(value[k], described[k], f"{where}.{k}")
        ]
    return [] if any(fits(value, kind) for kind in described.split(" or ")) else [f"{where} is {value!r}"]


def fits(value: Any, kind: str) -> bool:
    if kind == "time":
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    return type(value) is KINDS[kind]


@pytest.fixture
def sentry() -> Iterator[SentryServer]:
    with SentryServer() as server:
        yield server


@pytest.fixture
def weather(sentry: SentryServer) -> Project:
    return sentry.add_project("weather")


def ask(sentry: SentryServer, method: str, path: str, token: str = "", **query: Any) -> requests.Response:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, f"{sentry.url}/api/0{path}", params=query, auth=authorize, timeout=10)


LIST = "/organizations/acme/monitors/"


def test_a_listing_is_what_sentry_describes(sentry: SentryServer, weather: Project) -> None:
    sentry.check_in("staging-ridge-snow-v0-3-0-update", weather, CONFIG, environment="production")
    sentry.check_in("staging-ridge-snow-v0-3-0-update", weather, CONFIG, environment="staging", status="error")
    sentry.check_in("every-day", weather, {"schedule": {"type": "interval", "value": 1, "unit": "day"}})
    sentry.add_monitor("silent", weather, status="disabled")
    answer = ask(sentry, "GET", LIST, sentry.add_token([weather]))
    assert answer.status_code in API["list"]["statuses"]
    assert mismatches(answer.json(), [API["list"]["entry"]]) == []
    assert [m["slug"] for m in answer.json()] == ["staging-ridge-snow-v0-3-0-update", "every-day", "silent"]
    assert all(str(uuid.UUID(m["id"])) == m["id"] for m in answer.json())


def test_the_check_against_the_description_finds_faults() -> None:
    described = API["list"]["entry"]["environments"]
    good = dict.fromkeys(["lastCheckIn", "nextCheckIn", "nextCheckInLatest", "activeIncident"])
    good |= {"name": "x", "status": "ok", "isMuted": False, "dateCreated": "2026-01-01T00:00:00Z"}
    assert mismatches([good], described) == []
    assert mismatches(good, described) == [" is no list"]
    assert mismatches([good | {"isMuted": 0}], described) == ["[0].isMuted is 0"]
    assert mismatches([{k: v for k, v in good.items() if k != "name"}], described) == ["[0].name is missing or unknown"]


def test_the_scopes_are_those_that_sentry_describes(sentry: SentryServer, weather: Project) -> None:
    for scope in ["alerts:read", "alerts:write", "org:ci", "org:read", "org:write", "org:admin"] + [
        f"{kind}:{right}" for kind in ("project", "event", "team") for right in ("read", "write", "admin")
    ]:
        token = sentry.add_token([weather], {scope})
        monitor = sentry.add_monitor(f"for-{scope.replace(':', '-')}", weather)
        listed = ask(sentry, "GET", LIST, token)
        assert listed.status_code == (200 if scope in API["list"]["scopes"] else 403), scope
        deleted = ask(sentry, "DELETE", f"/projects/acme/weather/monitors/{monitor.id}/", token)
        assert deleted.status_code == (202 if scope in API["delete"]["scopes"] else 403), scope
        assert {listed.status_code} <= set(API["list"]["statuses"])
        assert {deleted.status_code} <= set(API["delete"]["statuses"])


def test_refusals_have_the_documented_bodies(sentry: SentryServer, weather: Project) -> None:
    token = sentry.add_token([weather])
    hidden = sentry.add_project("hidden")
    monitor = sentry.add_monitor("theirs", hidden)
    answers = {
        "no token": ask(sentry, "GET", LIST),
        "a wrong token": ask(sentry, "GET", LIST, "sntryu_wrong"),
        "an organization token": ask(sentry, "GET", LIST, sentry.add_organization_token()),
        "another's project": ask(sentry, "GET", "/projects/acme/hidden/", token),
        "another's monitor": ask(sentry, "DELETE", f"/projects/acme/hidden/monitors/{monitor.id}/", token),
        "no such organization": ask(sentry, "GET", "/organizations/other/monitors/", token),
        "no such project": ask(sentry, "GET", "/projects/acme/none/", token),
        "no such monitor": ask(sentry, "DELETE", f"/projects/acme/weather/monitors/{uuid.uuid4()}/", token),
        "no such path": ask(sentry, "GET", "/nothing/", token),
        "too large a page": ask(sentry, "GET", LIST, token, per_page=101),
        "no cursor": ask(sentry, "GET", LIST, token, cursor="x"),
    }
    forbidden, missing = "You do not have permission to perform this action.", "The requested resource does not exist"
    assert {name: (a.status_code, a.json()["detail"]) for name, a in answers.items()} == {
        "no token": (401, "Authentication credentials were not provided."),
        "a wrong token": (401, "Invalid token"),
        "an organization token": (403, forbidden),
        "another's project": (403, forbidden),
        "another's monitor": (403, forbidden),
        "no such organization": (404, missing),
        "no such project": (404, missing),
        "no such monitor": (404, missing),
        "no such path": (404, missing),
        "too large a page": (400, "Invalid per_page value. Must be between 1 and 100."),
        "no cursor": (400, "Invalid cursor parameter."),
    }
    assert sentry.slugs(hidden) == ["theirs"]


@pytest.mark.parametrize(("count", "pages"), [(0, [0]), (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_pages(sentry: SentryServer, weather: Project, count: int, pages: list[int]) -> None:
    token = sentry.add_token([weather])
    for number in range(count):
        sentry.add_monitor(f"m{number}", weather)
    seen, sizes, url = set(), [], f"{sentry.url}/api/0{LIST}"
    previous = "false"
    while url:
        answer = ask(sentry, "GET", url.removeprefix(f"{sentry.url}/api/0"), token)
        sizes.append(len(answer.json()))
        seen |= {m["slug"] for m in answer.json()}
        assert set(answer.links) == {"previous", "next"}
        assert answer.links["previous"]["results"] == previous
        assert answer.links["next"]["cursor"] == f"100:{len(sizes)}:0"
        url = answer.links["next"]["url"] if answer.links["next"]["results"] == "true" else ""
        previous = "true"
    assert sizes == pages
    assert len(seen) == count


def test_a_smaller_page_a_search_and_an_order(sentry: SentryServer, weather: Project) -> None:
    token = sentry.add_token([weather])
    for slug in ("b-update", "c-update", "a-validate"):
        sentry.check_in(slug, weather, CONFIG)
    first = ask(sentry, "GET", LIST, token, per_page=2, query="UPD", sort="name")
    assert [m["slug"] for m in first.json()] == ["b-update", "c-update"]
    assert first.links["next"]["results"] == "false"
    assert [m["slug"] for m in ask(sentry, "GET", LIST, token, sort="name", per_page=1).json()] == ["a-validate"]
    assert [m["slug"] for m in ask(sentry, "GET", LIST, token).json()] == ["a-validate", "c-update", "b-update"]


def test_what_a_token_sees(sentry: SentryServer, weather: Project) -> None:
    """Without `project=` only the projects that the token's owner is a member of."""
    other = sentry.add_project("other")
    hidden = sentry.add_project("hidden")
    for project in (weather, other, hidden):
        sentry.add_monitor(f"in-{project.slug}", project)

    def seen(token: str, **query: Any) -> list[str]:
        return sorted(m["slug"] for m in ask(sentry, "GET", LIST, token, **query).json())

    token = sentry.add_token([weather, other], member_of=[other])
    assert seen(token) == ["in-other"]
    assert seen(token, project=-1) == ["in-other", "in-weather"]
    assert seen(token, project=weather.id) == ["in-weather"]
    assert ask(sentry, "GET", LIST, token, project=hidden.id).status_code == 403
    assert ask(sentry, "GET", LIST, token, project="weather").status_code == 400
    nobody = ask(sentry, "GET", LIST, sentry.add_token([]), project=-1)
    assert (nobody.status_code, nobody.json(), nobody.links) == (200, [], {})


def test_delete_answers_202_once(sentry: SentryServer, weather: Project) -> None:
    token = sentry.add_token([weather])
    path = "/projects/acme/weather/monitors"
    monitor = sentry.check_in("update", weather, CONFIG)
    assert monitor
    deleted = ask(sentry, "DELETE", f"{path}/{monitor.id}/", token)
    assert (deleted.status_code, deleted.content) == (202, b"")
    assert ask(sentry, "DELETE", f"{path}/{monitor.id}/", token).status_code == 404
    again = sentry.add_monitor("update", weather)  # the slug is free at once
    assert again.id != monitor.id
    assert ask(sentry, "GET", f"{path}/update/", token).json()["id"] == again.id
    assert ask(sentry, "DELETE", f"{path}/update/", token).status_code == 202  # a slug works too
    assert sentry.slugs(weather) == []


def test_delete_with_an_environment(sentry: SentryServer, weather: Project) -> None:
    """Known: only that environment goes. Unknown: the whole monitor does."""
    token = sentry.add_token([weather])
    sentry.check_in("update", weather, CONFIG, environment="production")
    monitor = sentry.check_in("update", weather, environment="staging")
    assert monitor
    path = f"/projects/acme/weather/monitors/{monitor.id}/"
    assert ask(sentry, "DELETE", path, token, environment="staging").status_code == 202
    assert [e.name for e in monitor.environments] == ["production"]
    assert ask(sentry, "DELETE", path, token, environment="typo").status_code == 202
    assert sentry.slugs(weather) == []
    assert [r.query for r in sentry.asked("DELETE")] == [{"environment": ["staging"]}, {"environment": ["typo"]}]


def test_the_organization_endpoint_takes_the_oldest(sentry: SentryServer, weather: Project) -> None:
    other = sentry.add_project("other")
    token = sentry.add_token([weather, other])
    sentry.add_monitor("update", other)
    sentry.add_monitor("update", weather)
    assert ask(sentry, "DELETE", "/organizations/acme/monitors/update/", token).status_code == 202
    assert (sentry.slugs(other), sentry.slugs(weather)) == ([], ["update"])


def test_check_ins(sentry: SentryServer, weather: Project) -> None:
    token = sentry.add_token([weather])
    assert sentry.check_in("update", weather) is None  # no such monitor, and nothing to make it of
    assert sentry.check_in("12345", weather, CONFIG) is None
    monitor = sentry.check_in("update", weather, CONFIG)
    assert monitor
    assert sentry.check_in("update", weather, status="error") is monitor
    assert [e.status for e in monitor.environments] == ["error"]
    ask(sentry, "DELETE", f"/projects/acme/weather/monitors/{monitor.id}/", token)
    assert sentry.check_in("update", weather) is None
    assert sentry.check_in("update", weather, CONFIG) is not monitor
    long = "staging-" + "x" * 60
    assert sentry.check_in(f"{long}-update", weather, CONFIG) is sentry.check_in(f"{long}-validate", weather, CONFIG)


def test_a_check_in_over_http(sentry: SentryServer, weather: Project) -> None:
    url = f"{sentry.url}/api/{weather.id}/cron/update/publickey/"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, json={"monitor_config": CONFIG, "status": "ok"}, timeout=10)
    assert answer.status_code == 202
    assert sentry.slugs(weather) == ["update"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("staging-ridge-snow-v0-3-0-update", "staging-ridge-snow-v0-3-0-update"),
        ("staging-ridge-snow-v0.3.0-update", "staging-ridge-snow-v030-update"),
        ("a--b", "a-b"),
        ("Ünsere Größe", "unsere-groe"),
        ("x" * 60, "x" * 50),
        ("x" * 49 + "-y", "x" * 49),
        ("-x-", "x"),
        ("under_score", "under_score"),
        ("20260101", None),
        ("…", None),
        ("", None),
    ],
)
def test_slugs(name: str, slug: str | None) -> None:
    assert slugify(name) == slug
    assert slug is None or (re.search(API["slug"], slug) and len(slug) <= API["slug_length"])


def test_requests_are_recorded_without_the_token(sentry: SentryServer, weather: Project) -> None:
    token = sentry.add_token([weather])
    ask(sentry, "GET", LIST, token, per_page=5)
    ask(sentry, "GET", LIST, "sntryu_wrong")
    ask(sentry, "GET", LIST)
    first = sentry.requests[0]
    assert (first.method, first.path, first.query) == ("GET", f"/api/0{LIST}", {"per_page": ["5"]})
    assert [r.authorized for r in sentry.requests] == ["right", "wrong", "missing"]
    assert token not in repr(sentry.requests)
    assert "sntryu_wrong" not in repr(sentry.requests)
