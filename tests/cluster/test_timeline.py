"""`staging timeline` on a real namespace, and `stagger`: which jobs fire at the same minute, and how not to."""

import json
from datetime import datetime, timedelta

import pytest

from live import IMAGE, LABEL, Done, Namespace, Production, Staging, cron_jobs_of
from repositories import Repository
from staging_cronjobs.model.schedules import fires
from staging_cronjobs.model.staged_version import StagedVersion

DATASET = "ridge-snow"
VERSIONS = ("0.2.0", "0.10.0")
LABELLED = f"{LABEL}release"
REFUSED, USAGE = 3, 2

one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


@one_major
def test_production_and_every_staged_version_in_one_listing(
    staging: Staging, repository: Repository, live: Namespace, production: Production
) -> None:
    catalogue = staging.catalogue(repository.path)
    production(cron_jobs_of(catalogue))
    for version in VERSIONS:
        repository.stage(DATASET, version)
        args = ("--docker-image", IMAGE, *(["--paused"] if version == VERSIONS[1] else []))
        staging.run(repository.path, "deploy", "--dataset-id", DATASET, "--version", version, *args)
    live.kubectl("create", "cronjob", "copy", "--image=i", "--schedule=15 * * * *")
    live.kubectl("label", "cronjob", "copy", "staging-cronjobs/release=staging-ridge-snow-v0-2-0")

    command = ("timeline", "--dataset-id", DATASET, "--verbose")
    done = staging.run(repository.path, *command, "-o", "json")
    assert len([line for line in done.stderr.splitlines() if line.startswith("+ ") and " get --raw " in line]) == 1
    found = done.json
    start, end = (datetime.fromisoformat(found[at]) for at in ("from", "to"))
    assert end - start == timedelta(hours=24)
    assert [(job["kind"], job["version"], job["key"], job["paused"]) for job in found["jobs"]] == [
        ("production", "", "update", False),
        ("production", "", "validate", False),
        ("staged", VERSIONS[0], "update", False),
        ("staged", VERSIONS[0], "validate", False),
        ("staged", VERSIONS[1], "update", True),
        ("staged", VERSIONS[1], "validate", True),
    ]
    for job in found["jobs"]:
        spec = live.get("cronjobs", job["name"])["spec"]
        assert (job["schedule"], job["suspend"]) == (spec["schedule"], spec["suspend"])
        assert [datetime.fromisoformat(at) for at in job["fires"]] == fires(spec["schedule"], None, start, 4)
        assert job["shared"] == ([] if job["paused"] else job["fires"])

    text = staging.run(repository.path, "timeline", "--dataset-id", DATASET).stdout
    assert max(map(len, text.splitlines())) <= 100
    for words in ("v0.10.0     update    ", "  paused", "4 jobs fire at the same minute as another one."):
        assert words in text
    names = live.names("cronjobs")
    everything = staging.run(repository.path, "timeline", "-o", "json").json["jobs"]
    assert sorted(job["name"] for job in everything) == names
    assert [job["name"] for job in everything if job["kind"] == "unproven"] == ["copy"]


