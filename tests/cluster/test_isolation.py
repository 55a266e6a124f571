"""One writer for each store: what a deploy refuses, by name, and with nothing changed."""

import json

import pytest

from catalogues import cron_job
from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Staging
from repositories import Repository, stage_branch
from staged import install
from staging_cronjobs.model.staged_version import StagedVersion

REFUSED = 3
RIDGE = ("ridge-snow", "0.2.0")
GLACIER = ("glacier-ice-forecast-5-day", "0.3.0")
STORE = "s3://weather-data/ridge-snow/v0.2.0.icechunk"
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def deploy(staging: Staging, repository: Repository, staged: tuple[str, str], code: int = 0, **environment: str) -> str:
    args = ("deploy", "--branch", stage_branch(*staged), "--docker-image", IMAGE)
    done = staging.run(repository.path, *args, code=code, **environment)
    return done.stderr if code else done.stdout + done.stderr


def stage_with(repository: Repository, old: str, new: str) -> None:
    """A stage branch whose code writes elsewhere."""
    repository.stage(*RIDGE)
    file = "src/weather/datasets.py"
    text = (repository.path / file).read_text()
    assert old in text
    repository.write(file, text.replace(old, new))
    repository.commit("Write elsewhere")
    repository.push(stage_branch(*RIDGE))


@one_major
def test_a_store_without_the_version_is_refused(staging: Staging, repository: Repository, live: Namespace) -> None:
    stage_with(repository, "/v{self.version}.icechunk", "/latest.icechunk")
    said = deploy(staging, repository, RIDGE, REFUSED)
    assert "the store s3://weather-data/ridge-snow/latest.icechunk of ridge-snow does not have version 0.2.0" in said
    assert 'store-isolation = "none"' in said
    assert live.leftovers() == []
    deploy(staging, repository, RIDGE, STAGING_STORE_ISOLATION="none")


@one_major
def test_each_job_says_where_its_version_writes(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    for job in live.all("cronjobs"):
        assert json.loads(job["metadata"]["annotations"][f"{LABEL}stores"]) == [STORE]
    deploy(staging, repository, RIDGE)  # its own stores are no reason to refuse


@one_major
def test_a_store_of_another_release_is_refused_by_name(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    other = StagedVersion("ridge-snow-forecast", "0.2.0")
    install(staging, repository, other, owner="somebody/else")
    stage_with(
        repository,
        'return f"s3://weather-data/{self.dataset_id}/',
        'return f"s3://weather-data/ridge-snow-forecast/v0.2.0.icechunk/{self.dataset_id}/',
    )
    said = deploy(staging, repository, RIDGE, REFUSED)
    assert f"of release {other.release} writes" in said and "Two writers would damage it" in said
    assert live.names("secrets", "owner=helm") == [f"sh.helm.release.v1.{other.release}.v1"]


@one_major
@pytest.mark.parametrize("stores", ["={{", "-"], ids=["malformed", "missing"])
def test_a_release_that_does_not_say_where_it_writes_is_refused(
    staging: Staging, repository: Repository, live: Namespace, stores: str, hostile: Hostile
) -> None:
    other = StagedVersion("ridge-snow-forecast", "0.2.0")
    made = install(staging, repository, other, ["update"])
    live.kubectl("annotate", "--overwrite", "cronjob", made.jobs["update"].name, f"{LABEL}stores{stores}")
    before = live.names("cronjobs")
    repository.stage(*RIDGE)
    said = deploy(staging, repository, RIDGE, REFUSED)
    assert f"CronJob {made.jobs['update'].name} does not say where it writes" in said
    assert "Deploy its version again, or delete that CronJob." in said
    hostile.tried("dataset objects", said, changed=live.names("cronjobs") != before)


@one_major
def test_a_store_of_another_dataset_that_production_runs_is_refused(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    stage_with(repository, "{self.dataset_id}/v{self.version}.icechunk", "shared/v0.2.0")
    deploy(staging, repository, RIDGE)  # no other dataset runs here
    live.create(cron_job("ridge-snow-forecast-update"))
    said = deploy(staging, repository, RIDGE, REFUSED)
    other = "production's CronJob ridge-snow-forecast-update of dataset ridge-snow-forecast"
    assert f"{other} writes s3://weather-data/shared/v0.2.0 too" in said


@one_major
def test_a_production_job_that_names_the_store_is_refused(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    production = cron_job("ridge-snow-update")
    production["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = ["--to", f"{STORE}/main"]
    assert live.create(production).accepted
    repository.stage(*RIDGE)
    said = deploy(staging, repository, RIDGE, REFUSED)
    assert f"production's CronJob ridge-snow-update writes {STORE} too" in said


@one_major
def test_an_archiver_is_told_of_until_it_is_left_out(staging: Staging, repository: Repository) -> None:
    repository.stage(*GLACIER)
    words = "archive-grib-files may write outside of this version's stores"
    assert words in deploy(staging, repository, GLACIER)
    assert words not in deploy(staging, repository, GLACIER, STAGING_SKIP_JOBS="archive-grib-files")


def production(live: Namespace, *args: str) -> None:
    """Production's job, with these arguments."""
    job = cron_job("ridge-snow-update")
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = [*args]
    assert live.create(job).accepted


@one_major
def test_a_store_is_found_however_production_writes_it_and_one_around_it_proves_nothing(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    stage_with(repository, ".icechunk", ".icechunk/")
    production(live, "--to=S3://weather-data/ridge-snow//v0.2.0.icechunk")
    assert "production's CronJob ridge-snow-update writes" in deploy(staging, repository, RIDGE, REFUSED)
    live.delete("cronjobs", "ridge-snow-update")
    production(live, "--to=s3://weather-data/ridge-snow", "--beside=s3://weather-data/ridge-snow/v0.2.0.icechunk.old")
    deploy(staging, repository, RIDGE)


@one_major
def test_what_goes_on_is_compared_with_all_that_writes(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    ridge = StagedVersion(*RIDGE)
    install(staging, repository, ridge)
    repository.commit("Change")
    install(staging, repository, ridge)
    staging.run(repository.path, "pause", ridge.branch)
    commands = (("resume", ridge.branch), ("run", ridge.job_name("update")), ("rollback", ridge.branch))
    before = live.state("cronjobs", "secrets", "jobs")
    production(live, f"--to={STORE}")
    for command in commands:
        said = staging.run(repository.path, *command, code=REFUSED).stderr
        assert f"production's CronJob ridge-snow-update writes {STORE} too" in said
    live.delete("cronjobs", "ridge-snow-update")
    made = install(
        staging, repository, StagedVersion("ridge-snow-forecast", "0.2.0"), ["update"], owner="somebody/else"
    )
    other = made.jobs["update"].name
    live.kubectl("annotate", "--overwrite", "cronjob", other, f'{LABEL}stores=["{STORE}/main"]')
    for command in commands:
        said = staging.run(repository.path, *command, code=REFUSED).stderr
        assert f"CronJob {other} of release {made.record.staged_version.release} writes {STORE} too" in said
    assert live.state("cronjobs", "secrets", "jobs").items() >= before.items()
    staging.run(repository.path, "pause", ridge.branch)  # which is never in the way
    live.delete("cronjobs", other)
    for command in commands:
        staging.run(repository.path, *command)
