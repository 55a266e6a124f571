"""The example datasets and the repository made of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repositories import LEGACY, NEW_DATASET, VERSIONS, Repository, make_repository, stage_branch

SHOW = """
import json, sys
from pathlib import Path
sys.path.insert(0, "src")
from weather.datasets import DATASETS

def show(dataset):
    try:
        jobs = dataset.operational_kubernetes_resources("example.registry/weather:1")
    except NotImplementedError:
        jobs = []
    jobs = [job if isinstance(job, dict) else job.as_kubernetes_object() for job in jobs]
    shown = {"cronjobs": jobs}
    if hasattr(dataset, "template_config"):
        path = dataset.template_config.template_path()
        assert path.is_absolute()
        shown["version"] = dataset.template_config.version
        shown["template"] = json.loads((path / "zarr.json").read_text())["attributes"]
        shown["stores"] = [dataset.store_factory.primary_url(), *dataset.store_factory.replica_urls()]
    return shown

Path(sys.argv[1]).write_text(json.dumps({dataset.dataset_id: show(dataset) for dataset in DATASETS}))
"""

JOBS = {
    "harbor-wind-forecast": ["update", "validate"],
    "fjord-basin-ens-forecast-12-day-0-25-degree": ["update", "validate"],
    "ridge-snow": ["update", "validate"],
    "ridge-snow-forecast": ["update", "validate"],
    "lidar-canopy-height-v9": ["update", "validate"],
    "glacier-ice-forecast-5-day": ["archive-grib-files", "update", "validate"],
    "estuary-salinity-analysis": ["archive-buoy-reports", "update", "validate"],
    "meadow-temperature-analysis-hourly": ["update", "validate"],
    "tide-level-analysis": ["update", "validate"],
    "orchard-frost-climatology": [],
    "drifter-buoy-reports": ["archive-reports"],
}


def python(repository: Repository, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", *args],
        cwd=repository.path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def datasets(repository: Repository) -> dict[str, Any]:
    shown = repository.path.parent / "shown.json"
    python(repository, "-c", SHOW, str(shown))
    return json.loads(shown.read_text())


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return datasets(make_repository(tmp_path_factory.mktemp("repository")))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path)


def test_every_dataset_has_its_cron_jobs(main: dict[str, Any]) -> None:
    names = {id: [job["metadata"]["name"] for job in shown["cronjobs"]] for id, shown in main.items()}
    prefixes = {"meadow-temperature-analysis-hourly": "mta"}
    assert names == {id: [f"{prefixes.get(id, id)}-{key}" for key in keys] for id, keys in JOBS.items()}


def test_production_names_are_ones_that_kubernetes_runs(main: dict[str, Any]) -> None:
    for job in (job for shown in main.values() for job in shown["cronjobs"]):
        name = job["metadata"]["name"]
        assert len(name) <= 52
        completions = job["spec"]["jobTemplate"]["spec"].get("completions", 1)
        assert len(f"{name}-29000000-{completions - 1}") <= 63


def test_versions_templates_and_stores_agree(main: dict[str, Any]) -> None:
    versioned = {id: shown for id, shown in main.items() if "version" in shown}
    assert main.keys() - versioned.keys() == {"drifter-buoy-reports"}
    for id, shown in versioned.items():
        assert shown["template"]["dataset_id"] == id
        assert shown["template"]["dataset_version"] == shown["version"]
        assert all(f"/{id}/v{shown['version']}." in store for store in shown["stores"])
    assert len(main["harbor-wind-forecast"]["stores"]) == 2
    assert len(main["ridge-snow"]["stores"]) == 1


def test_an_ordinary_job_names_itself_in_the_middle_of_its_environment(main: dict[str, Any]) -> None:
    update = main["harbor-wind-forecast"]["cronjobs"][0]["spec"]["jobTemplate"]["spec"]
    assert (update["completions"], update["completionMode"]) == (38, "Indexed")
    pod = update["template"]["spec"]
    env = [entry["name"] for entry in pod["containers"][0]["env"]]
    assert 0 < env.index("CRON_JOB_NAME") < env.index("LOG_PREFIX")
    assert {"weather-data-key", "weather-mirror-key"} < {volume["name"] for volume in pod["volumes"]}


def test_suspended_jobs_and_plain_mappings(main: dict[str, Any]) -> None:
    assert [job["spec"]["suspend"] for job in main["estuary-salinity-analysis"]["cronjobs"]] == [False, True, True]
    for job in main["meadow-temperature-analysis-hourly"]["cronjobs"]:
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert (len(pod["initContainers"]), len(pod["containers"])) == (1, 2)
        assert "CRON_JOB_NAME" not in json.dumps(job)
        assert "timeZone" in job["spec"]


def test_import_is_noisy_and_the_commands_work(repository: Repository) -> None:
    done = python(repository, "-m", "weather", "list-datasets", PYTHONPATH="src")
    first, *ids, last = done.stdout.splitlines()
    assert (first, last) == ("weather: hello on stdout", "weather: goodbye")
    assert ids == list(JOBS)
    assert "hello on stderr" in done.stderr


def test_main_and_its_remote(repository: Repository) -> None:
    assert repository.remote.parts[-2:] == ("dynamical-demo", "weather.git")
    assert repository.git("remote", "get-url", "origin") == str(repository.remote)
    assert repository.remote_head("main") == repository.git("rev-parse", "main")
    assert repository.git("status", "--porcelain") == ""
    assert len(repository.git("rev-list", "main").split()) == 2


def test_bump_changes_code_and_template(repository: Repository) -> None:
    repository.bump("harbor-wind-forecast", "0.3.0")
    harbor = datasets(repository)["harbor-wind-forecast"]
    assert harbor["version"] == harbor["template"]["dataset_version"] == "0.3.0"
    assert len(repository.git("status", "--porcelain").splitlines()) == 2
    repository.bump("harbor-wind-forecast", "0.2.0")
    assert repository.git("status", "--porcelain") == ""


def test_bump_of_what_has_no_version(repository: Repository) -> None:
    with pytest.raises(LookupError, match="drifter-buoy-reports"):
        repository.bump("drifter-buoy-reports", "0.1.0")


def test_stage_and_delete(repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    branch = stage_branch("ridge-snow", "0.2.0")
    assert repository.git("branch", "--show-current") == branch
    assert repository.remote_head(branch) == commit != repository.remote_head("main")
    assert repository.git("rev-parse", f"{branch}~1") == repository.git("rev-parse", "main")
    repository.write("notes/reason.txt", "a second push\n")
    second = repository.commit()
    repository.push(branch)
    assert repository.remote_head(branch) == second
    repository.delete_remote_branch(branch)
    assert repository.remote_head(branch) is None
    repository.checkout("main")
    assert not (repository.path / "notes").exists()


def test_a_dataset_that_main_does_not_have(repository: Repository) -> None:
    repository.stage(NEW_DATASET, "0.1.0")
    added = datasets(repository)[NEW_DATASET]
    assert added["version"] == added["template"]["dataset_version"] == "0.1.0"
    assert added["template"]["dataset_id"] == NEW_DATASET
    assert len(added["cronjobs"]) == 2
    assert NEW_DATASET not in repository.git("ls-tree", "-r", "--name-only", "main")
    assert NEW_DATASET not in repository.git("show", f"main:{VERSIONS}")


def test_a_version_behind_main(repository: Repository) -> None:
    dataset_id, version = LEGACY
    commit = repository.legacy(dataset_id, version)
    assert repository.remote_head(stage_branch(dataset_id, version)) == commit
    template = f"{repository.template_path(dataset_id)}/zarr.json"
    versions = [
        json.loads(repository.git("show", f"{ref}:{template}"))["attributes"]["dataset_version"]
        for ref in ("HEAD", "main")
    ]
    assert versions == [version, "0.3.0"]
    with pytest.raises(LookupError, match="never had"):
        repository.legacy(dataset_id, "0.0.1")
