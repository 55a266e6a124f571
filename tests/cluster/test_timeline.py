"""`staging timeline` on a real namespace: production and staged versions in one listing, and whose each job is."""

from datetime import datetime, timedelta

import pytest

from live import IMAGE, Namespace, Production, Staging, cron_jobs_of
from repositories import Repository
from staging_cronjobs.model.schedules import fires

DATASET = "ridge-snow"
VERSIONS = ("0.2.0", "0.10.0")
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
    assert len([line for line in done.stderr.splitlines() if line.startswith("+ ")]) == 1
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
