"""Sentry's monitors, against a real HTTP server that plays Sentry (sentry_server.py)."""

import gzip
import json
import logging
import math
import pickle
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sentry_server
from hostile import Hostile
from sentry_server import CONFIG, SentryServer, answered, cut, endless, meanwhile, rate_limited, redirect, slow, slugify
from staging_cronjobs.errors import Outside, Refused, Usage
from staging_cronjobs.external import sentry as monitors
from staging_cronjobs.model.settings import Settings
from staging_cronjobs.model.staged_version import StagedVersion

UPDATE = "staging-ridge-snow-v0-3-0-update"
VALIDATE = "staging-ridge-snow-v0-3-0-validate"
ORGANIZATION = "/api/0/organizations/"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of it, and no proxy between here and the server."""
    monkeypatch.setattr(monitors, "BACKOFF", 0.001)
    monkeypatch.setattr(monitors, "TIMEOUT", (5, 5))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def sentry() -> Iterator[SentryServer]:
    with SentryServer() as server:
        yield server


@pytest.fixture
def weather(sentry: SentryServer) -> sentry_server.Project:
    return sentry.add_project("weather")


@pytest.fixture
def token(sentry: SentryServer, weather: sentry_server.Project) -> str:
    return sentry.add_token([weather])


@pytest.fixture
def project(sentry: SentryServer, weather: sentry_server.Project, token: str) -> monitors.Project:
    return connect(sentry, token)


def connect(
    sentry: SentryServer, token: str, *, org: str = "acme", project: str = "weather", url: str = ""
) -> monitors.Project:
    settings = Settings(sentry_org=org, sentry_project=project, sentry_url=url or sentry.url)
    connected = monitors.connect(settings, token)
    assert connected
    return connected


def refusal(call: Callable[[], object]) -> str:
    """The sentence of the `Outside` that `call` ends with; it is one line, and has no cause to be shown with it."""
    with pytest.raises(Outside) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


# Settings


def test_nothing_set_is_allowed() -> None:
    assert monitors.connect(Settings(), "") is None
    assert monitors.connect(Settings(), "sntryu_token-for-something-else") is None


@pytest.mark.parametrize(
    ("org", "project", "token", "named"),
    [
        ("", "weather", "t", ["sentry-org"]),
        ("acme", "", "t", ["sentry-project"]),
        ("acme", "weather", "", ["SENTRY_AUTH_TOKEN"]),
        ("acme", "", "", ["sentry-project", "SENTRY_AUTH_TOKEN"]),
        ("", "weather", "", ["sentry-org", "SENTRY_AUTH_TOKEN"]),
    ],
)
def test_set_in_part(org: str, project: str, token: str, named: list[str]) -> None:
    with pytest.raises(Usage) as caught:
        monitors.connect(Settings(sentry_org=org, sentry_project=project), token)
    for name in ("sentry-org", "sentry-project", "SENTRY_AUTH_TOKEN"):
        assert (name in str(caught.value)) == (name in named)


@pytest.mark.parametrize("stray", ["{}\n", " {}", "{} {}", "{}\r\nX-Injected: 1", "{}\t", "{}\0", "{}ü", "Bearer {}"])
def test_a_token_with_stray_characters_is_refused_unseen(stray: str) -> None:
    secret = "sntryu_0123456789abcdef"
    with pytest.raises(Usage) as caught:
        monitors.connect(Settings(sentry_org="acme", sentry_project="weather"), stray.replace("{}", secret))
    assert "token" in str(caught.value)
    assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["sentry.io", "https://", "ftp://sentry.io", "https://sentry.io/?x=1", "https://a b/"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(Usage, match="sentry-url"):
        monitors.connect(Settings(sentry_org="acme", sentry_project="weather", sentry_url=url), "token")


@pytest.mark.parametrize(
    "url",
    [
        "http://sentry.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://127.0.0.1\\@example.com",
        "http://localhost.example.com:9000/",
        "http://10.0.0.1",
        "http://[2001:db8::1]",
        "https://user:password@sentry.io",
        "https://sentry.io\\@example.com",
        "https://sentry.io:port",
    ],
)
def test_an_address_that_would_give_the_token_away_is_refused(url: str, hostile: Hostile) -> None:
    with pytest.raises(Usage, match="sentry-url is") as caught:
        monitors.connect(Settings(sentry_org="acme", sentry_project="weather", sentry_url=url), "token")
    assert str(caught.value).endswith(("could read Sentry's token.", "such as https://sentry.io."))
    hostile.tried("settings of a branch", str(caught.value))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8:9000", "localhost", "LOCALHOST:9000", "[::1]:9000"])
def test_plain_http_may_go_to_this_machine(host: str) -> None:
    settings = Settings(sentry_org="acme", sentry_project="weather", sentry_url=f"http://{host}/sentry/")
    connected = monitors.connect(settings, "token")
    assert connected and connected.url == f"http://{host}/sentry"


@pytest.mark.parametrize(
    "name", ["a/../b", "..", "a?project=2", "a#b", "a b", "a%2fb", "ü", "a\n", "\x1b[2J", "x" * 201]
)
@pytest.mark.parametrize("setting", ["sentry_org", "sentry_project"])
def test_a_setting_that_would_lead_to_another_path_is_refused(name: str, setting: str, hostile: Hostile) -> None:
    settings = replace(Settings(sentry_org="acme", sentry_project="weather"), **{setting: name})
    with pytest.raises(Usage, match="which cannot be a Sentry slug") as caught:
        monitors.connect(settings, "token")
    assert str(caught.value).isprintable()
    hostile.tried("settings of a branch", str(caught.value))


def test_a_url_may_end_in_a_slash(sentry: SentryServer, weather: sentry_server.Project, token: str) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    project = connect(sentry, token, url=f"{sentry.url}/")
    assert [m.slug for m in monitors.find(project, [UPDATE])] == [UPDATE]


def test_connecting_asks_nothing(sentry: SentryServer, project: monitors.Project) -> None:
    assert sentry.requests == []


# Finding


def test_only_exact_slugs_are_found(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    wanted = [sentry.check_in(name, weather, CONFIG) for name in (UPDATE, VALIDATE)]
    for other in (f"{UPDATE}-2", UPDATE[:-1], f"x-{UPDATE}", UPDATE.replace("staging-", ""), "ridge-snow-update"):
        sentry.check_in(other, weather, CONFIG)
    found = monitors.find(project, [UPDATE, VALIDATE, "staging-gone-v1-update"])
    assert {(m.slug, m.id) for m in found} == {(m.slug, m.id) for m in wanted if m}


def test_all_of_the_project_are_listed(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    made = [sentry.check_in(name, weather, CONFIG) for name in (UPDATE, "production")]
    sentry.check_in(VALIDATE, sentry.add_project("other"), CONFIG)
    assert {(m.slug, m.id) for m in monitors.listed(project)} == {(m.slug, m.id) for m in made if m}


def test_another_projects_monitor_of_the_same_slug_survives(
    sentry: SentryServer, weather: sentry_server.Project
) -> None:
    other = sentry.add_project("other")
    sentry.check_in(UPDATE, other, CONFIG)  # the older one
    sentry.check_in(UPDATE, weather, CONFIG)
    project = connect(sentry, sentry.add_token([weather, other]))
    for monitor in monitors.find(project, [UPDATE]):
        monitors.delete(project, monitor)
    assert (sentry.slugs(weather), sentry.slugs(other)) == ([], [UPDATE])


def test_a_monitor_named_like_a_wanted_one_is_not_it(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    sentry.add_monitor("nightly", weather, name=UPDATE)
    assert monitors.find(project, [UPDATE]) == []


def test_all_pages_are_read(sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project) -> None:
    names = [f"staging-ridge-snow-v{n}-update" for n in range(250)]
    for name in names:
        sentry.check_in(name, weather, CONFIG)
    assert sorted(m.slug for m in monitors.find(project, names)) == sorted(names)
    assert [r.query.get("per_page") for r in sentry.requests] == [["100"]] * 3


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_page_that_fails_is_asked_again_or_ends_it(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project, where: int
) -> None:
    names = [f"staging-ridge-snow-v{n}-update" for n in range(250)]
    for name in names:
        sentry.check_in(name, weather, CONFIG)
    sentry.inject(answered(502), skip=where)
    assert len(monitors.find(project, names)) == 250
    sentry.inject(answered(502), skip=where, times=math.inf)
    assert "502" in refusal(lambda: monitors.find(project, names))


def test_a_job_that_runs_between_two_pages_hides_no_monitor(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    """Sentry sorts by trouble and by the last check-in, and cuts the pages anew for each request."""
    for number in range(150):
        sentry.check_in(f"production-{number}", weather, CONFIG)
    sentry.check_in(UPDATE, weather, CONFIG)
    for number in range(150):
        sentry.check_in(f"production-{number}", weather, CONFIG)
    sentry.inject(meanwhile(lambda: sentry.check_in(UPDATE, weather, status="error")), skip=1)
    assert [m.slug for m in monitors.find(project, [UPDATE])] == [UPDATE]


def test_a_monitor_made_between_two_pages_makes_no_other_twice(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    names = [f"m{number:03}" for number in range(150)]
    for name in names:
        sentry.add_monitor(name, weather)
    sentry.inject(meanwhile(lambda: sentry.add_monitor("a-new-one", weather)), skip=1)
    assert sorted(m.slug for m in monitors.find(project, names)) == names


def test_projects_that_the_tokens_owner_may_see_without_being_a_member(
    sentry: SentryServer, weather: sentry_server.Project
) -> None:
    """By default Sentry lists "My Projects": the project could be read, the list was empty, and that proved nothing."""
    sentry.check_in(UPDATE, weather, CONFIG)
    project = connect(sentry, sentry.add_token([weather], member_of=[]))
    assert [m.slug for m in monitors.find(project, [UPDATE])] == [UPDATE]


def test_the_project_may_be_set_by_its_number(sentry: SentryServer, weather: sentry_server.Project, token: str) -> None:
    """Sentry's own paths take either; an empty list beside a project that can be read would look like a proof."""
    sentry.check_in(UPDATE, weather, CONFIG)
    project = connect(sentry, token, project=weather.id)
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    assert sentry.slugs(weather) == []


