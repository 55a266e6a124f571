"""Catalogues as plain JSON, the repositories that they would come from, and what staging may change in a CronJob."""

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from live import LABEL
from repositories import Repository, stage_branch
from staging_cronjobs.model.values import Record

FILE = "catalogue.json"
OURS_ON_PODS = ("dataset-id", "dataset-version", "release")
OURS_ON_CRON_JOBS = ("app.kubernetes.io/", "helm.sh/", "meta.helm.sh/", LABEL)


def dataset(dataset_id: str, version: str, *cron_jobs: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a catalogue."""
    return {
        "dataset_id": dataset_id,
        "version": version,
        "template_path": f"src/datasets/{dataset_id.replace('-', '_')}/templates/latest.zarr",
        "primary_url": f"s3://datasets/{dataset_id}/v{version}.icechunk",
        "replica_urls": [],
        "cronjobs": [*cron_jobs],
    }


def record(**changes: Any) -> Record:
    """The record of a staged version of ridge-snow, with other facts where some are given."""
    facts: dict[str, Any] = {
        "repository": "dynamical-demo/weather",
        "dataset_id": "ridge-snow",
        "version": "0.2.0",
        "branch": "stage/ridge-snow/v0.2.0",
        "commit": "1234567e8",
        "image": "example.registry/weather:1234567e8",
        "template_path": "src/latest.zarr",
        "stores": ["s3://weather-data/ridge-snow/v0.2.0.icechunk"],
    }
    return Record.model_validate(facts | changes)


def cron_job(name: str, workers: int = 1, **pod: Any) -> dict[str, Any]:
    """A small CronJob of Indexed workers that fires once in four years; `pod` adds to its pods' spec."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "i"}]} | pod}
    job = {"completionMode": "Indexed", "completions": workers, "parallelism": workers, "template": template}
    spec = {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": job}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def bumped(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry at its next version, as its branch has it: template, stores, and nothing else."""
    *rest, last = entry["version"].split(".")
    new = ".".join([*rest, str(int(last) + 1)])

    def moved(url: str) -> str:
        assert f"/v{entry['version']}." in url, f"{url} does not name version {entry['version']}"
        return url.replace(f"/v{entry['version']}.", f"/v{new}.")

    stores = {"primary_url": moved(entry["primary_url"]), "replica_urls": [moved(u) for u in entry["replica_urls"]]}
    return {**entry, "version": new, **stores}


def make_catalogue_repository(
    folder: Path, catalogue: Iterable[Mapping[str, Any]], pyproject: str = "", owner: str = "dynamical-demo"
) -> Repository:
    """A repository whose main holds a catalogue file and the templates of its datasets, and its remote."""
    repository = Repository(path=folder / "main", remote=folder / "remotes" / owner / "datasets.git")
    repository.path.mkdir(parents=True)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("init", "--quiet", "--bare", "--initial-branch=main", str(repository.remote))
    repository.git("config", "user.name", "Datasets")
    repository.git("config", "user.email", "datasets@example.org")
    repository.git("remote", "add", "origin", str(repository.remote))
    repository.write("pyproject.toml", pyproject)
    write_catalogue(repository, catalogue)
    repository.commit("Add datasets")
    repository.push("main")
    return repository


def stage(repository: Repository, entry: Mapping[str, Any], folder: Path) -> Path:
    """Push a stage branch made of main with this entry in its catalogue; gives a fresh clone of it, as CI has."""
    branch = stage_branch(entry["dataset_id"], entry["version"])
    repository.git("checkout", "--quiet", "-B", branch, "main")
    catalogue = json.loads((repository.path / FILE).read_text())
    others = [other for other in catalogue if other["dataset_id"] != entry["dataset_id"]]
    write_catalogue(repository, [*others, entry])
    repository.commit(f"Stage {branch}")
    repository.push(branch)
    clone = folder / branch.replace("/", "-")
    repository.git("clone", "--quiet", "--branch", branch, str(repository.remote), str(clone))
    return clone


def as_staged(production: Mapping[str, Any], staged: Mapping[str, Any]) -> dict[str, Any]:
    """What the API server must hold for `staged`, made of what it holds for the production CronJob.

    Only the name, CRON_JOB_NAME and our labels and annotations differ; `staged` gives the name and the identity.
    """
    expected = _comparable(production)
    name = staged["metadata"]["name"]
    expected["metadata"]["name"] = name
    job = expected["spec"]["jobTemplate"]
    pod = job["spec"]["template"]
    for template in (job, pod):
        labels = {f"{LABEL}{label}": staged["metadata"]["labels"][f"{LABEL}{label}"] for label in OURS_ON_PODS}
        metadata = template.setdefault("metadata", {})
        metadata["labels"] = metadata.get("labels", {}) | labels
    for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
        env = container.setdefault("env", [])
        own = [entry for entry in env if entry["name"] == "CRON_JOB_NAME"]
        if not own:
            env.append({"name": "CRON_JOB_NAME", "value": name})
        for entry in own:
            entry["value"] = name
    return expected


def comparable(staged: Mapping[str, Any], production: Mapping[str, Any]) -> dict[str, Any]:
    """A staged CronJob from the API server, to compare with `as_staged`: without our marks on the CronJob itself."""
    found = _comparable(staged)
    for marks in ("labels", "annotations"):
        own = production["metadata"].get(marks, {})
        found["metadata"][marks] = {
            k: v for k, v in found["metadata"][marks].items() if k in own or not k.startswith(OURS_ON_CRON_JOBS)
        }
    return found


def _comparable(cron_job: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the API server notes by itself."""
    found = copy.deepcopy(dict(cron_job))
    for noted in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        found["metadata"].pop(noted, None)  # a dry run has no resourceVersion
    found.pop("status", None)
    for marks in ("labels", "annotations"):
        found["metadata"].setdefault(marks, {})
    return found


def write_catalogue(repository: Repository, catalogue: Iterable[Mapping[str, Any]]) -> None:
    """Write the catalogue file and the templates of its datasets."""
    catalogue = [*catalogue]
    repository.write(FILE, json.dumps(catalogue, indent=1) + "\n")
    for entry in catalogue:
        if entry.get("version"):
            attributes = {"dataset_id": entry["dataset_id"], "dataset_version": entry["version"]}
            group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            repository.write(f"{entry['template_path']}/zarr.json", json.dumps(group, indent=2) + "\n")
