"""Every verb of an operator takes any name: what an alert says is enough to pause, run or clean up."""

import os
import shutil
from pathlib import Path

import pytest

from live import Done, Staging, wait_until
from records import forge
from staged import Place, install
from staging_cronjobs.model.staged_version import StagedVersion

SNOW, LATER, DASHED = (
    StagedVersion(*s) for s in (("ridge-snow", "0.2.0"), ("ridge-snow", "0.2.1"), ("lidar-canopy-height-v9", "1"))
)
USAGE, REFUSED = 2, 3


@pytest.fixture(scope="module", autouse=True)
def there(place: Place) -> None:
    for staged in (SNOW, LATER, DASHED):
        install(place.staging, place.repository, staged, seconds=600)


def staging(place: Place, *args: str, code: int = 0) -> Done:
    return place.staging.run(place.repository.path, *args, code=code)


def error(place: Place, *args: str, code: int) -> str:
    done = staging(place, *args, code=code)
    assert done.stdout == ""
    return done.stderr.splitlines()[-1]


def paused(place: Place) -> set[str]:
    return {row["release"] for row in staging(place, "list", "-o", "json").json if row["paused"]}


def pod_of(place: Place, job: str) -> str:
    """The name of a Job's pod, once it is there."""

    def names() -> list[str]:
        return place.live.names("pods", f"batch.kubernetes.io/job-name={job}")

    wait_until(names, what="the pod")
    return names()[0]


def test_pause_and_resume_take_every_name(place: Place) -> None:
    update = SNOW.job_name("update")
    place.live.run_job(update, f"{update}-29926541")
    pod = pod_of(place, f"{update}-29926541")
    for name in (SNOW.branch, SNOW.release, update, f"{update}-29926541", pod, f"pod/{pod}", f"cronjob.batch/{update}"):
        assert f"Release {SNOW.release} " in staging(place, "pause", name).stdout
        assert paused(place) == {SNOW.release}
        staging(place, "resume", name)
        assert paused(place) == set()
    place.live.delete("jobs", f"{update}-29926541")


def test_run_takes_the_key_from_a_jobs_name(place: Place) -> None:
    validate = LATER.job_name("validate")
    said = staging(place, "run", validate).stdout
    (job,) = place.live.jobs_of(validate)
    assert f"Started Job {job['metadata']['name']} " in said
    assert "name the job: give its --key" in error(place, "run", LATER.release, code=USAGE)
    assert "the name is one of job 'validate', and --key is 'update'" in error(
        place, "run", validate, "--key", "update", code=USAGE
    )
    assert "runs now" in error(place, "run", job["metadata"]["name"], code=REFUSED)
    staging(place, "run", LATER.branch, "--key", "update")
    assert len(place.live.jobs_of(LATER.job_name("update"))) == 1


def test_an_unknown_name_gets_the_nearest_and_nothing_is_touched(place: Place) -> None:
    near = f"has the name 'staging-ridge-snow-v0-2-0-updaet'. Did you mean '{SNOW.job_name('update')}' or "
    assert near in error(place, "pause", "staging-ridge-snow-v0-2-0-updaet", code=REFUSED)
    assert "Did you mean 'stage/ridge-snow/v0.2.1'" in error(place, "cleanup", "stage/ridge-snow/v0.2.2", code=REFUSED)
    assert "`staging list` shows what is staged" in error(place, "run", "x" * 60, "--key=update", code=REFUSED)
    assert "is no name of a staged version" in error(place, "pause", "Ridge Snow", code=USAGE)
    assert "Leave out --branch" in error(place, "pause", SNOW.release, "--branch", LATER.branch, code=USAGE)
    assert "name one staged version: any name of it" in error(place, "pause", code=USAGE)
    assert "Leave out --dataset-id" in error(place, "cleanup", SNOW.release, "--dataset-id=ridge-snow", code=USAGE)
    assert paused(place) == set()


def test_cleanup_takes_several_names_of_one_version_or_of_more(place: Place) -> None:
    update = SNOW.job_name("update")
    done = staging(place, "cleanup", update, SNOW.release, code=REFUSED)
    assert done.stderr.startswith("Cleanup of ridge-snow v0.2.0 (")
    done = staging(place, "cleanup", f"{update}-29926541", "--branch", LATER.branch, code=REFUSED)
    assert done.stderr.startswith("Cleanup of 2 staged versions (")
    assert "ridge-snow v0.2.0:\n" in done.stderr and f"  branch   {LATER.branch}" in done.stderr
    staging(place, "cleanup", DASHED.job_name("validate"), "--yes")
    assert DASHED.release not in {row["release"] for row in staging(place, "list", "-o", "json").json}


def test_two_runs_in_one_second_both_work(place: Place, tmp_path: Path) -> None:
    search, update = place.staging.environment["PATH"], SNOW.job_name("update")
    real, done = shutil.which("kubectl", path=search), tmp_path / "done"
    tools = tmp_path / "tools"
    tools.mkdir()
    # Another run makes a Job of the same name just before.
    script = tools / "kubectl"
    first = f'[ "$1" = create ] && [ ! -e {done} ] && touch {done} && {real} "$@" > /dev/null'
    script.write_text(f'#!/bin/sh\n{first}\nexec {real} "$@"\n')
    script.chmod(0o755)
    second = Staging({**place.staging.environment, "PATH": f"{tools}{os.pathsep}{search}"})
    said = second.run(place.repository.path, "run", update).stdout
    one, two = sorted(job["metadata"]["name"] for job in place.live.jobs_of(update))
    assert f"Started Job {two} " in said and one[-6:].isdigit() and two.endswith("a")
    assert "runs now" in error(place, "run", two, code=REFUSED)


def test_a_release_that_cannot_be_read_says_why(place: Place) -> None:
    forge(place.live, LATER.release, lambda content: content["config"]["record"].update(format=9))
    said = error(place, "pause", LATER.job_name("update"), code=REFUSED)
    assert f"is of release {LATER.release}, which cannot be read: release {LATER.release} was made by a newer" in said