def test_empty_and_the_project_can_be_read(sentry: SentryServer, project: monitors.Project) -> None:
    assert monitors.find(project, [UPDATE]) == []
    assert [r.path for r in sentry.requests] == [f"{ORGANIZATION}acme/monitors/", "/api/0/projects/acme/weather/"]


def test_empty_and_another_project_has_monitors(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    other = sentry.add_project("other")
    sentry.check_in(UPDATE, other, CONFIG)
    assert monitors.find(connect(sentry, sentry.add_token([weather, other])), [UPDATE]) == []


def test_empty_and_the_project_cannot_be_read(sentry: SentryServer, weather: sentry_server.Project) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    for token in (sentry.add_token([]), sentry.add_token([sentry.add_project("other")])):
        sentence = refusal(lambda token=token: monitors.find(connect(sentry, token), [UPDATE]))
        assert "acme/weather" in sentence
        assert "unknown whether there are any" in sentence
    without = sentry.add_token([sentry.add_project("empty")], {"alerts:read", "alerts:write"})
    assert "project:read" in refusal(lambda: monitors.find(connect(sentry, without, project="empty"), [UPDATE]))
    assert "project:read" in refusal(lambda: monitors.listed(connect(sentry, without, project="empty")))
    sentence = refusal(lambda: monitors.find(connect(sentry, sentry.add_token([weather]), project="wether"), ["x"]))
    assert "acme/wether" in sentence


def test_nothing_to_look_for_needs_no_proof(sentry: SentryServer, weather: sentry_server.Project) -> None:
    project = connect(sentry, sentry.add_token([weather], {"alerts:read", "alerts:write"}))
    assert monitors.find(project, []) == []
    assert sentry.requests == []


# Deleting


def test_delete_goes_by_id_through_the_project(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    monitor = sentry.check_in(UPDATE, weather, CONFIG)
    kept = sentry.check_in(VALIDATE, weather, CONFIG)
    assert monitor
    assert kept
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    (deletion,) = sentry.asked("DELETE")
    assert deletion.path == f"/api/0/projects/acme/weather/monitors/{monitor.id}/"
    assert deletion.query == {}  # above all no `environment`
    assert sentry.slugs(weather) == [VALIDATE]
    assert monitors.find(project, [UPDATE]) == []
    monitors.delete(project, found)  # 404: gone is gone
    assert all("environment" not in r.query for r in sentry.requests)
    assert sentry.asked("DELETE", ORGANIZATION) == []


def test_a_late_check_in_makes_the_monitor_again_and_it_is_found(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    (first,) = monitors.find(project, [UPDATE])
    monitors.delete(project, first)
    sentry.check_in(UPDATE, weather, CONFIG)
    (second,) = monitors.find(project, [UPDATE])
    assert second.id != first.id
    monitors.delete(project, first)  # the old id does not take the new one
    assert monitors.find(project, [UPDATE]) == [second]


@pytest.mark.parametrize("where", ["before", "after", "body"])
@pytest.mark.parametrize("times", [1, 4])
def test_a_cut_connection_is_tried_again(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project, where: str, times: int
) -> None:
    """When the deletion was carried out before the cut, the next answer is 404, which is done too."""
    sentry.check_in(UPDATE, weather, CONFIG)
    sentry.inject(cut(where), method="GET", times=times)
    sentry.inject(cut(where), method="DELETE", times=times)
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    assert sentry.slugs(weather) == []
    assert len(sentry.asked("GET")) == len(sentry.asked("DELETE")) == times + 1


def test_a_compressed_answer(sentry: SentryServer, project: monitors.Project) -> None:
    """Its length is that of what was sent, as sentry.io does it."""
    entry = {"slug": UPDATE, "id": "1", "project": {"slug": "weather", "id": "4500000"}, "name": "x" * 5000}
    content = gzip.compress(json.dumps([entry]).encode())
    sentry.inject(answered(200, content, {"Content-Encoding": "gzip"}))
    assert monitors.find(project, [UPDATE]) == [monitors.Monitor(UPDATE, "1")]
    assert len(sentry.requests) == 1


# What Sentry refuses


def test_unknown_token(sentry: SentryServer, weather: sentry_server.Project) -> None:
    project = connect(sentry, "sntryu_wrong")
    for call in (
        lambda: monitors.find(project, [UPDATE]),
        lambda: monitors.delete(project, monitors.Monitor("x", "1")),
    ):
        sentence = refusal(call)
        assert "does not know the token (401)" in sentence
        assert "wrong, expired, or from another server" in sentence
    assert len(sentry.requests) == 2  # a refusal is not asked again


@pytest.mark.parametrize("kind", ["organization token", "no scope"])
def test_missing_scopes_are_named(sentry: SentryServer, weather: sentry_server.Project, kind: str) -> None:
    monitor = sentry.check_in(UPDATE, weather, CONFIG)
    assert monitor
    token = sentry.add_organization_token() if kind == "organization token" else sentry.add_token([weather], [])
    project = connect(sentry, token)
    assert "alerts:read" in refusal(lambda: monitors.find(project, [UPDATE]))
    sentence = refusal(lambda: monitors.delete(project, monitors.Monitor(UPDATE, monitor.id)))
    assert "(403)" in sentence
    assert "alerts:write" in sentence
    assert "organization token" in sentence
    assert sentry.slugs(weather) == [UPDATE]


def test_a_token_that_may_only_read(sentry: SentryServer, weather: sentry_server.Project) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    project = connect(sentry, sentry.add_token([weather], {"alerts:read"}))
    (found,) = monitors.find(project, [UPDATE])
    assert "alerts:write" in refusal(lambda: monitors.delete(project, found))


def test_the_documented_scopes_are_enough(sentry: SentryServer, weather: sentry_server.Project) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    sentry.add_monitor("another", weather)
    project = connect(sentry, sentry.add_token([weather], {"alerts:read", "alerts:write"}))
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    assert monitors.find(project, [UPDATE]) == []


def test_no_such_organization(sentry: SentryServer, token: str) -> None:
    sentence = refusal(lambda: monitors.find(connect(sentry, token, org="other"), [UPDATE]))
    assert "other/weather" in sentence
    assert "(404)" in sentence
    assert "sentry-org" in sentence


@pytest.mark.parametrize("status", [400, 418, 501])
def test_other_answers_are_told(sentry: SentryServer, project: monitors.Project, status: int) -> None:
    sentry.inject(answered(status, {"detail": "no"}), times=2)
    assert f"HTTP {status}" in refusal(lambda: monitors.find(project, [UPDATE]))
    assert f"HTTP {status}" in refusal(lambda: monitors.delete(project, monitors.Monitor("x", "1")))
    assert len(sentry.requests) == 2


# Trouble


def test_a_rate_limit_is_waited_out(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project
) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    limit = rate_limited(reset_in=1)
    assert limit.answer
    sentry.inject(limit, method="GET")
    assert len(monitors.find(project, [UPDATE])) == 1
    assert time.time() >= float(limit.answer.headers["X-Sentry-Rate-Limit-Reset"])
    first, second = sentry.requests
    assert second.at - first.at >= 0.9


@pytest.mark.parametrize("reset", ["-60", "0", "abc", "", "1e3", "²", "nan", "inf", "1.5.2"])
def test_a_rate_limit_that_says_nothing_useful(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project, reset: str
) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    headers = {"X-Sentry-Rate-Limit-Reset": reset.encode().decode("latin-1")}
    sentry.inject(answered(429, sentry_server.TOO_FREQUENT, headers), times=2)
    assert len(monitors.find(project, [UPDATE])) == 1
    assert len(sentry.requests) == 3


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_rate_limit_without_headers(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project, method: str
) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    sentry.inject(rate_limited(), method=method, times=3)
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    assert sentry.slugs(weather) == []
    assert len(sentry.asked(method)) == 4


@pytest.mark.parametrize("far", [3_600, 10**9])
def test_a_rate_limit_for_ever_ends(
    sentry: SentryServer, project: monitors.Project, monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    """However far away the reset is said to be, one wait is bounded, and so is their number."""
    slept: list[float] = []
    monkeypatch.setattr(monitors.time, "sleep", slept.append)
    sentry.inject(rate_limited(reset_in=far), times=math.inf)
    assert "HTTP 429" in refusal(lambda: monitors.find(project, [UPDATE]))
    assert len(sentry.requests) == monitors.ATTEMPTS
    assert slept == [monitors.PATIENCE] * (monitors.ATTEMPTS - 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 524])
def test_a_server_that_recovers(
    sentry: SentryServer, weather: sentry_server.Project, project: monitors.Project, status: int
) -> None:
    sentry.check_in(UPDATE, weather, CONFIG)
    sentry.inject(answered(status, b"<html>"), method="GET", times=2)
    sentry.inject(answered(status, b"<html>"), method="DELETE", times=2)
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    assert sentry.slugs(weather) == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (answered(500), "HTTP 500"),
        (rate_limited(), "HTTP 429"),
        (cut("before"), "no connection"),
        (cut("body"), "no connection"),
    ],
)
def test_trouble_that_does_not_end(
    sentry: SentryServer, project: monitors.Project, fault: sentry_server.Fault, told: str
) -> None:
    sentry.inject(fault, times=math.inf)
    for call in (
        lambda: monitors.find(project, [UPDATE]),
        lambda: monitors.delete(project, monitors.Monitor("x", "1")),
    ):
        asked = len(sentry.requests)
        sentence = refusal(call)
        assert len(sentry.requests) - asked == monitors.ATTEMPTS
        assert told in sentence
        assert sentry.url in sentence
        assert "acme/weather" in sentence


def test_an_answer_that_comes_too_late(
    sentry: SentryServer,
    weather: sentry_server.Project,
    project: monitors.Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitors, "TIMEOUT", (5, 0.2))
    sentry.check_in(UPDATE, weather, CONFIG)
    sentry.inject(slow(30))
    assert len(monitors.find(project, [UPDATE])) == 1
    sentry.inject(slow(30), times=math.inf)
    assert "no answer in time" in refusal(lambda: monitors.find(project, [UPDATE]))


def test_nobody_listens(project: monitors.Project, sentry: SentryServer) -> None:
    sentry.close()
    assert "no connection" in refusal(lambda: monitors.find(project, [UPDATE]))


def test_a_host_name_that_cannot_be_one(project: monitors.Project) -> None:
    """A dot too many: no name is looked up."""
    assert "no connection" in refusal(lambda: monitors.find(replace(project, url="http://sentry..invalid"), [UPDATE]))


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Please log in</html>",
        b"",
        b"[{",
        b"\xff\xfe",
        b"null",
        b'"You are not Sentry"',
        b'{"detail": "moved"}',
        b"[1, 2]",
        b"[null]",
        b'[{"slug": "x"}]',
        b'[{"slug": "x", "id": "1", "project": null}]',
        b'[{"id": "1", "project": {"slug": "weather", "id": "4500000"}}]',
    ],
)
def test_an_answer_that_is_not_sentrys(sentry: SentryServer, project: monitors.Project, content: bytes) -> None:
    sentry.inject(answered(200, content), path="/monitors/")
    assert "does not answer as Sentry's API does" in refusal(lambda: monitors.find(project, [UPDATE]))


