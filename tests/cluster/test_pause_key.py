"""`staging pause --key` and `resume --key`: one job of a version is paused alone, and stays so until it is resumed."""

import json
from pathlib import Path
from typing import Any

import pytest

from hostile import Hostile
from live import IMAGE, Namespace, Staging, wait_until
from records import forge, newest, unpacked
from repositories import Repository
from running import pod_of, start
from staged import RUN_SECONDS, Sentry, install, names, push
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
OTHER = StagedVersion("ridge-snow", "0.3.0")
ESTUARY = StagedVersion("estuary-salinity-analysis", "0.2.0")  # its jobs are suspended by their own code
UPDATE, VALIDATE = names(RIDGE)
ALONE = ("--key", "validate")
REFUSED = 3
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def firing(live: Namespace) -> list[str]:
    """The CronJobs of staged versions that are not suspended."""
    made = live.all("cronjobs", "staging-cronjobs/release")
    return sorted(c["metadata"]["name"] for c in made if not c["spec"]["suspend"])


def deploy(staging: Staging, repository: Repository, staged: StagedVersion, *more: str) -> str:
    return staging.run(repository.path, "deploy", "--branch", staged.branch, "--docker-image", IMAGE, *more).stdout


def row(staging: Staging, repository: Repository) -> dict[str, Any]:
    (found,) = staging.run(repository.path, "list", "-o", "json").json
    return found


