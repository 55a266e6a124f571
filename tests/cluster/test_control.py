"""Pause, resume and run: what the cluster has is put right, and no second writer is started unseen."""

from pathlib import Path
from typing import Any

import pytest

from live import EXIT_CODE, LABEL, Namespace, Staging, make_job, make_unfinished, wait_until, with_helm
from records import newest
from repositories import Repository
from staged import RUN_SECONDS, install, names
from staging_cronjobs.model.staged_version import StagedVersion

REFUSED, OUTSIDE = 3, 4
RIDGE = StagedVersion("ridge-snow", "0.2.0")
UPDATE, VALIDATE = names(RIDGE)
PAUSE, RESUME = ("pause", "--branch", RIDGE.branch), ("resume", "--branch", RIDGE.branch)
RUN = ("run", "--branch", RIDGE.branch, "--key", "update")
DIFFERED = "CronJobs that differed from the release's record (recorded → found) were replaced:"
FINALIZER = "staging-cronjobs.test/held"

one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


@pytest.fixture
def staged(staging: Staging, repository: Repository) -> StagedVersion:
    """A release whose jobs run for an hour once they run."""
    install(staging, repository, RIDGE, seconds=3600)
    return RIDGE


def patch(live: Namespace, name: str, **fields: Any) -> None:
    """What a person does."""
    live.patch("cronjobs", name, fields)


def written(live: Namespace) -> dict[str, Any]:
    """What the namespace's CronJobs are asked to be."""
    return {c["metadata"]["name"]: (c["metadata"]["labels"], c["spec"]) for c in live.all("cronjobs")}


# Pause and resume