# A server that means harm


def monitor(**changes: object) -> dict[str, object]:
    return {"slug": UPDATE, "id": "1", "project": {"slug": "weather", "id": "4500000"}, **changes}


HOSTILE_ANSWERS: dict[str, bytes | list[dict[str, object]]] = {
    "nested lists": b"[" * 200_000 + b"]" * 200_000,
    "nested objects": b'[{"slug":' * 100_000,
    "a huge number": b"[" + b"9" * 100_000 + b"]",
    "an id that is a path": [monitor(id="../../../other/monitors/2")],
    "an id with a query": [monitor(id="1/?environment=x")],
    "an id with a line break": [monitor(id="1\r\nX: y")],
    "an empty id": [monitor(id="")],
    "an id of dots": [monitor(id="..")],
    "a list as id": [monitor(id=["1"])],
    "a slug of escapes": [monitor(slug="\x1b[2J")],
    "a slug with a line break": [monitor(slug=f"{UPDATE}\n")],
    "a long slug": [monitor(slug="x" * 201)],
    "an escape that is no text": b'[{"slug": "\\ud800", "id": "1", "project": {"slug": "weather", "id": "1"}}]',
}


@pytest.mark.parametrize("content", HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS)
def test_an_answer_that_means_harm_is_refused(
    sentry: SentryServer, project: monitors.Project, content: object, hostile: Hostile
) -> None:
    sentry.inject(answered(200, content), path="/monitors/")
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    assert said == f"{sentry.url} does not answer as Sentry's API does. Check sentry-url"
    hostile.tried("Sentry's answers", said, changed=sentry.asked("DELETE"))


