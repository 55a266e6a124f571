"""Cleanup leaves nothing of a staged version behind, in Sentry and on the remote too, and touches nothing else."""

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

import many
from live import IMAGE, LABEL, PROGRAM, RUN_SECONDS, Namespace, Staging, end, make_job, make_unfinished, wait_until
from repositories import Repository
from sentry_server import CONFIG, answered, meanwhile
from staged import OWNER, Sentry, install, names, push, push_other
from staging_cronjobs.model.staged_version import StagedVersion
from terminal import Terminal

pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)

DONE, USAGE, REFUSED, OUTSIDE, UNFINISHED, SUPERSEDED = 0, 2, 3, 4, 5, 6
RIDGE = StagedVersion("ridge-snow", "0.2.0")
UPDATE, VALIDATE = names(RIDGE)
ARCHIVE = RIDGE.job_name("archive")
CLEANUP = ("cleanup", "--branch", RIDGE.branch)
FINALIZER = "staging-cronjobs.test/held"


def snapshot(live: Namespace, repository: Repository) -> tuple[object, str]:
    """All that a command could have changed, Sentry aside."""
    objects = live.state("cronjobs", "jobs", "secrets")
    return objects, repository.git("ls-remote", "origin")


@contextmanager
def untouched(live: Namespace, repository: Repository, sentry: Sentry | None = None) -> Generator[None]:
    """Nothing changes, and nobody asks Sentry to delete anything."""
    before = snapshot(live, repository)
    slugs = sentry.slugs() if sentry else []
    yield
    assert snapshot(live, repository) == before
    assert not sentry or (sentry.slugs() == slugs and not sentry.deleted())


def finished(live: Namespace, sentry: Sentry | None = None) -> bool:
    """Nothing of it is left in the cluster, nor in Sentry."""
    return not live.leftovers() and not (sentry and sentry.slugs())


def unfinished(staging: Staging, folder: Path, **environment: str) -> bool:
    """Whether both `staging list` and `helm list` show the version as such."""
    listed = staging.run(folder, "list", "-o", "json", code=DONE, **environment).json
    assert [(row["release"], row["status"], row["jobs"]) for row in listed] == [(RIDGE.release, "uninstalled", [])]
    return RIDGE.release in staging.helm("list", "--uninstalled", "--short").split()


@pytest.fixture
def staged(staging: Staging, repository: Repository, sentry: Sentry) -> StagedVersion:
    """A release with two jobs, both of which have reported, and its branch."""
    push(repository, RIDGE)
    install(staging, repository, RIDGE)
    sentry.check_in(UPDATE, VALIDATE)
    return RIDGE


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    return folder


# The plan


def test_the_plan_says_what_goes_and_what_stays(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    commit = repository.stage(RIDGE.dataset_id, RIDGE.version)
    staging.run(
        repository.path, "deploy", "--branch", RIDGE.branch, "--docker-image", IMAGE, code=DONE, **sentry.environment
    )
    sentry.check_in(UPDATE)
    context = live.kubectl("config", "current-context").strip()
    with untouched(live, repository, sentry):
        done = staging.run(repository.path, *CLEANUP, code=REFUSED, **sentry.environment)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"Cleanup of ridge-snow v0.2.0 (context {context}, namespace {live.name}):",
        f"  release  {RIDGE.release}, deployed, revision 1: deleted, with its Jobs and pods",
        f"  cronjob  {UPDATE}: deleted",
        f"  cronjob  {VALIDATE}: deleted",
        f"  branch   {RIDGE.branch} at {commit[:12]}: deleted",
        f"  monitor  {UPDATE}: deleted",
        f"  monitor  {VALIDATE}: does not exist",
        "  store    s3://weather-data/ridge-snow/v0.2.0.icechunk: stays",
        "error: not a terminal, cannot ask: pass --yes. Nothing was touched",
    ]


def test_the_plan_names_the_jobs_that_run(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, both: list[StagedVersion]
) -> None:
    running = make_unfinished(live, UPDATE, "just made")
    ended = make_job(live, VALIDATE, {RUN_SECONDS: "0"})
    wait_until(lambda: "Complete" in str(live.get("jobs", ended).get("status")), what="its end")
    other = make_unfinished(live, names(both[1])[0], "just made")
    for command, told in ((CLEANUP, [running]), (ALL_VERSIONS, [running, other])):
        for more, fate in ((("--drain",), "waited for"), ((), "stopped")):
            with untouched(live, repository, sentry):
                done = staging.run(repository.path, *command, *more, code=REFUSED, **sentry.environment)
            lines = [line for line in done.stderr.splitlines() if line.startswith("  job ")]
            assert lines == [f"  job      {name} runs now: {fate}" for name in told]


# Monitors


