"""The limits of names, by the word of the API server, the Job controller and Helm themselves."""

import json
import time
from pathlib import Path

import pytest

from catalogues import FILE, cron_job, dataset, make_catalogue_repository, stage, write_catalogue
from live import IMAGE, LABEL, Namespace, Staging, wait_until
from repositories import Repository
from staged import Sentry
from staging_cronjobs.model.staged_version import JOB_LIMIT, StagedVersion, job_limit

LONG_ID = "a" * 63
INDEX = "batch.kubernetes.io/job-completion-index"
CHART = {
    "Chart.yaml": "{apiVersion: v2, name: nothing, version: 0.0.1}",
    "templates/nothing.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: nothing}}",
}
CRON_JOB_LIMIT = 52
WORKERS = (1, 10, 11, 38, 100, 101, 1000, 1001)


@pytest.mark.any_cluster
def test_a_cron_jobs_name_has_52_characters_at_most(live: Namespace) -> None:
    assert live.create(cron_job("a" * CRON_JOB_LIMIT)).accepted
    refused = live.create(cron_job("a" * (CRON_JOB_LIMIT + 1)))
    assert refused.code == 422
    assert "must be no more than 52 characters" in refused.message
    assert live.names("cronjobs") == ["a" * CRON_JOB_LIMIT]


@pytest.mark.any_cluster
def test_a_release_has_53_characters_at_most(staging: Staging, live: Namespace, tmp_path: Path) -> None:
    for path, text in CHART.items():
        file = tmp_path / "chart" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    longest = StagedVersion(LONG_ID, "0.3.0").release
    assert len(longest) == 53
    assert staging.tool("helm", "install", longest, str(tmp_path / "chart")).code == 0
    assert live.names("secrets", f"owner=helm,name={longest}") == [f"sh.helm.release.v1.{longest}.v1"]
    refused = staging.tool("helm", "install", f"{longest}a", str(tmp_path / "chart"))
    assert refused.code == 1
    assert "53" in refused.stderr


@pytest.mark.any_cluster
@pytest.mark.parametrize("workers", WORKERS)
def test_the_indexed_rule_is_the_api_servers_own(live: Namespace, workers: int) -> None:
    """A CronJob may be called what it likes: only the Job that it fires is refused, every time."""
    verdicts: dict[int, bool] = {}
    for length in range(45, CRON_JOB_LIMIT + 1):
        job = cron_job("a" * length, workers)["spec"]["jobTemplate"]
        name = f"{'a' * length}-{int(time.time()) // 60}"  # as the CronJob controller calls it
        verdict = live.create(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, **job}, dry_run=True
        )
        assert verdict.accepted or (verdict.code == 422 and "invalid DNS label" in verdict.message), verdict.message
        verdicts[length] = verdict.accepted
    longest = max(length for length, accepted in verdicts.items() if accepted)
    assert verdicts == {length: length <= longest for length in verdicts}
    assert job_limit(workers) == min(longest, JOB_LIMIT)
    if longest < CRON_JOB_LIMIT:
        one_more = "a" * (longest + 1)
        assert live.create(cron_job(one_more, workers)).accepted
        live.fire(one_more)
        wait_until(lambda: any(reason == "FailedCreate" for reason, _ in live.events(one_more)))
        assert "invalid DNS label" in dict(live.events(one_more))["FailedCreate"]
        assert live.jobs_of(one_more) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_every_pod_of_a_job_with_the_longest_name_is_made(live: Namespace, workers: int) -> None:
    name = StagedVersion(LONG_ID, "0.3.0").job_name("validate", workers)
    assert len(name) == job_limit(workers)
    # A thousand pods need not run for this: no scheduler takes them.
    pod = {"schedulerName": "none"} if workers > 101 else {}
    assert live.create(cron_job(name, workers, **pod)).accepted
    live.fire(name)
    wait_until(lambda: live.jobs_of(name), what="the Job")
    [job] = [found["metadata"]["name"] for found in live.jobs_of(name)]
    assert len(job) == len(name) + len("-12345678")
    selector = f"batch.kubernetes.io/job-name={job}"
    reached = "active" if pod else "succeeded"
    wait_until(lambda: live.get("jobs", job)["status"].get(reached) == workers, 120, f"{workers} pods {reached}")
    hosts = {int(p["metadata"]["annotations"][INDEX]): p["spec"]["hostname"] for p in live.all("pods", selector)}
    assert hosts == {index: f"{job}-{index}" for index in range(workers)}
    assert len(hosts[workers - 1]) <= 63
    assert "FailedCreate" not in {reason for reason, _ in (*live.events(name), *live.events(job))}