def test_a_job_that_fires_in_a_paused_release_is_suspended_again(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    staging.run(repository.path, *PAUSE)
    paused = written(live)
    patch(live, UPDATE, spec={"suspend": False})
    done = staging.run(repository.path, *PAUSE)
    assert written(live) == paused
    assert "is paused.\n" in done.stdout
    assert f"{DIFFERED}\n  {UPDATE}: suspend true → false\n" in done.stdout
    done = staging.run(repository.path, *PAUSE)
    assert "is paused already.\n" in done.stdout
    assert DIFFERED not in done.stdout
    assert newest(live, RIDGE.release)["metadata"]["labels"]["version"] == "3"


def test_a_job_that_is_suspended_in_a_running_release_is_resumed(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    running = written(live)
    patch(live, VALIDATE, spec={"suspend": True})
    done = staging.run(repository.path, *RESUME)
    assert written(live) == running
    assert "is running.\n" in done.stdout
    assert f"{DIFFERED}\n  {VALIDATE}: suspend false → true\n" in done.stdout


def test_whatever_was_changed_or_deleted_is_put_right_and_named(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    before = written(live)
    container = {"name": "worker", "env": [{"name": "DEBUG", "value": "hunter2"}], "resources": {"limits": {"cpu": 1}}}
    pod = {"template": {"spec": {"containers": [container]}}}
    patch(live, UPDATE, spec={"schedule": "1 1 1 1 1", "jobTemplate": {"spec": {"parallelism": 3, **pod}}})
    live.kubectl("label", "cronjob", UPDATE, f"{LABEL}release-", "theirs=1")  # theirs alone would be no difference
    live.delete("cronjobs", VALIDATE)
    done = staging.run(repository.path, *RESUME)
    assert written(live) == before
    lines = done.stdout.splitlines()
    first, second = lines[lines.index(DIFFERED) + 1 :][:2]
    for words in (
        f"  {UPDATE}: ",
        "parallelism 1 → 3",
        "schedule 0 0 29 2 * → 1 1 1 1 1",
        "containers[worker].env[DEBUG] added",
        "containers[worker].resources.limits added",
        f"labels[{LABEL}release] removed ({RIDGE.release})",
    ):
        assert words in first
    assert "hunter2" not in done.stdout + done.stderr
    assert second == f"  {VALIDATE}: deleted"


@one_major
def test_labels_and_annotations_of_others_are_no_difference(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    live.kubectl("annotate", "cronjob", UPDATE, "theirs=1")
    live.kubectl("label", "cronjob", UPDATE, "theirs=1")
    assert "is running already.\n" in staging.run(repository.path, *RESUME).stdout


@one_major
def test_what_others_put_in_place_of_a_job_is_left_alone(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    ours = live.get("cronjobs", UPDATE)
    live.delete("cronjobs", UPDATE)
    labels = ours["metadata"]["labels"]
    theirs = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": UPDATE, "labels": labels}}
    assert live.create(theirs | {"spec": ours["spec"]}).accepted
    before = live.all("cronjobs")
    for command in (PAUSE, RESUME, RUN):
        done = staging.run(repository.path, *command, code=REFUSED)
        taken = f"CronJob {UPDATE} has the name of a job of release {RIDGE.release} but does not belong to it"
        assert taken in done.stderr
    assert live.all("cronjobs") == before
    assert live.names("jobs") == []


@one_major
def test_a_job_that_is_being_deleted_is_not_called_paused(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    patch(live, UPDATE, metadata={"finalizers": [FINALIZER]})
    live.delete("cronjobs", UPDATE)
    for command in (PAUSE, RESUME, RUN):
        done = staging.run(repository.path, *command, code=REFUSED)
        assert f"CronJob {UPDATE} of release {RIDGE.release} is being deleted" in done.stderr
    patch(live, UPDATE, metadata={"finalizers": None})
    wait_until(lambda: UPDATE not in live.names("cronjobs"), what="its end")
    assert f"  {UPDATE}: deleted" in staging.run(repository.path, *PAUSE).stdout
    assert live.get("cronjobs", UPDATE)["spec"]["suspend"] is True


# Run


@one_major
@pytest.mark.parametrize("how", ["scheduled", "by hand", "just made", "between attempts"])
def test_a_run_beside_a_job_that_has_not_ended_is_refused(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion, how: str
) -> None:
    if how == "by hand":
        live.run_job(UPDATE, name := f"{UPDATE}-by-hand")
    else:
        name = make_unfinished(live, UPDATE, how)
    done = staging.run(repository.path, *RUN, code=REFUSED)
    assert done.stderr == (
        f"error: Job {name} of {UPDATE} runs now, and a second one would write the same stores. "
        "Wait for its end, or pass --anyway.\n"
    )
    assert live.names("jobs") == [name]
    staging.run(repository.path, "run", "--branch", RIDGE.branch, "--key", "validate")  # another job's is none of it
    assert len(live.names("jobs")) == 2
    staging.run(repository.path, *RUN, "--anyway")
    assert len(live.names("jobs")) == 3


@one_major
@pytest.mark.parametrize("code", ["0", "1"])
def test_a_job_that_has_ended_is_in_nobodys_way(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion, code: str
) -> None:
    name = make_job(live, UPDATE, {RUN_SECONDS: "0", EXIT_CODE: code}, backoffLimit=0)
    ended = {"0": "Complete", "1": "Failed"}[code]
    wait_until(lambda: ended in str(live.get("jobs", name).get("status")), what="its end")
    staging.run(repository.path, *RUN)
    assert len(live.names("jobs")) == 2


@one_major
def test_the_next_fire_of_the_schedule_is_named(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    def run() -> str:
        done = staging.run(repository.path, *RUN)
        live.delete("jobs", *live.names("jobs"))  # the next one may start in the same second
        return done.stdout

    assert "The schedule fires next at 2028-02-29 00:00 UTC, whether or not this Job has ended.\n" in run()
    patch(live, UPDATE, spec={"schedule": "0 12 29 2 *", "timeZone": "Asia/Tokyo"})  # what is, and not what is recorded
    assert "at 2028-02-29 03:00 UTC" in run()
    staging.run(repository.path, *PAUSE)
    said = run()
    assert "The CronJob is suspended, so its schedule starts no other Job.\n" in said
    assert "fires next" not in said


@one_major
def test_a_job_that_was_deleted_cannot_run(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion
) -> None:
    live.delete("cronjobs", UPDATE)
    done = staging.run(repository.path, *RUN, code=REFUSED)
    again = f"`staging resume {RIDGE.branch}` makes it again."
    assert f"CronJob {UPDATE} of release {RIDGE.release} was deleted. {again}" in done.stderr


# Others at work


def test_a_pause_does_not_bring_a_release_back_that_was_cleaned_up_meanwhile(
    staging: Staging, repository: Repository, live: Namespace, staged: StagedVersion, tmp_path: Path
) -> None:
    racing = with_helm(staging, tmp_path / "wrapped", before=f"helm uninstall {RIDGE.release} -n {live.name} --wait")
    done = racing(repository.path, *PAUSE)
    assert done.code == OUTSIDE, done.stderr
    assert f"could not deploy {RIDGE.release}, which somebody deleted meanwhile" in done.stderr
    assert live.leftovers() == []
