"""`staging pause` and `resume` with Sentry: only the version's own monitors, and never in the way of a pause."""

import pytest

from live import Staging
from repositories import Repository
from sentry_server import answered
from staged import Sentry, install, names
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
OTHERS = ["ridge-snow-update", "staging-ridge-snow-v0-2-0-updat", "staging-ridge-snow-v0-3-0-update"]
pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def states(sentry: Sentry) -> dict[str, str]:
    return {monitor.slug: monitor.status for monitor in sentry.server.monitors}


def test_own_monitors_are_disabled_and_enabled(staging: Staging, repository: Repository, sentry: Sentry) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(*names(RIDGE), *OTHERS)
    own, here = names(RIDGE), sentry.environment
    done = staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **here)
    assert f"Sentry monitors disabled: {', '.join(own)}\n" in done.stdout
    assert states(sentry) == dict.fromkeys(own, "disabled") | dict.fromkeys(OTHERS, "active")
    assert "Sentry will report" not in done.stdout + done.stderr
    version = staging.run(repository.path, "status", "-o", "json", code=0, given="", **here).json["versions"][0]
    assert {job["monitor"] for job in version["jobs"]} == {"disabled"}
    assert [note["text"][:12] for note in version["notes"]] == ["it is paused"]
    again = staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **here)
    assert "monitors disabled" not in again.stdout  # they are
    done = staging.run(repository.path, "resume", RIDGE.branch, code=0, given="", **here)
    assert f"Sentry monitors enabled: {', '.join(own)}\n" in done.stdout
    assert {*states(sentry).values()} == {"active"}


def test_what_sentry_does_not_do_is_a_warning(staging: Staging, repository: Repository, sentry: Sentry) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(*names(RIDGE))
    sentry.server.inject(answered(400, {"status": ["no seat"]}), method="PUT")
    done = staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **sentry.environment)
    assert "is paused" in done.stdout and "warning: not all monitors are disabled. " in done.stderr
    away = sentry.environment | {"SENTRY_URL": "http://127.0.0.1:9"}
    done = staging.run(repository.path, "resume", RIDGE.branch, code=0, given="", **away)
    assert "is running" in done.stdout and "does not answer" in done.stderr


def test_without_a_token_or_with_keep_monitors_nothing_is_asked(
    staging: Staging, repository: Repository, sentry: Sentry
) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(*names(RIDGE))
    done = staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **sentry.settings)
    assert "notice: Sentry will report every run as missed" in done.stderr
    done = staging.run(
        repository.path, "resume", RIDGE.branch, "--keep-monitors", code=0, given="", **sentry.environment
    )
    assert "notice: " not in done.stderr
    assert {*states(sentry).values()} == {"active"}
    assert not sentry.server.asked("PUT")


def test_settings_that_are_half_set_are_a_warning_after_the_pause(
    staging: Staging, repository: Repository, sentry: Sentry
) -> None:
    install(staging, repository, RIDGE)
    half = {name: value for name, value in sentry.environment.items() if name != "SENTRY_PROJECT"}
    for verb, state in (("pause", "is paused"), ("resume", "is running")):
        done = staging.run(repository.path, verb, RIDGE.branch, code=0, given="", **half)
        assert state in done.stdout and "Sentry settings are incomplete: missing sentry-project" in done.stderr


def test_a_guard_that_pauses_does_the_same(staging: Staging, repository: Repository, sentry: Sentry) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(*names(RIDGE), *OTHERS)
    repository.bump("ridge-snow", "0.2.0")
    repository.commit()
    done = staging.run(repository.path, "guard", "--pause", code=0, given="", **sentry.environment)
    assert f"Sentry monitors disabled: {', '.join(names(RIDGE))}\n" in done.stdout
    assert states(sentry) == dict.fromkeys(names(RIDGE), "disabled") | dict.fromkeys(OTHERS, "active")


def test_a_guard_without_a_token_says_so(staging: Staging, repository: Repository, sentry: Sentry) -> None:
    install(staging, repository, RIDGE)
    repository.bump("ridge-snow", "0.2.0")
    repository.commit()
    half = sentry.environment | {"SENTRY_PROJECT": ""}
    for environment, told in ((sentry.settings, "Sentry will report every run as missed"), (half, "are incomplete")):
        staging.run(repository.path, "resume", RIDGE.branch)
        done = staging.run(repository.path, "guard", "--pause", code=0, given="", **environment)
        assert "It is paused now" in done.stderr and told in done.stderr


def test_a_deploy_that_pauses_leaves_the_monitors_and_says_so(
    staging: Staging, repository: Repository, sentry: Sentry
) -> None:
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    deploy = ("deploy", "--branch", RIDGE.branch, "--docker-image", "example.registry/weather:1")
    words = f"`staging pause {RIDGE.branch}` disables its monitors"
    assert words not in staging.run(repository.path, *deploy, "--paused", code=0, given="", **sentry.settings).stderr
    staging.run(repository.path, "resume", RIDGE.branch)  # what is new has no monitors yet
    sentry.check_in(*names(RIDGE))
    done = staging.run(repository.path, *deploy, "--paused", code=0, given="", **sentry.environment)
    assert words in done.stderr and {*states(sentry).values()} == {"active"}
    assert words not in staging.run(repository.path, *deploy, "--paused", code=0, given="", **sentry.settings).stderr
    staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **sentry.environment)
    assert {*states(sentry).values()} == {"disabled"}