def cut(name: str) -> str:
    """The dataset id as it stands in a name of version 0.3.0."""
    return name.removeprefix("staging-").partition("-v0-3-0")[0]


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_versions_whose_names_nearly_meet_never_share_an_object(
    staging: Staging, live: Namespace, tmp_path: Path
) -> None:
    """Long twins, an id that ends in a version, and ids that are what another one is cut to."""
    twins = [StagedVersion(f"{'a' * 61}-{last}", "0.3.0") for last in "bc"]
    borders = [StagedVersion("ridge", "1.0.1"), StagedVersion("ridge-v1", "0.1"), StagedVersion("ridge-v1-v0", "1")]
    mimics = [StagedVersion(cut(name), "0.3.0") for name in (twins[0].release, twins[0].job_name("update"))]
    versions = [*twins, *borders, *mimics]
    jobs = {v: {key: v.job_name(key) for key in ("update", "validate")} for v in versions}
    entries = {
        v: dataset(v.dataset_id, v.version, *(cron_job(f"{v.dataset_id}-{key}") for key in jobs[v])) for v in versions
    }
    old = [{**entry, "version": "0.0.1", "cronjobs": []} for entry in entries.values()]
    repository = make_catalogue_repository(tmp_path, old)
    owners: dict[str, StagedVersion] = {}
    releases: set[str] = set()
    for version, entry in entries.items():
        folder = stage(repository, entry, tmp_path / "clones")
        free = version.release not in releases and owners.keys().isdisjoint(jobs[version].values())
        command = ("deploy", "--branch", version.branch, "--datasets", FILE, "--docker-image", IMAGE)
        done = staging.run(folder, *command, code=0 if free else 3)
        assert free or "belongs to" in done.stderr
        if free:
            releases.add(version.release)
            owners |= dict.fromkeys(jobs[version].values(), version)
    assert {*twins, *borders} <= set(owners.values())
    found = {
        c["metadata"]["name"]: (
            c["metadata"]["labels"][f"{LABEL}dataset-id"],
            c["metadata"]["labels"][f"{LABEL}dataset-version"],
            c["metadata"]["labels"][f"{LABEL}release"],
            c["metadata"]["annotations"]["meta.helm.sh/release-name"],
            c["metadata"]["generation"],
        )
        for c in live.all("cronjobs")
    }
    assert found == {n: (v.dataset_id, v.version, v.release, v.release, 1) for n, v in owners.items()}
    listed = json.loads(staging.helm("list", "--max", "0", "-o", "json"))
    assert {row["name"]: row["revision"] for row in listed} == dict.fromkeys(releases, "1")


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.parametrize(("before", "after"), [(1, 1001), (1001, 1)])
def test_a_job_that_its_number_of_workers_renames_leaves_no_monitor(
    staging: Staging, live: Namespace, sentry: Sentry, tmp_path: Path, before: int, after: int
) -> None:
    version = StagedVersion(LONG_ID, "0.3.0")
    old, new = (version.job_name("validate", workers) for workers in (before, after))
    assert old != new
    entry = dataset(LONG_ID, "0.3.0", cron_job(f"{LONG_ID}-validate", before))
    repository = make_catalogue_repository(tmp_path, [{**entry, "version": "0.0.1", "cronjobs": []}])
    clone = Repository(stage(repository, entry, tmp_path / "clones"), repository.remote)
    deploy = ("deploy", "--branch", version.branch, "--datasets", FILE, "--docker-image", IMAGE)
    staging.run(clone.path, *deploy)
    assert live.names("cronjobs") == [old]
    clone.git("config", "user.name", "Datasets")
    clone.git("config", "user.email", "datasets@example.org")
    write_catalogue(clone, [dataset(LONG_ID, "0.3.0", cron_job(f"{LONG_ID}-validate", after))])
    clone.commit("Change the number of workers")
    clone.push(version.branch)
    staging.run(clone.path, *deploy)
    assert live.names("cronjobs") == [new]
    live.delete("secrets", f"sh.helm.release.v1.{version.release}.v1")  # as Helm does after some more revisions
    sentry.check_in(old, new, "another")
    done = staging.run(clone.path, "cleanup", "--branch", version.branch, "--yes", code=0, **sentry.environment)
    for name in (old, new):
        assert f"  monitor  {name}: deleted" in done.stderr
    assert sentry.slugs() == ["another"]
    assert live.leftovers() == []
