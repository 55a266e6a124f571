"""Every dataset of a whole catalogue staged at once beside production, run, and cleaned up again.

The catalogue is the file that STAGING_CATALOGUE names; without it, that of the example datasets.
"""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from catalogues import FILE, as_staged, bumped, comparable, make_catalogue_repository, stage
from live import IMAGE, LABEL, Namespace, Production, Staging, cron_jobs_of
from repositories import WEATHER, Repository
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import key_of

GIVEN = os.environ.get("STAGING_CATALOGUE", "")
PREFIXES = {"meadow-temperature-analysis-hourly": "mta"}  # of the example datasets, as their pyproject.toml sets
AT_ONCE = 2


@dataclass(frozen=True)
class Catalogue:
    """The datasets as main has them, and the settings that belong to them."""

    datasets: list[dict[str, Any]]
    pyproject: str

    @property
    def staged(self) -> dict[str, dict[str, Any]]:
        """Whatever can be staged, at its next version, by id."""
        return {d["dataset_id"]: bumped(d) for d in self.datasets if d.get("version") and d["cronjobs"]}


@dataclass(frozen=True)
class Run:
    """One staged version: its clone, and for each of its jobs the production job that it is made of."""

    version: StagedVersion
    folder: Path
    jobs: dict[str, str]  # name -> production name

    @property
    def target(self) -> tuple[str, str]:
        return "--branch", self.version.branch


@pytest.fixture(params=[Path(GIVEN).name if GIVEN else "example datasets"])
def catalogue(staging: Staging, repository: Repository) -> Catalogue:
    if GIVEN:
        return Catalogue(json.loads(Path(GIVEN).read_text()), pyproject="")
    datasets = staging.catalogue(repository.path)
    for dataset in datasets:
        if path := dataset.get("template_path"):
            dataset["template_path"] = (
                str(Path(path).relative_to(repository.path)) if Path(path).is_absolute() else path
            )
    return Catalogue(datasets, (WEATHER / "pyproject.toml").read_text())


def all_at_once(run: Callable[[Run], object], runs: Iterable[Run]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, runs))


def test_a_whole_catalogue_is_staged_at_once_and_cleaned_up(
    staging: Staging, catalogue: Catalogue, production: Production, live: Namespace, tmp_path: Path
) -> None:
    in_production = production(cron_jobs_of(catalogue.datasets))
    repository = make_catalogue_repository(tmp_path, catalogue.datasets, catalogue.pyproject)
    runs = []
    for dataset_id, entry in catalogue.staged.items():
        version = StagedVersion(dataset_id, entry["version"])
        jobs = {staged_name(version, job): job["metadata"]["name"] for job in entry["cronjobs"]}
        runs.append(Run(version, stage(repository, entry, tmp_path / "clones"), jobs))
    assert len({name for run in runs for name in run.jobs}) == sum(len(run.jobs) for run in runs) > 0

    refused_without_a_version(staging, catalogue, runs[0].folder, live)
    all_at_once(lambda run: deploy(staging, run), runs)
    releases_are_deployed(staging, runs)
    listed_by_staging(staging, runs, live)
    made_of_production(live, runs, in_production)
    largest_runs(live, runs)

    all_at_once(lambda run: staging.run(run.folder, "cleanup", *run.target, "--yes"), runs)
    assert live.leftovers() == []
    assert live.names("cronjobs") == sorted(in_production)
    assert repository.git("ls-remote", "--heads", "origin").split()[1::2] == ["refs/heads/main"]
    assert staging.run(repository.path, "list", "-o", "json").json == []


def staged_name(version: StagedVersion, job: dict[str, Any]) -> str:
    spec = job["spec"]["jobTemplate"]["spec"]
    key = key_of(job["metadata"]["name"], version.dataset_id, PREFIXES.get(version.dataset_id, ""))
    return version.job_name(key, spec.get("completions", 1))