def test_monitors_go_by_id_once_the_last_pod_is_gone(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    push(repository, RIDGE)
    install(staging, repository, RIDGE, ("update", "validate", "archive"), seconds=3600)
    install(staging, repository, RIDGE, seconds=3600)  # a push that dropped a job, whose monitor stayed
    other = sentry.server.add_project("other")  # slugs are unique per project only
    sentry.server.check_in(UPDATE, other, CONFIG)
    sentry.check_in(UPDATE, VALIDATE, ARCHIVE)
    strangers = [f"{UPDATE}-2", UPDATE.removesuffix("e"), RIDGE.job_name("merge"), RIDGE.release]
    sentry.check_in(*strangers)
    ours = {m.id for m in sentry.server.monitors if m.project is sentry.project and m.slug not in strangers}

    live.run_job(UPDATE, f"{UPDATE}-by-hand")
    selector = f"{LABEL}release={RIDGE.release}"
    wait_until(lambda: [p for p in live.all("pods", selector) if p["status"].get("phase") == "Running"])
    (pod,) = live.names("pods", selector)
    live.patch("pods", pod, {"metadata": {"finalizers": [FINALIZER]}})
    seen: list[Any] = []
    sentry.server.inject(
        meanwhile(lambda: seen.append((live.leftovers(), live.names("pods")))), method="DELETE", times=math.inf
    )
    process = staging.start(repository.path, *CLEANUP, "--yes", **sentry.environment)
    wait_until(lambda: "deletionTimestamp" in live.get("pods", pod)["metadata"], what="the pod's deletion")
    time.sleep(1)  # in which it must not have gone on
    assert live.names("pods", selector) == [pod]
    assert sentry.deleted() == []
    live.patch("pods", pod, {"metadata": {"finalizers": None}})
    done = end(process)
    assert done.code == DONE, done.stderr

    records = [f"secrets/sh.helm.release.v1.{RIDGE.release}.v{revision}" for revision in (1, 2)]
    assert seen == [(records, [])] * 3
    prefix = "/api/0/projects/acme/weather/monitors"
    assert sorted(sentry.deleted()) == sorted(f"{prefix}/{number}/" for number in ours)
    assert all(not request.query for request in sentry.server.asked("DELETE"))
    assert sentry.slugs() == sorted(strangers)
    assert sentry.server.slugs(other) == [UPDATE]
    assert finished(live)
    assert f"Monitors of Sentry project acme/weather are gone: {ARCHIVE}, {UPDATE}, {VALIDATE}" in done.stdout


def test_a_monitor_that_a_late_check_in_made_again_is_noticed(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    late = meanwhile(lambda: sentry.check_in(UPDATE))
    sentry.server.inject(late, method="GET", skip=2)  # the plan's listing, the one before and the one after deleting
    done = staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert f"a late check-in has made monitor {UPDATE}: deleting that too" in done.stderr
    assert len(sentry.deleted()) == 3
    assert finished(live, sentry)


def test_a_first_check_in_that_comes_late_is_noticed(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    """No monitor was found, neither for the plan nor when the pods were gone."""
    push(repository, RIDGE)
    install(staging, repository, RIDGE)
    sentry.check_in("ridge-snow-update")
    late = meanwhile(lambda: sentry.check_in(UPDATE))
    sentry.server.inject(late, method="GET", skip=2)
    done = staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert f"  monitor  {UPDATE}: does not exist" in done.stderr
    assert f"a late check-in has made monitor {UPDATE}: deleting that too" in done.stderr
    assert sentry.slugs() == ["ridge-snow-update"]
    assert finished(live)


def test_a_monitor_that_keeps_coming_back(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    late = meanwhile(lambda: sentry.check_in(UPDATE))
    sentry.server.inject(late, method="GET", times=4)
    done = staging.run(repository.path, *CLEANUP, "--yes", code=UNFINISHED, **sentry.environment)
    assert f"monitor {UPDATE} comes back after it is deleted, so something still checks in." in done.stderr
    assert unfinished(staging, repository.path)
    staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert finished(live, sentry)


def test_without_sentry_the_slugs_are_said(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    done = staging.run(repository.path, *CLEANUP, "--yes", SENTRY_AUTH_TOKEN=sentry.token)
    for slug in (UPDATE, VALIDATE):
        assert f"monitor  {slug}: stays (Sentry is not set up)" in done.stderr
    assert finished(live)
    assert sentry.server.requests == []


def test_keep_monitors_asks_sentry_nothing(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    done = staging.run(repository.path, *CLEANUP, "--yes", "--keep-monitors", code=DONE, **sentry.settings)
    for slug in (UPDATE, VALIDATE):
        assert f"monitor  {slug}: stays (--keep-monitors)" in done.stderr
    assert finished(live)
    assert sentry.server.requests == []


@pytest.mark.parametrize("missing", ["SENTRY_AUTH_TOKEN", "SENTRY_ORG", "SENTRY_PROJECT"])
def test_sentry_set_up_in_part_touches_nothing(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion, missing: str
) -> None:
    environment = {name: value for name, value in sentry.environment.items() if name != missing}
    with untouched(live, repository, sentry):
        done = staging.run(repository.path, *CLEANUP, "--yes", code=USAGE, **environment)
    assert "--keep-monitors" in done.stderr
    assert sentry.server.requests == []


UNWELL = {
    "401": "does not know the token (401)",
    "403": "lacks the scope alerts:read",
    "read only": "lacks the scope alerts:write",
    "500": "HTTP 500. Tried 5 times",
    "empty list": "shows this token no monitor at all",
}


def unwell(sentry: Sentry, how: str) -> dict[str, str]:
    """What `staging` has in its environment while Sentry is so."""
    match how:
        case "401":
            return {"SENTRY_AUTH_TOKEN": "sntryu_expired"}
        case "403":
            return {"SENTRY_AUTH_TOKEN": sentry.server.add_organization_token()}
        case "read only":
            return {"SENTRY_AUTH_TOKEN": sentry.server.add_token([sentry.project], {"alerts:read"})}
        case "500":
            sentry.server.inject(answered(500), times=5, skip=1)  # the plan's listing goes well
        case "empty list":
            return {"SENTRY_AUTH_TOKEN": sentry.server.add_token([], {"alerts:read", "alerts:write"})}
    return {}


@pytest.mark.parametrize("how", UNWELL)
def test_with_sentry_unwell_jobs_and_branch_go_and_a_rerun_finishes(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion, how: str
) -> None:
    environment = {**sentry.environment, **unwell(sentry, how)}
    done = staging.run(repository.path, *CLEANUP, "--yes", code=UNFINISHED, **environment)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert UNWELL[how] in last
    assert "Run the same command again to finish" in last
    assert live.names("cronjobs") == []
    assert repository.remote_head(RIDGE.branch) is None
    assert sentry.slugs() == [UPDATE, VALIDATE]
    assert unfinished(staging, repository.path)

    done = staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert f"branch   {RIDGE.branch}: already deleted" in done.stderr
    assert finished(live, sentry)


def test_a_plan_says_that_sentry_cannot_be_asked(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    with untouched(live, repository, sentry):
        wrong = {**sentry.environment, "SENTRY_AUTH_TOKEN": "sntryu_expired"}
        done = staging.run(repository.path, *CLEANUP, code=REFUSED, **wrong)
    assert "monitors cannot be listed now: Sentry project acme/weather does not know the token (401)" in done.stderr


# What is gone already, or was never there


def test_no_code_of_the_datasets_is_needed_or_run(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    ran = repository.path / "ran"
    repository.write(
        "src/weather/datasets.py", f"open({str(ran)!r}, 'w')\nraise SystemExit('this code must not run')\n"
    )
    repository.write("src/weather/__init__.py", f"open({str(ran)!r}, 'w')\n")
    staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert not ran.exists()
    assert finished(live, sentry)


def test_the_dataset_may_be_gone(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    repository.git("rm", "-r", "--quiet", "src", "pyproject.toml")
    repository.commit("Remove everything")
    repository.push("main")
    repository.delete_remote_branch(RIDGE.branch)
    done = staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert f"branch   {RIDGE.branch}: already deleted" in done.stderr
    assert "to restore it" not in done.stdout
    assert finished(live, sentry)


def test_no_checkout_is_needed(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion, nowhere: Path
) -> None:
    done = staging.run(nowhere, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert f"branch   {RIDGE.branch}: stays, this folder is no checkout of {OWNER}" in done.stderr
    assert f"git push <remote> --delete {RIDGE.branch}" in done.stderr
    last = f"Branch {RIDGE.branch} was not deleted, and a push to it deploys this version again."
    assert done.stdout.splitlines()[-1] == f"{last} To delete it: git push <remote> --delete {RIDGE.branch}"
    assert repository.remote_head(RIDGE.branch)
    assert finished(live, sentry)


def test_of_a_branch_that_was_to_stay_the_last_line_says_what_a_push_does(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    done = staging.run(repository.path, *CLEANUP, "--yes", "--keep-branch")
    last = f"Branch {RIDGE.branch} was not deleted, and a push to it deploys this version again."
    assert done.stdout.splitlines()[-1] == last


def test_no_such_release_touches_nothing(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    missing = StagedVersion("ridge-snow", "0.9.0")
    push(repository, missing)
    with untouched(live, repository, sentry):
        done = staging.run(
            repository.path, "cleanup", "--branch", missing.branch, "--yes", code=REFUSED, **sentry.environment
        )
    assert f"git push origin --delete {missing.branch}" in done.stderr


# The branch


def forbid_deletions(repository: Repository) -> None:
    """As a protected branch does."""
    hook = repository.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase $3 in *[!0]*) ;; *) echo "no deletions here" >&2; exit 1;; esac\n')
    hook.chmod(0o755)


def test_a_protected_branch_touches_nothing_unless_it_is_kept(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    forbid_deletions(repository)
    with untouched(live, repository, sentry):
        done = staging.run(repository.path, *CLEANUP, "--yes", code=OUTSIDE, **sentry.environment)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: origin does not let branch {RIDGE.branch} be deleted")
    assert "no deletions here" in last
    assert "The cluster was not touched." in last
    assert "--keep-branch" in last

    commit = repository.remote_head(RIDGE.branch)
    done = staging.run(repository.path, *CLEANUP, "--yes", "--keep-branch", code=DONE, **sentry.environment)
    assert f"branch   {RIDGE.branch}: stays (--keep-branch)" in done.stderr
    assert repository.remote_head(RIDGE.branch) == commit
    assert finished(live, sentry)


def test_the_restore_command_works(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    commit = push_other(repository, RIDGE)
    done = staging.run(repository.path, *CLEANUP, "--yes")
    assert repository.remote_head(RIDGE.branch) is None
    (command,) = re.findall(r"^ +(git push .*)$", done.stdout, re.MULTILINE)
    repository.git(*shlex.split(command)[1:])
    assert repository.remote_head(RIDGE.branch) == commit


@pytest.fixture
def asked(staging: Staging, repository: Repository, sentry: Sentry, staged: StagedVersion) -> Iterator[Terminal]:
    """A cleanup on a terminal, that waits for its answer."""
    terminal = Terminal([PROGRAM, *CLEANUP], repository.path, {**staging.environment, **sentry.environment})
    try:
        terminal.wait_for("Delete all of this? [y/N]: ")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_person_who_says_no(
    asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry, answer: str
) -> None:
    with untouched(live, repository, sentry):
        done = asked.answer(answer)
    assert done.code == REFUSED
    assert done.stderr.endswith("error: not confirmed. Nothing was touched\n")


def test_a_person_who_says_yes(asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry) -> None:
    assert f"  monitor  {UPDATE}: deleted" in asked.shown
    assert asked.answer("y").code == DONE
    assert repository.remote_head(RIDGE.branch) is None
    assert finished(live, sentry)


def test_a_branch_that_moves_while_a_person_thinks(
    asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    old, new = repository.remote_head(RIDGE.branch), push_other(repository, RIDGE)
    assert old
    with untouched(live, repository, sentry):
        done = asked.answer("y")
    assert done.code == REFUSED
    assert f"branch {RIDGE.branch} has moved from {old[:12]} to {new[:12]}. Someone pushed" in done.stderr


def test_a_branch_that_goes_while_a_person_thinks(
    asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    repository.delete_remote_branch(RIDGE.branch)
    assert asked.answer("y").code == DONE
    assert finished(live, sentry)


def test_a_branch_whose_remote_goes_while_a_person_thinks(
    asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    repository.remote.rename(repository.remote.with_name("away.git"))
    objects = {kind: live.names(kind) for kind in ("cronjobs", "secrets")}
    done = asked.answer("y")
    assert done.code == OUTSIDE
    assert {kind: live.names(kind) for kind in ("cronjobs", "secrets")} == objects
    assert sentry.slugs() == [UPDATE, VALIDATE]


# A plan that does not hold any more


def deployed_again(revision: int = 2) -> str:
    return f"release {RIDGE.release} has changed since the plan was made: it is deployed, revision {revision}. Nothing"


def test_a_deploy_while_a_person_thinks_is_not_deleted(
    asked: Terminal, staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    install(staging, repository, RIDGE)
    with untouched(live, repository, sentry):
        done = asked.answer("y")
    assert done.code == SUPERSEDED
    assert f"error: {deployed_again()} was touched. Run the same command again for a new plan.\n" in done.stderr


def test_a_deploy_after_another_cleanup_while_a_person_thinks_is_not_deleted(
    asked: Terminal, staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    """Its revision and status are those of the plan."""
    staging.helm("uninstall", RIDGE.release, "--wait")
    install(staging, repository, RIDGE)
    with untouched(live, repository, sentry):
        done = asked.answer("y")
    assert done.code == SUPERSEDED
    assert deployed_again(1) in done.stderr


@pytest.mark.parametrize("pushed", [False, True])
def test_a_deploy_while_sentry_is_slow_is_not_deleted(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion, pushed: bool
) -> None:
    """With or without a push before it; the plan's listing of monitors is its last step."""
    before: list[object] = []

    def deploy() -> None:
        if pushed:
            push_other(repository, RIDGE)
        install(staging, repository, RIDGE)
        before.append(snapshot(live, repository))

    sentry.server.inject(meanwhile(deploy), method="GET")
    done = staging.run(repository.path, *CLEANUP, "--yes", code=SUPERSEDED, **sentry.environment)
    assert deployed_again() in done.stderr
    assert [snapshot(live, repository)] == before
    assert not sentry.deleted()


def test_a_push_while_sentry_is_slow_touches_nothing(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    """Its deploy is on its way."""
    old, new = repository.remote_head(RIDGE.branch), []
    sentry.server.inject(meanwhile(lambda: new.append(push_other(repository, RIDGE))), method="GET")
    objects = snapshot(live, repository)[0]
    done = staging.run(repository.path, *CLEANUP, "--yes", code=REFUSED, **sentry.environment)
    assert f"branch {RIDGE.branch} has moved from {old[:12] if old else ''} to {new[0][:12]}." in done.stderr
    assert snapshot(live, repository)[0] == objects
    assert repository.remote_head(RIDGE.branch) == new[0]
    assert not sentry.deleted()


def test_a_branch_that_is_pushed_again_while_sentry_is_slow_touches_nothing(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    repository.delete_remote_branch(RIDGE.branch)
    sentry.server.inject(meanwhile(lambda: push(repository, RIDGE)), method="GET")
    objects = snapshot(live, repository)[0]
    done = staging.run(repository.path, *CLEANUP, "--yes", code=SUPERSEDED, **sentry.environment)
    assert f"branch {RIDGE.branch} is there again, at " in done.stderr
    assert snapshot(live, repository)[0] == objects
    assert repository.remote_head(RIDGE.branch)


def test_a_cronjob_that_is_replaced_while_a_person_thinks_is_not_deleted(
    asked: Terminal, staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    replace_with_theirs(live)
    with untouched(live, repository, sentry):
        done = asked.answer("y")
    assert done.code == REFUSED
    assert f"CronJob {UPDATE} has the name of a job of release {RIDGE.release} but does not belong to it" in done.stderr


def draining(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> tuple[subprocess.Popen[str], str]:
    """A cleanup that waits for a running Job, and that Job's name."""
    push(repository, RIDGE)
    install(staging, repository, RIDGE, seconds=3600)
    live.run_job(UPDATE, f"{UPDATE}-by-hand")
    process = staging.start(repository.path, *CLEANUP, "--yes", "--drain", "--drain-limit", "30s", **sentry.environment)
    wait_until(lambda: not repository.remote_head(RIDGE.branch), what="the deletion of the branch")
    wait_until(lambda: all(job["spec"]["suspend"] for job in live.all("cronjobs")), what="the pause")
    return process, f"{UPDATE}-by-hand"


def test_a_deploy_while_jobs_end_is_not_deleted(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    process, job = draining(staging, repository, live, sentry)
    push(repository, RIDGE)
    install(staging, repository, RIDGE)
    deployed = live.state("cronjobs")
    live.delete("jobs", job)
    done = end(process)
    assert done.code == UNFINISHED, done.stderr
    assert f"release {RIDGE.release} was deployed again meanwhile, so it was left alone." in done.stderr
    assert live.state("cronjobs") == deployed
    assert repository.remote_head(RIDGE.branch)


def test_a_cronjob_that_is_replaced_while_jobs_end_is_not_deleted(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    process, job = draining(staging, repository, live, sentry)
    replace_with_theirs(live)
    theirs = live.state("cronjobs")
    with suppress(requests.HTTPError):  # it goes with its CronJob, sooner or later
        live.delete("jobs", job)
    done = end(process)
    assert done.code == UNFINISHED, done.stderr
    assert "Rename or delete it, then run the same command again." in done.stderr
    assert live.state("cronjobs") == theirs


# Draining


def test_a_job_that_fires_in_a_paused_release_is_suspended_to_drain(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    staging.run(repository.path, "pause", "--branch", RIDGE.branch)
    live.patch("cronjobs", UPDATE, {"spec": {"suspend": False}})
    make_job(live, UPDATE, managedBy="example.com/nobody")
    done = staging.run(repository.path, *CLEANUP, "--yes", "--drain", "--drain-limit", "1s", code=UNFINISHED)
    assert f"pausing release {RIDGE.release}" in done.stderr
    assert live.get("cronjobs", UPDATE)["spec"]["suspend"] is True


@pytest.mark.parametrize("how", ["just made", "between attempts"])
def test_a_job_that_has_not_ended_is_waited_for_whatever_its_status_says(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion, how: str
) -> None:
    job = make_unfinished(live, UPDATE, how)
    done = staging.run(repository.path, *CLEANUP, "--yes", "--drain", "--drain-limit", "1s", code=UNFINISHED)
    assert f"waiting for 1 running Jobs: {job}" in done.stderr
    assert f"1 Jobs of {RIDGE.release} still run after 1 s. The release is paused." in done.stderr
    assert live.names("jobs") == [job]
    assert len(live.names("cronjobs")) == 2


# What is not ours


def replace_with_theirs(live: Namespace) -> None:
    """Somebody puts a CronJob of their own in place of `update`."""
    spec = live.get("cronjobs", UPDATE)["spec"]
    live.delete("cronjobs", UPDATE)
    theirs = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": UPDATE}, "spec": spec}
    assert live.create(theirs).accepted


@pytest.mark.parametrize("marks", ["none", "copied labels", "another release"])
def test_a_cronjob_in_place_of_ours_is_refused(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion, marks: str
) -> None:
    ours = live.get("cronjobs", UPDATE)
    live.delete("cronjobs", UPDATE)
    metadata: dict[str, Any] = {"name": UPDATE}
    if marks != "none":
        metadata["labels"] = ours["metadata"]["labels"]
    if marks == "another release":
        owner = {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": live.name}
        metadata["annotations"] = owner
    assert live.create(
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": ours["spec"]}
    ).accepted
    with untouched(live, repository, sentry):
        done = staging.run(repository.path, *CLEANUP, "--yes", code=REFUSED, **sentry.environment)
    assert f"CronJob {UPDATE} has the name of a job of release {RIDGE.release} but does not belong to it" in done.stderr


# The stores


def release_on_main(repository: Repository, staged: StagedVersion) -> None:
    """Main gets the version of a staged version, as a merge of its branch does."""
    repository.checkout("main")
    repository.bump(staged.dataset_id, staged.version)
    repository.commit()
    repository.push("main")


def test_stores_that_nobody_writes_come_with_the_command_that_deletes_them(
    staging: Staging, repository: Repository, staged: StagedVersion
) -> None:
    done = staging.run(repository.path, *CLEANUP, "--yes")
    command = "  aws s3 rm --recursive s3://weather-data/ridge-snow/v0.2.0.icechunk\n"
    assert done.stdout.endswith(f"Main does not have this version. To delete the stores too:\n{command}")


def test_stores_that_are_productions_by_now_come_without_a_command(
    staging: Staging, repository: Repository, staged: StagedVersion
) -> None:
    release_on_main(repository, staged)
    done = staging.run(repository.path, *CLEANUP, "--yes")
    assert done.stdout.endswith(
        "These stores were not deleted:\n"
        "  s3://weather-data/ridge-snow/v0.2.0.icechunk\n"
        "These are production's stores now: main has version 0.2.0. Do not delete them.\n"
    )


def test_a_version_that_main_got_while_its_jobs_ended_is_productions(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    """Main is asked last."""
    push(repository, RIDGE)
    install(staging, repository, RIDGE)
    sentry.check_in(UPDATE)
    sentry.server.inject(meanwhile(lambda: release_on_main(repository, RIDGE)), method="GET", skip=1)
    done = staging.run(repository.path, *CLEANUP, "--yes", code=DONE, **sentry.environment)
    assert "These are production's stores now: main has version 0.2.0." in done.stdout


def test_a_main_that_cannot_be_read_is_no_reason_to_delete_stores(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    repository.git("fetch", "--quiet", "origin")
    repository.remote.rename(repository.remote.with_name("away.git"))
    done = staging.run(repository.path, *CLEANUP, "--yes", "--keep-branch")
    assert "These may be production's stores now, so check before you delete them. Main could not be" in done.stdout
    assert "aws s3 rm" not in done.stdout
    assert finished(live)


def test_of_many_each_says_whose_its_stores_are(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    second = StagedVersion("ridge-snow", "0.3.0")
    push(repository, second)
    install(staging, repository, second)
    release_on_main(repository, staged)
    done = staging.run(repository.path, "cleanup", "--dataset-id", "ridge-snow", "--all-versions", "--yes")
    assert [line for line in done.stdout.splitlines() if "aws s3 rm" in line] == [
        "  aws s3 rm --recursive s3://weather-data/ridge-snow/v0.3.0.icechunk"
    ]
    assert done.stdout.count("These are production's stores now: main has version 0.2.0.") == 1
    assert finished(live)


# Many at once


def test_one_that_fails_does_not_stop_the_others(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    second, missing = StagedVersion("ridge-snow", "0.3.0"), StagedVersion("ridge-snow", "0.4.0")
    push(repository, second)
    install(staging, repository, second)
    sentry.check_in(*names(second))
    branches = [flag for version in (RIDGE, missing, second) for flag in ("--branch", version.branch)]
    done = staging.run(repository.path, "cleanup", *branches, "--yes", code=UNFINISHED, **sentry.environment)
    said = done.stderr.splitlines()
    assert f"{RIDGE.branch}: done" in said
    assert f"{second.branch}: done" in said
    (line,) = [line for line in said if line.startswith(f"{missing.branch}: ")]
    assert f"exit code {REFUSED}: there is no release {missing.release}" in line
    assert said[-1].startswith("error: 1 of 3 staged versions are not cleaned up")
    assert finished(live, sentry)


def test_each_of_many_ends_in_its_own_way(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, both: list[StagedVersion]
) -> None:
    """One whose CronJob is somebody else's, one whose monitor comes back, one as a cleanup that began, and one more."""
    begun, last = StagedVersion("ridge-snow", "0.4.0"), StagedVersion("ridge-snow", "0.5.0")
    for version in (begun, last):
        push(repository, version)
        install(staging, repository, version)
    staging.helm("uninstall", "--keep-history", begun.release)
    ours = live.get("cronjobs", UPDATE)
    live.delete("cronjobs", UPDATE)
    theirs = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": UPDATE}, "spec": ours["spec"]}
    assert live.create(theirs).accepted
    back = both[1].job_name("update")
    sentry.server.inject(meanwhile(lambda: sentry.check_in(back)), method="GET", times=4)
    done = staging.run(repository.path, *ALL_VERSIONS, "--yes", code=UNFINISHED, **sentry.environment)
    said = done.stderr.splitlines()
    assert {f"{begun.branch}: done", f"{last.branch}: done"} <= {*said}
    assert any(line.startswith(f"{RIDGE.branch}: exit code {REFUSED}: CronJob {UPDATE} has the name") for line in said)
    assert any(line.startswith(f"{both[1].branch}: exit code {UNFINISHED}: ") and back in line for line in said)
    assert said[-1].startswith("error: 2 of 4 staged versions are not cleaned up")
    listed = staging.run(repository.path, "list", "-o", "json").json
    assert {row["version"]: row["status"] for row in listed} == {"0.2.0": "deployed", "0.3.0": "uninstalled"}
    assert [bool(repository.remote_head(v.branch)) for v in (*both, begun, last)] == [True, False, False, False]


def test_a_helm_that_fails_for_one_is_started_again_for_the_others(
    staging: Staging, repository: Repository, live: Namespace, both: list[StagedVersion], tmp_path: Path
) -> None:
    """Where several share a start of helm, those after the one that fails are not yet gone."""
    real = shutil.which("helm", path=staging.environment["PATH"])
    bad = tmp_path / "bin" / "helm"
    bad.parent.mkdir()
    fails = f'case "$*" in uninstall*{RIDGE.release}*) echo "Error: no luck" >&2; exit 1;; esac'
    bad.write_text(f'#!/bin/sh\n{fails}\nexec {real} "$@"\n')
    bad.chmod(0o755)
    more = [f"0.{number}.0" for number in range(4, 8)]
    many.write(live.client, live.name, both[1].release, more)
    search = f"{bad.parent}{os.pathsep}{staging.environment['PATH']}"
    done = staging.run(repository.path, *ALL_VERSIONS, "--yes", code=UNFINISHED, PATH=search)
    assert f"{RIDGE.branch}: exit code {UNFINISHED}: " in done.stderr and "no luck" in done.stderr
    assert "error: 1 of 6 staged versions are not cleaned up" in done.stderr
    assert [row["version"] for row in staging.run(repository.path, "list", "-o", "json").json] == [RIDGE.version]
    staging.run(repository.path, *CLEANUP, "--yes")
    assert finished(live)


def test_a_cleanup_of_many_starts_as_many_programs_as_one_of_a_few(
    staging: Staging, repository: Repository, live: Namespace, both: list[StagedVersion]
) -> None:
    started: list[list[str]] = []
    for count in (4, 10):
        push(repository, both[1])
        install(staging, repository, both[1])
        many.write(live.client, live.name, both[1].release, [f"1.{count}.{number}" for number in range(1, count)])
        lines = staging.run(repository.path, *ALL_VERSIONS, "--yes", "--verbose").stderr.splitlines()
        # The Secrets of a record go one by one, as each must be the one that was read, by the same proxy.
        lines = [line.removeprefix("+ ") for line in lines if line.startswith("+ ") and " --raw " not in line]
        started.append([" ".join(line.split()[:2]) for line in lines])
        assert finished(live)
    few, more = started
    assert few == more and few.count("helm uninstall") == 4 and few.count("kubectl proxy") == 1


def test_all_versions_of_one_dataset(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, staged: StagedVersion
) -> None:
    second, other = StagedVersion("ridge-snow", "0.3.0"), StagedVersion("ridge-snow-forecast", "0.2.0")
    for version in (second, other):
        push(repository, version)
        install(staging, repository, version)
        sentry.check_in(*names(version))
    before = live.names("cronjobs", f"{LABEL}release={other.release}")
    staging.run(
        repository.path,
        "cleanup",
        "--dataset-id",
        "ridge-snow",
        "--all-versions",
        "--yes",
        code=DONE,
        **sentry.environment,
    )
    assert live.names("cronjobs") == before == sorted(names(other))
    assert live.names("secrets", "owner=helm") == [f"sh.helm.release.v1.{other.release}.v1"]
    assert sentry.slugs() == sorted(names(other))
    assert repository.remote_head(other.branch)
    assert [repository.remote_head(v.branch) for v in (RIDGE, second)] == [None, None]


@pytest.fixture
def both(staging: Staging, repository: Repository, sentry: Sentry, staged: StagedVersion) -> list[StagedVersion]:
    """Two versions of one dataset."""
    second = StagedVersion("ridge-snow", "0.3.0")
    push(repository, second)
    install(staging, repository, second)
    sentry.check_in(*names(second))
    return [RIDGE, second]


ALL_VERSIONS = ("cleanup", "--dataset-id", "ridge-snow", "--all-versions")


def test_the_plan_of_many_names_the_place_and_the_stores(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, both: list[StagedVersion]
) -> None:
    missing = StagedVersion("ridge-snow", "0.9.0")
    named = [word for version in (*both, missing) for word in ("--branch", version.branch)]
    context = live.kubectl("config", "current-context").strip()
    sentry.server.monitors.remove(next(m for m in sentry.server.monitors if m.slug == VALIDATE))
    lines = [
        line
        for version in both
        for line in (
            f"ridge-snow v{version.version}:",
            f"  release  {version.release}, deployed, revision 1: deleted, with its Jobs and pods",
            *(f"  cronjob  {name}: deleted" for name in names(version)),
            f"  branch   {version.branch} at {repository.git('rev-parse', 'main')[:12]}: deleted",
            *(f"  monitor  {name}: {'does not exist' if name == VALIDATE else 'deleted'}" for name in names(version)),
            f"  store    s3://weather-data/ridge-snow/v{version.version}.icechunk: stays",
        )
    ]
    place = f"context {context}, namespace {live.name}"
    absent = [
        "ridge-snow v0.9.0:",
        f"  nothing is deleted, because there is no release {missing.release} in {place}. Nothing was touched. Is this "
        f"the right cluster? To delete just the branch: git push origin --delete {missing.branch}",
    ]
    for command, more in ((ALL_VERSIONS, []), (("cleanup", *named), absent)):
        with untouched(live, repository, sentry):
            done = staging.run(repository.path, *command, code=REFUSED, **sentry.environment)
        assert done.stderr.splitlines() == [
            f"Cleanup of {len(both) + bool(more)} staged versions ({place}):",
            *lines,
            *more,
            "error: not a terminal, cannot ask: pass --yes. Nothing was touched",
        ]


def test_the_plan_of_many_says_what_will_be_refused(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, both: list[StagedVersion], nowhere: Path
) -> None:
    theirs = StagedVersion("ridge-snow", "0.4.0")
    install(staging, repository, theirs, owner="somebody/else")
    repository.delete_remote_branch(both[0].branch)
    command = (*ALL_VERSIONS, "--branch-deleted", "--keep-monitors")
    with untouched(live, repository, sentry):
        said = staging.run(repository.path, *command, code=REFUSED).stderr
        assert f"  branch   {both[0].branch}: already deleted\n" in said
        assert f"ridge-snow v0.3.0:\n  nothing is deleted, because branch {both[1].branch} is there again, at " in said
        why = f"release {theirs.release} was deployed from somebody/else, this is a checkout of {OWNER}. Nothing was"
        assert f"ridge-snow v0.4.0:\n  nothing is deleted, because {why}" in said
        assert said.count("stays (--keep-monitors)") == 2
        wrong = {**sentry.environment, "SENTRY_AUTH_TOKEN": "sntryu_expired"}
        said = staging.run(nowhere, *ALL_VERSIONS, code=REFUSED, **wrong).stderr
        assert said.count("monitors cannot be listed now: ") == 3
        assert said.count("           git push <remote> --delete stage/ridge-snow/v0.") == 3


def test_many_are_cleaned_up_where_the_plan_was_made(
    staging: Staging, repository: Repository, live: Namespace, both: list[StagedVersion], tmp_path: Path
) -> None:
    """Whatever the kubeconfig says by then."""
    config = tmp_path / "kubeconfig"
    config.write_text(live.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    environment = {name: v for name, v in staging.environment.items() if not name.startswith("STAGING_")}
    kubectl = ("kubectl", "config", "--kubeconfig", str(config))
    subprocess.run([*kubectl, "set-context", "--current", "--namespace", live.name], env=environment, check=True)
    terminal = Terminal([PROGRAM, *ALL_VERSIONS], repository.path, {**environment, "KUBECONFIG": str(config)})
    try:
        terminal.wait_for("Delete all of this? [y/N]: ")
        subprocess.run([*kubectl, "set-context", "other", "--namespace", "other"], env=environment, check=True)
        subprocess.run([*kubectl, "use-context", "other"], env=environment, check=True)
        done = terminal.answer("y")
    finally:
        terminal.close()
    assert done.code == DONE, done.stderr
    assert finished(live)
    assert [repository.remote_head(version.branch) for version in both] == [None, None]


def test_of_many_a_branch_that_is_there_again_is_no_failure(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, both: list[StagedVersion]
) -> None:
    gone, again = both
    repository.delete_remote_branch(gone.branch)
    command = (*ALL_VERSIONS, "--branch-deleted", "--yes")
    done = staging.run(repository.path, *command, code=DONE, **sentry.environment)
    said = done.stderr.splitlines()
    assert f"{gone.branch}: done" in said
    line = f"{again.branch}: exit code {SUPERSEDED}: branch {again.branch} is there again, at "
    assert any(found.startswith(line) for found in said)
    assert live.names("cronjobs") == sorted(names(again))
    assert repository.remote_head(again.branch)


@pytest.mark.parametrize("command", [CLEANUP, ALL_VERSIONS])
def test_the_event_of_a_deletion_touches_nothing_without_a_checkout(
    staging: Staging,
    repository: Repository,
    live: Namespace,
    sentry: Sentry,
    both: list[StagedVersion],
    nowhere: Path,
    command: tuple[str, ...],
) -> None:
    """Nobody can tell there whether the branch was pushed again."""
    with untouched(live, repository, sentry):
        done = staging(nowhere, *command, "--branch-deleted", "--yes", **sentry.environment)
    assert done.code == USAGE, done.stderr
    assert "--branch-deleted asks the remote for the branch, so it needs a checkout" in done.stderr


def test_an_interrupted_question_touches_nothing(
    asked: Terminal, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    with untouched(live, repository, sentry):
        done = asked.interrupt()
    assert done.code == 128 + signal.SIGINT