@cache
def bomb() -> bytes:
    """Little that becomes much; made when it is needed, because that takes a second."""
    return gzip.compress(b" " * 200_000_000 + b"[]")


@pytest.mark.parametrize(
    "packed",
    [
        None,
        gzip.compress(json.dumps([monitor()]).encode())[:-12],
        b"[]",
        b"",
    ],
    ids=["a bomb", "cut", "not packed", "nothing"],
)
@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "x"])
def test_a_packed_answer_that_means_harm_is_refused(
    sentry: SentryServer, project: monitors.Project, packed: bytes | None, encoding: str, hostile: Hostile
) -> None:
    sentry.inject(answered(200, bomb() if packed is None else packed, {"Content-Encoding": encoding}))
    tracemalloc.start()
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said == f"{sentry.url} does not answer as Sentry's API does. Check sentry-url"
    assert peak < 4 * monitors.LARGEST
    hostile.tried("Sentry's answers", said)


@pytest.mark.parametrize("length", [None, 10**15])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_answer_that_never_ends_is_given_up(
    sentry: SentryServer, project: monitors.Project, length: int | None, method: str, hostile: Hostile
) -> None:
    sentry.inject(endless(length=length), times=math.inf)
    gone = monitors.Monitor(UPDATE, "1")
    said = refusal(lambda: monitors.find(project, [UPDATE]) if method == "GET" else monitors.delete(project, gone))
    assert said == f"{sentry.url} answers with more than 8,000,000 bytes. Check sentry-url"
    assert len(sentry.requests) == 1
    hostile.tried("Sentry's answers", said)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_an_answer_that_drips_is_given_up(
    sentry: SentryServer,
    project: monitors.Project,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    hostile: Hostile,
) -> None:
    """Every byte is in time; the whole is not."""
    monkeypatch.setattr(monitors, "ANSWER", 0.3)
    sentry.inject(endless(where, pause=0.05), times=math.inf)
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    assert said.endswith(f"does not answer: no answer in time. Tried {monitors.ATTEMPTS} times")
    hostile.tried("Sentry's answers", said)