def refused_without_a_version(staging: Staging, catalogue: Catalogue, folder: Path, live: Namespace) -> None:
    """Archivers stand in the catalogue and have jobs, but no version."""
    archivers = [d["dataset_id"] for d in catalogue.datasets if not d.get("version")]
    assert archivers
    for dataset_id in archivers:
        target = ("--dataset-id", dataset_id, "--version", "0.1.0")
        done = staging.run(folder, "deploy", *target, "--datasets", FILE, "--docker-image", IMAGE, code=3)
        assert f"dataset {dataset_id} has no version" in done.stderr
    assert live.leftovers() == []


def deploy(staging: Staging, run: Run) -> None:
    common = ("--datasets", FILE, "--docker-image", IMAGE, "-o", "json")
    done = staging.run(run.folder, "deploy", *run.target, *common).json
    assert done["release"] == run.version.release
    assert {job["name"] for job in done["jobs"]} == set(run.jobs)
    assert done["installed"]


def releases_are_deployed(staging: Staging, runs: list[Run]) -> None:
    rows = json.loads(staging.helm("list", "--max", "0", "-o", "json"))
    assert {(row["name"], row["status"], row["revision"]) for row in rows} == {
        (run.version.release, "deployed", "1") for run in runs
    }


def listed_by_staging(staging: Staging, runs: list[Run], live: Namespace) -> None:
    rows = {row["release"]: row for row in staging.run(runs[0].folder, "list", "-o", "json").json}
    assert rows.keys() == {run.version.release for run in runs}
    schedules = {c["metadata"]["name"]: c["spec"] for c in live.all("cronjobs")}
    for run in runs:
        row = rows[run.version.release]
        identity = (row["repository"], row["dataset_id"], row["version"], row["namespace"])
        assert identity == ("dynamical-demo/datasets", run.version.dataset_id, run.version.version, live.name)
        assert (row["status"], row["paused"], row["revision"]) == ("deployed", False, 1)
        assert {(job["name"], job["schedule"], job["suspend"]) for job in row["jobs"]} == {
            (name, schedules[source]["schedule"], schedules[source]["suspend"]) for name, source in run.jobs.items()
        }
        assert all(job["name"].endswith(f"-{job['key']}") for job in row["jobs"])


def made_of_production(live: Namespace, runs: list[Run], in_production: dict[str, dict[str, Any]]) -> None:
    """Every CronJob is there, and is what production has but for its name and our marks."""
    staged = {c["metadata"]["name"]: c for c in live.all("cronjobs", f"{LABEL}release")}
    assert staged.keys() == {name for run in runs for name in run.jobs}
    for run in runs:
        for name, source in run.jobs.items():
            labels = staged[name]["metadata"]["labels"]
            identity = {label.removeprefix(LABEL): v for label, v in labels.items() if label.startswith(LABEL)}
            assert identity == {
                "dataset-id": run.version.dataset_id,
                "dataset-version": run.version.version,
                "release": run.version.release,
            }
            expected = as_staged(in_production[source], staged[name])
            assert comparable(staged[name], in_production[source]) == expected


def largest_runs(live: Namespace, runs: list[Run]) -> None:
    """The job with the most Indexed workers, fired by hand as docs and the chart's notes tell."""
    sizes = {
        c["metadata"]["name"]: c["spec"]["jobTemplate"]["spec"].get("completions", 1) for c in live.all("cronjobs")
    }
    largest = max((name for run in runs for name in run.jobs), key=lambda name: sizes[name])
    assert sizes[largest] > 1
    job = f"{largest}-123456"
    live.run_job(largest, job)
    live.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=60s")
    assert live.get("jobs", job)["status"]["succeeded"] == sizes[largest]
    pods = live.all("pods", f"batch.kubernetes.io/job-name={job}")
    assert len(pods) == sizes[largest]
    assert {pod["status"]["phase"] for pod in pods} == {"Succeeded"}
    assert {
        env["value"] for pod in pods for env in pod["spec"]["containers"][0]["env"] if env["name"] == "CRON_JOB_NAME"
    } == {largest}