@one_major
def test_a_release_keeps_for_its_life_the_minutes_that_it_was_made_with(
    staging: Staging, repository: Repository, live: Namespace, production: Production
) -> None:
    production(cron_jobs_of(staging.catalogue(repository.path)))
    staged = StagedVersion(DATASET, VERSIONS[0])
    release, minutes = staged.release, staged.offset(5)
    repository.stage(DATASET, VERSIONS[0])

    def deploy(*args: str, stagger: str = "") -> Done:
        command = ("deploy", "--branch", staged.branch, "--docker-image", IMAGE, *args)
        return staging.run(repository.path, *command, STAGING_STAGGER=stagger)

    def schedules() -> dict[str, str]:
        return {name: live.get("cronjobs", name)["spec"]["schedule"] for name in live.names("cronjobs", LABELLED)}

    own = {f"{release}-update": "15 */6 * * *", f"{release}-validate": "45 */6 * * *"}
    moved = {name: schedule.replace("5 ", f"{5 + minutes} ", 1) for name, schedule in own.items()}
    dry = deploy("--dry-run", "-o", "json", stagger="5m").json
    assert dry["changes"]["production"]["update"] == [f"schedule 15 */6 * * * → {moved[f'{release}-update']}"]
    assert schedules() == {}

    first = deploy(stagger="5m")
    assert f"Staggered: its schedules are {minutes} min later than in the dataset's code." in first.stdout
    assert f" {moved[f'{release}-update']} " in first.stdout
    assert schedules() == moved
    rows = staging.run(repository.path, "timeline", "--dataset-id", DATASET, "-o", "json").json["jobs"]
    assert [row["shared"] for row in rows] == [[]] * 4
    fires = [[datetime.fromisoformat(at).minute for at in row["fires"]] for row in rows]
    assert [{at % 60 for at in minute} for minute in fires] == [{15}, {45}, {15 + minutes}, {45 + minutes}]

    for again in ("", "9m"):  # whatever the setting says now
        done = deploy("-o", "json", stagger=again).json
        assert done["changes"]["changed"] == {} and done["record"]["stagger"] == minutes
        assert schedules() == moved
    staging.run(repository.path, "pause", release)
    staging.run(repository.path, "resume", release)
    assert schedules() == moved

    staging.run(repository.path, "cleanup", release, "--keep-branch", "--yes")
    deploy()
    assert schedules() == own
    done = deploy(stagger="5m")  # made without
    assert schedules() == own and "Staggered" not in done.stdout
    assert f"notice: release {release} was made without stagger, and keeps its schedules." in done.stderr


@one_major
def test_what_cannot_be_moved_is_left_alone_and_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    staged = StagedVersion(DATASET, VERSIONS[0])
    repository.stage(DATASET, VERSIONS[0])
    entry = next(d for d in staging.catalogue(repository.path) if d["dataset_id"] == DATASET)
    update, validate = entry["cronjobs"]
    update["spec"]["schedule"], validate["spec"]["schedule"] = "55 * * * *", "59 * * * *"
    for job in (update, validate):
        job["spec"]["suspend"] = True  # none is due within the test
    command = ("deploy", "--branch", staged.branch, "--docker-image", IMAGE, "--datasets", "-")
    given = json.dumps([entry])
    done = staging.run(repository.path, *command, given=given, STAGING_STAGGER="1m")
    assert "notice: validate is not staggered, its schedule stays 59 * * * *: 1 min later would be in" in done.stderr
    assert live.get("cronjobs", staged.job_name("update"))["spec"]["schedule"] == "56 * * * *"
    assert live.get("cronjobs", staged.job_name("validate"))["spec"]["schedule"] == "59 * * * *"
    refused = staging.run(repository.path, *command, given=given, code=USAGE, STAGING_STAGGER="10m")
    assert refused.stderr.splitlines()[-1].startswith("error: stagger is '10m'. It must be whole minutes, 1m to 9m")
    rendered = staging.run(repository.path, "render", *command[1:], given=given, STAGING_STAGGER="1m").stdout
    assert 'schedule: "56 * * * *"' in rendered and "stagger: 1\n" in rendered


@one_major
def test_bad_input(staging: Staging, repository: Repository, live: Namespace) -> None:
    live.kubectl("create", "cronjob", f"{DATASET}-update", "--image=i", "--schedule=15 * * * *")

    def error(*args: str, code: int) -> str:
        return staging.run(repository.path, "timeline", *args, code=code).stderr.splitlines()[-1]

    assert "dataset id 'Ridge' is not usable" in error("--dataset-id", "Ridge", code=USAGE)
    assert f"no CronJob of dataset ridge-ice is in context {live.cluster.context}" in error(
        "--dataset-id", "ridge-ice", code=REFUSED
    )
    assert "namespace 'A B' is not usable" in error("--namespace", "A B", code=USAGE)
    assert staging.run(repository.path, "timeline").stdout.count(f"{DATASET}-update") == 1