def test_pages_without_end_are_given_up(
    sentry: SentryServer, project: monitors.Project, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    monkeypatch.setattr(monitors, "PAGES", 20)
    for number in range(100):
        link = f'<{sentry.url}>; rel="next"; results="true"; cursor="100:{number}:0"'
        sentry.inject(answered(200, [], {"Link": link}))
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    assert said == f"{sentry.url} has more than 20 pages of monitors, or repeats them. Check sentry-url"
    assert len(sentry.requests) == 20
    hostile.tried("Sentry's answers", said)


def test_all_pages_together_may_not_take_for_ever(
    sentry: SentryServer, project: monitors.Project, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    monkeypatch.setattr(monitors, "TOTAL", 0.5)
    for number in range(100):
        link = f'<{sentry.url}>; rel="next"; results="true"; cursor="100:{number}:0"'
        sentry.inject(replace(answered(200, [], {"Link": link}), delay=0.1))
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    assert "does not answer: no answer in time" in said
    assert len(sentry.requests) < 10
    hostile.tried("Sentry's answers", said)


def test_a_redirect_to_what_is_no_address_is_not_quoted(
    sentry: SentryServer, project: monitors.Project, hostile: Hostile
) -> None:
    sentry.inject(redirect("https://x/\x1b[2J\x9b31m"))
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    assert "redirects to another address" in said
    assert said.isprintable()
    hostile.tried("Sentry's answers", said)


def test_a_redirects_body_is_not_unpacked(sentry: SentryServer, project: monitors.Project, hostile: Hostile) -> None:
    headers = {"Location": "https://example.com", "Content-Encoding": "gzip"}
    sentry.inject(answered(302, bomb(), headers))
    tracemalloc.start()
    said = refusal(lambda: monitors.find(project, [UPDATE]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "redirects to https://example.com" in said
    assert peak < 4 * monitors.LARGEST
    hostile.tried("Sentry's answers", said)


# Where the token goes


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_redirect_is_not_followed(sentry: SentryServer, project: monitors.Project, status: int, method: str) -> None:
    with SentryServer() as elsewhere:
        sentry.inject(redirect(f"{elsewhere.url}/login/", status), method=method)
        sentence = refusal(
            lambda: (
                monitors.find(project, [UPDATE])
                if method == "GET"
                else monitors.delete(project, monitors.Monitor("x", "1"))
            )
        )
        assert elsewhere.url in sentence
        assert "sentry-url" in sentence
        assert elsewhere.requests == []


def test_pages_are_asked_of_the_set_address_alone(weather: sentry_server.Project) -> None:
    """Sentry's links carry the address that it believes to be its own; the token goes nowhere but to sentry-url."""
    with SentryServer() as elsewhere, SentryServer(public_url=elsewhere.url) as sentry:
        own = sentry.add_project("weather")
        names = [f"staging-ridge-snow-v{n}-update" for n in range(250)]
        for name in names:
            sentry.check_in(name, own, CONFIG)
        project = connect(sentry, sentry.add_token([own]))
        assert sorted(m.slug for m in monitors.find(project, names)) == sorted(names)
        assert [r.authorized for r in sentry.requests] == ["right"] * 3
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "link",
    [
        '<{url}>; rel="next"; results="true"; cursor="100:0:0"',  # the page itself, for ever
        '<{url}>; rel="next"; results="true"',
        '<{url}>; rel="next"; results="true"; cursor=""',
    ],
)
def test_pages_that_do_not_go_on_end_it(sentry: SentryServer, project: monitors.Project, link: str) -> None:
    headers = {"Link": link.replace("{url}", f"{sentry.url}{ORGANIZATION}acme/monitors/?per_page=100")}
    sentry.inject(answered(200, [], headers), times=50)
    assert "does not answer as Sentry's API does" in refusal(lambda: monitors.find(project, [UPDATE]))
    assert len(sentry.requests) <= 3


@pytest.mark.parametrize("machine", ["127.0.0.1", "default"])
def test_a_netrc_does_not_replace_the_token(
    sentry: SentryServer,
    weather: sentry_server.Project,
    project: monitors.Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
) -> None:
    netrc = tmp_path / ".netrc"
    entry = "default" if machine == "default" else f"machine {machine}"
    netrc.write_text(f"{entry} login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    sentry.check_in(UPDATE, weather, CONFIG)
    (found,) = monitors.find(project, [UPDATE])
    monitors.delete(project, found)
    monkeypatch.setenv("NETRC", str(netrc))
    monitors.find(project, [UPDATE])
    assert {r.authorized for r in sentry.requests} == {"right"}


def test_the_token_is_in_no_representation(project: monitors.Project, token: str) -> None:
    assert project.token == token
    for shown in (repr(project), str(project), f"{project}", f"{[project]}", f"{project!r:>5}"):
        assert token not in shown


FAULTS: list[tuple[str, list[sentry_server.Fault]]] = [
    ("401", [answered(401, {"detail": "Invalid token"})]),
    ("403", [answered(403, {"detail": "no"})]),
    ("404", [answered(404, {"detail": "no"})]),
    ("429", [rate_limited()] * 5),
    ("500", [answered(500)] * 5),
    ("cut", [cut("before")] * 5),
    ("cut in the body", [cut("body")] * 5),
    ("late", [slow(30)] * 5),
    ("redirect", [redirect("http://127.0.0.1:1/")]),
    ("not JSON", [answered(200, b"<html>")]),
    ("not Sentry's", [answered(200, {})]),
    ("fine", []),
]


@pytest.mark.parametrize(("faults"), [f for _, f in FAULTS], ids=[name for name, _ in FAULTS])
def test_the_token_is_in_no_log_and_no_exception(
    sentry: SentryServer,
    weather: sentry_server.Project,
    project: monitors.Project,
    faults: list[sentry_server.Fault],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even in tracebacks that record the local variables, as error reporters and rich do."""
    monkeypatch.setattr(monitors, "TIMEOUT", (5, 0.2))
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")
    monitor = sentry.check_in(UPDATE, weather, CONFIG)
    assert monitor
    recorded = []
    for call in (
        lambda: monitors.find(project, [UPDATE]),
        lambda: monitors.delete(project, monitors.Monitor(UPDATE, monitor.id)),
    ):
        for fault in faults:
            sentry.inject(fault)
        try:
            call()
        except Outside as error:
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            recorded += ["".join(trace.format()), repr(error), str(vars(error)), repr(pickle.dumps(error))]
    logged = [f"{r.getMessage()} {r.args} {r.exc_text} {vars(r)}" for r in caplog.records]
    assert any("urllib3" in entry for entry in logged)
    out, err = capfd.readouterr()
    assert {r.authorized for r in sentry.requests} == {"right"}
    shown = "\n".join([*recorded, *logged, out, err, caplog.text])
    assert (project.token in shown) is False
    assert bool(recorded) == bool(faults)


# Names and slugs

segment = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
ids = st.lists(segment, min_size=1, max_size=8).map("-".join).filter(lambda i: len(i) <= 63)
keys = st.lists(segment, min_size=1, max_size=3).map("-".join)
versions = st.lists(st.integers(0, 9999).map(str), min_size=1, max_size=4).map(".".join)


@given(ids, versions, keys, st.integers(1, 5000))
def test_a_job_name_is_its_own_slug(dataset_id: str, version: str, key: str, workers: int) -> None:
    try:
        name = StagedVersion(dataset_id, version).job_name(key, workers)
    except Refused:
        return
    assert slugify(name) == name


def test_an_empty_list_after_a_deletion_is_believed_without_the_right_to_read_the_project() -> None:
    with SentryServer() as sentry:
        weather = sentry.add_project("weather")
        token = sentry.add_token([weather], scopes={"alerts:read", "alerts:write"})
        project = monitors.Project(sentry.url, sentry.organization, "weather", token)
        sentry.add_monitor("staging-a-v1-update", weather)
        (monitor,) = monitors.find(project, {"staging-a-v1-update"})
        monitors.delete(project, monitor)
        assert monitors.find(project, {"staging-a-v1-update"}, seen=True) == []
        with pytest.raises(Outside, match="no monitor at all"):
            monitors.find(project, {"staging-a-v1-update"})