def test_a_job_that_is_paused_alone_stays_so_until_it_is_resumed(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    deploy(staging, repository, RIDGE)
    done = staging.run(repository.path, "pause", RIDGE.branch, *ALONE)
    assert f"validate of release {RIDGE.release} (" in done.stdout and ") is paused.\n" in done.stdout
    again = f"staging resume {RIDGE.branch} --key validate"
    told = f"Later deploys keep it paused. To let it run again: {again}\nNo Job of it runs.\n"
    assert told in done.stdout
    assert firing(live) == [UPDATE]
    listed = row(staging, repository)
    assert (listed["paused"], [(job["key"], job["paused"]) for job in listed["jobs"]]) == (
        False,
        [("update", False), ("validate", True)],
    )
    assert "deployed, validate paused" in staging.run(repository.path, "list").stdout
    assert ") is paused already.\n" in staging.run(repository.path, "pause", VALIDATE, *ALONE).stdout

    repository.commit("Push again")
    repository.push(RIDGE.branch)
    again = f"staging resume {RIDGE.branch} --key validate"
    assert f"validate is paused alone, until: {again}\n" in deploy(staging, repository, RIDGE)
    assert firing(live) == [UPDATE]
    done = staging.run(repository.path, "resume", RIDGE.branch)
    assert f"is running already.\nvalidate is still paused alone, until: {again}\n" in done.stdout
    assert firing(live) == [UPDATE]
    status = staging.run(repository.path, "status").stdout
    assert "deployed, validate paused, " in status and "paused alone" in status
    assert f"note: validate is paused alone. To let it go on:\n      {again}\n" in status
    assert "  wrong: " not in status

    done = staging.run(repository.path, *again.split()[1:])
    assert ") is running.\nA run that was missed while paused starts at once.\n" in done.stdout
    assert firing(live) == [UPDATE, VALIDATE]
    assert ") is running already.\n" in staging.run(repository.path, *again.split()[1:]).stdout
    told = json.loads(staging.helm("history", RIDGE.release, "-o", "json"))
    assert [r["description"].split(" by ")[0] for r in told][1::2] == ["paused validate", "resumed validate"]


def test_the_pause_of_all_and_the_pause_of_one_are_two(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    staging.run(repository.path, "pause", RIDGE.branch)
    staging.run(repository.path, "pause", RIDGE.branch, *ALONE)
    assert firing(live) == []
    done = staging.run(repository.path, "resume", RIDGE.branch, "--key", "update", code=REFUSED)
    assert (
        f"error: release {RIDGE.release} is paused as a whole, so none of its jobs can be resumed alone. "
        f"`staging resume {RIDGE.branch}` resumes it. To keep one of its jobs paused, pause that with --key first\n"
    ) in done.stderr
    staging.run(repository.path, "resume", RIDGE.branch, *ALONE, code=REFUSED)
    assert "is running.\n" in staging.run(repository.path, "resume", RIDGE.branch).stdout
    assert firing(live) == [UPDATE]
    done = staging.run(repository.path, "pause", RIDGE.branch, "--key=update", "--key=validate", "--key=update")
    assert f"update, validate of release {RIDGE.release} (" in done.stdout and ") are paused.\n" in done.stdout
    again = f"staging resume {RIDGE.branch} --key update --key validate"
    assert f"Later deploys keep them paused. To let them run again: {again}\n" in done.stdout
    assert firing(live) == []
    assert "deployed, 2 jobs paused" in staging.run(repository.path, "list").stdout
    staging.run(repository.path, "resume", RIDGE.branch, "--key=update", "--key=validate")
    assert firing(live) == [UPDATE, VALIDATE]


@one_major
def test_what_a_person_changed_by_hand_is_put_right_by_pause_and_resume_of_one(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    staging.run(repository.path, "pause", RIDGE.branch, *ALONE)
    live.kubectl("patch", "cronjob", VALIDATE, "--patch", '{"spec": {"suspend": false}}')
    assert "deployed, validate fires, though paused" in staging.run(repository.path, "list").stdout
    (version,) = staging.run(repository.path, "status", "-o", "json").json["versions"]
    put_right = f"staging pause {RIDGE.branch} --key validate"
    text = f"CronJob {VALIDATE} is not suspended, but it is paused alone"
    assert version["problems"] == [{"text": text, "commands": [put_right]}]
    assert f"  {VALIDATE}: suspend true → false\n" in staging.run(repository.path, *put_right.split()[1:]).stdout
    assert firing(live) == [UPDATE]


@one_major
def test_only_a_key_of_the_release_is_taken(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    before = live.all("cronjobs"), newest(live, RIDGE.release)
    mark = tmp_path / "ran"
    for key in ("updaet", "", "-", "../x", f"$(touch {mark})", "a\n::error::b", "\x1b[2J", "u" * 500, UPDATE):
        for verb in ("pause", "resume"):
            done = staging(repository.path, verb, RIDGE.branch, f"--key={key}")
            assert done.code == REFUSED, (key, done.stderr)
            assert f"error: release {RIDGE.release} has no job " in done.stderr
            after = live.all("cronjobs"), newest(live, RIDGE.release)
            said = done.stdout + done.stderr
            assert "\x1b" not in said and "\n::error::" not in said
            hostile.tried("job keys", said, changed=after != before, ran=mark.exists())
    done = staging.run(repository.path, "pause", RIDGE.branch, "--key=validate", "--key=updaet", code=REFUSED)
    assert "Did you mean 'update'?" in done.stderr
    assert firing(live) == [UPDATE, VALIDATE]


@one_major
def test_only_its_own_monitor_and_jobs_are_touched(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(UPDATE, VALIDATE)
    start(live, UPDATE, "first", annotations={RUN_SECONDS: "3600"})
    start(live, VALIDATE, "second", annotations={RUN_SECONDS: "3600"})
    pod_of(live, "second")

    def states() -> list[str]:
        return [m.status for m in sorted(sentry.server.monitors, key=lambda m: m.slug)]

    pause = ("pause", RIDGE.branch, *ALONE)
    done = staging.run(repository.path, *pause, code=0, given="", **sentry.environment)
    assert f"Sentry monitors disabled: {VALIDATE}\n" in done.stdout and states() == ["active", "disabled"]
    assert "These Jobs still run: second. To stop them:\n" in done.stdout
    assert f"  staging {' '.join(pause)} --stop-running\n" in done.stdout
    done = staging.run(repository.path, *pause, "--stop-running", code=0, given="", **sentry.environment)
    assert "Stopped, with their pods: second" in done.stdout
    wait_until(lambda: live.names("jobs") == ["first"], what="the Job is gone")
    staging.run(repository.path, "pause", RIDGE.branch, code=0, given="", **sentry.environment)
    assert states() == ["disabled", "disabled"]
    done = staging.run(repository.path, "resume", RIDGE.branch, code=0, given="", **sentry.environment)
    assert f"Sentry monitors enabled: {UPDATE}\n" in done.stdout and states() == ["active", "disabled"]
    staging.run(repository.path, "resume", RIDGE.branch, *ALONE, code=0, given="", **sentry.environment)
    assert states() == ["active", "active"]


@one_major
def test_it_waits_through_a_first_deploy_a_dropped_job_and_a_rollback(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    first = repository.stage(RIDGE.dataset_id, RIDGE.version)
    paused = Staging({**staging.environment, "STAGING_FIRST_DEPLOY": "paused"})
    deploy(paused, repository, RIDGE)
    staging.run(repository.path, "pause", RIDGE.branch, *ALONE)
    deploy(paused, repository, RIDGE, "--skip-job", "validate")  # a commit that does not have it
    staging.run(repository.path, "resume", RIDGE.branch)
    assert firing(live) == [UPDATE]
    repository.commit("Push again")
    repository.push(RIDGE.branch)
    deploy(paused, repository, RIDGE)
    assert firing(live) == [UPDATE]
    done = staging.run(repository.path, "rollback", RIDGE.branch)
    assert f"is back at {first[:12]}" in done.stdout
    assert firing(live) == [UPDATE]
    deploy(paused, repository, RIDGE)
    assert firing(live) == [UPDATE]
    values = unpacked(newest(live, RIDGE.release))["config"]
    assert (values["suspend"], values["paused_keys"]) == (False, ["validate"])


@one_major
def test_what_its_own_code_suspends_stays_suspended(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(ESTUARY.dataset_id, ESTUARY.version)
    deploy(staging, repository, ESTUARY)
    before = firing(live)
    staging.run(repository.path, "pause", ESTUARY.branch, "--key", "update")
    done = staging.run(repository.path, "resume", ESTUARY.branch, "--key", "update")
    assert "Still suspended by their own code: update.\n" in done.stdout
    assert firing(live) == before


@one_major
def test_the_guard_takes_a_job_that_is_paused_alone_for_no_writer(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    repository.bump(RIDGE.dataset_id, RIDGE.version)
    repository.commit("Release it")
    staging.run(repository.path, "pause", RIDGE.branch, *ALONE)
    done = staging.run(repository.path, "guard", code=REFUSED)
    assert f"CronJob {UPDATE} is not suspended" in done.stderr and VALIDATE not in done.stderr
    staging.run(repository.path, "pause", RIDGE.branch, "--key", "update")
    assert "it is paused" in staging.run(repository.path, "guard").stderr
    staging.run(repository.path, "resume", RIDGE.branch, "--key", "update")
    staging.run(repository.path, "guard", "--pause")
    assert firing(live) == []
    staging.run(repository.path, "resume", RIDGE.branch)
    assert firing(live) == [UPDATE]


@one_major
def test_a_record_with_keys_that_none_can_have_is_refused(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    install(staging, repository, RIDGE)
    for keys in (["\x1b[2J"], ["--server=http://x"], ["a b"], [1], "update"):
        forge(live, RIDGE.release, lambda content, keys=keys: content["config"].update(paused_keys=keys))
        before = live.all("cronjobs")
        for command in (("pause", RIDGE.branch, *ALONE), ("resume", RIDGE.branch), ("list",)):
            done = staging(repository.path, *command)
            assert done.code in (0, REFUSED) and (command == ("list",)) == (done.code == 0), done.stderr
            assert "\x1b" not in done.stdout + done.stderr
            hostile.tried("release records", done.stdout + done.stderr, changed=live.all("cronjobs") != before)
