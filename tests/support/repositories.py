"""The example datasets of tests/weather as a user's git repository with a bare remote."""

import atexit
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

WEATHER = Path(__file__).parent / "weather"
FIRST_USER = Path(__file__).parent / "first_user"
VERSIONS = "src/weather/versions.json"

COMMITTED = "2026-01-05T09:00:00+00:00"  # when every commit was made, so that the same content is the same commit
LEGACY = ("tide-level-analysis", "0.2.0")  # a version that main had before the one it has now
NEW_DATASET = "lagoon-oxygen-forecast"  # main does not have it
NEW_DATASET_CODE = f'DATASETS.append(UpdatedDataset(dataset_id="{NEW_DATASET}", folder="lagoon/oxygen_forecast"))'

FIRST_USERS_TEST = '''"""The extra `tables` must be there, as in production's checks."""

import json

import pytest
from sortedcontainers import SortedSet

from weather.dataset import Dataset
from weather.datasets import DATASETS, VERSIONS


def test_every_dataset_has_jobs() -> None:
    names = SortedSet(job.name for d in DATASETS for job in d.operational_kubernetes_resources("image:1"))
    assert len(names) > len(DATASETS)


@pytest.mark.parametrize("dataset", [d for d in DATASETS if isinstance(d, Dataset)], ids=lambda d: d.dataset_id)
def test_every_template_has_the_version_of_the_code(dataset: Dataset) -> None:
    template = json.loads((dataset.template_config.template_path() / "zarr.json").read_text())
    assert template["attributes"]["dataset_version"] == VERSIONS[dataset.dataset_id]


@pytest.mark.slow
def test_source_files_can_be_read() -> None:
    assert len(DATASETS) == 23
'''


@dataclass(frozen=True)
class Repository:
    """A work tree and its remote, which git knows as `origin`."""

    path: Path
    remote: Path

    def git(self, *args: str) -> str:
        """Run git in the work tree, apart from all settings of the machine; gives its trimmed output."""
        done = subprocess.run(["git", *args], cwd=self.path, env=_environment(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file of the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, message: str = "Change weather") -> str:
        """Commit the whole work tree, even unchanged; gives the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def checkout(self, ref: str) -> None:
        """Check out a branch or commit."""
        self.git("checkout", "--quiet", ref)

    def push(self, branch: str) -> None:
        """Push a branch."""
        self.git("push", "--quiet", "origin", f"refs/heads/{branch}")

    def remote_head(self, branch: str) -> str | None:
        """The commit that the remote has for a branch, None without such a branch."""
        return self.git("ls-remote", "origin", f"refs/heads/{branch}").partition("\t")[0] or None

    def delete_remote_branch(self, branch: str) -> None:
        """Delete a branch of the remote; the local one stays."""
        self.git("push", "--quiet", "origin", f":refs/heads/{branch}")

    def template_path(self, dataset_id: str) -> str:
        """Where the template of a dataset lies, from the top of the work tree."""
        for file in sorted(self.path.glob("src/**/latest.zarr/zarr.json")):
            if json.loads(file.read_text())["attributes"]["dataset_id"] == dataset_id:
                return file.parent.relative_to(self.path).as_posix()
        raise LookupError(f"no template has the dataset id {dataset_id}")

    def bump(self, dataset_id: str, version: str) -> None:
        """Change the version of a dataset, in its code and its template."""
        template = f"{self.template_path(dataset_id)}/zarr.json"
        self._update(VERSIONS, dataset_id, version)
        attributes = self._read(template)["attributes"]
        self._update(template, "attributes", attributes | {"dataset_version": version})

    def add_dataset(self, version: str = "0.1.0") -> None:
        """Add the dataset that main does not have; its id is NEW_DATASET."""
        code = self.path / "src/weather/datasets.py"
        code.write_text(f"{code.read_text()}{NEW_DATASET_CODE}\n")
        self._update(VERSIONS, NEW_DATASET, version)
        attributes = {
            "dataset_id": NEW_DATASET,
            "dataset_name": "Lagoon oxygen forecast",
            "dataset_version": version,
        }
        template = self.path / "src/weather/lagoon/oxygen_forecast/templates/latest.zarr"
        shutil.copytree(self.path / self.template_path("ridge-snow"), template)
        self._update(str(template / "zarr.json"), "attributes", attributes)

    def stage(self, dataset_id: str, version: str) -> str:
        """Push a stage branch, made of main with this version of the dataset, and stay on it; gives its commit."""
        branch = stage_branch(dataset_id, version)
        self.git("checkout", "--quiet", "-B", branch, "main")
        if dataset_id == NEW_DATASET and NEW_DATASET not in self._read(VERSIONS):
            self.add_dataset(version)
        else:
            self.bump(dataset_id, version)
        commit = self.commit(f"Stage {dataset_id} {version}")
        self.push(branch)
        return commit

    def legacy(self, dataset_id: str, version: str) -> str:
        """Push a stage branch, made of the last commit at which main had this version, and stay on it."""
        branch = stage_branch(dataset_id, version)
        for commit in self.git("rev-list", "main").split():
            if json.loads(self.git("show", f"{commit}:{VERSIONS}")).get(dataset_id) == version:
                self.git("checkout", "--quiet", "-B", branch, commit)
                self.push(branch)
                return commit
        raise LookupError(f"main never had {dataset_id} {version}")

    def _read(self, path: str) -> dict[str, Any]:
        return json.loads((self.path / path).read_text())

    def _update(self, path: str, key: str, value: object) -> None:
        self.write(path, json.dumps(self._read(path) | {key: value}, indent=2) + "\n")


def make_repository(folder: Path, *, owner: str = "dynamical-demo") -> Repository:
    """A repository with the example datasets on main, two commits, and its remote, both in the folder."""
    made = _made()
    repository = Repository(path=folder / "weather", remote=folder / "remotes" / owner / "weather.git")
    shutil.copytree(made.path, repository.path)
    shutil.copytree(made.remote, repository.remote)
    repository.git("remote", "set-url", "origin", str(repository.remote))
    repository.git("update-index", "-q", "--refresh")  # which knows files by more than their content
    return repository


def make_first_user(folder: Path) -> Repository:
    """A repository shaped like the first user's, not committed: 22 datasets of pydantic, production by a workflow."""
    repository = Repository(folder / "weather", folder / "remotes" / "dynamical-demo" / "weather.git")
    shutil.copytree(FIRST_USER, repository.path, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", ".venv"))
    repository.write("tests/test_datasets.py", FIRST_USERS_TEST)
    code = (repository.path / "src/weather/datasets.py").read_text()
    for dataset_id, version in re.findall(r'^ {4}"(.+)": "(.+)",$', code, re.MULTILINE):
        attributes = {"dataset_id": dataset_id, "dataset_version": version}
        template = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        file = f"src/weather/{dataset_id.replace('-', '_')}/templates/latest.zarr/zarr.json"
        repository.write(file, json.dumps(template, indent=2) + "\n")
    begin(repository)
    return repository


def begin(repository: Repository) -> None:
    """git in a folder, with a remote."""
    repository.git("init", "--quiet", "--template=", "--initial-branch=main")
    repository.git("init", "--quiet", "--template=", "--bare", "--initial-branch=main", str(repository.remote))
    for place in (repository.path, repository.remote):  # fewer processes: nothing here grows so large
        repository.git("-C", str(place), "config", "maintenance.auto", "false")
        repository.git("-C", str(place), "config", "receive.autogc", "false")
    repository.git("config", "user.name", "Weather")
    repository.git("config", "user.email", "weather@example.org")
    repository.git("remote", "add", "origin", str(repository.remote))


@cache
def _made() -> Repository:
    """What `make_repository` copies: it takes git twenty calls to make."""
    folder = Path(mkdtemp(prefix="staging-cronjobs-repository-"))
    atexit.register(shutil.rmtree, folder)
    repository = Repository(path=folder / "weather", remote=folder / "weather.git")
    shutil.copytree(WEATHER, repository.path, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", ".venv"))
    begin(repository)

    dataset_id, legacy_version = LEGACY
    version = repository._read(VERSIONS)[dataset_id]
    repository.bump(dataset_id, legacy_version)
    repository.commit("Add weather")
    repository.bump(dataset_id, version)
    repository.commit(f"Release {dataset_id} {version}")
    repository.push("main")
    for place in (repository.path, repository.remote):  # fewer files
        repository.git("-C", str(place), "gc", "--quiet", "--prune=now")
    return repository


def stage_branch(dataset_id: str, version: str) -> str:
    """The branch that stages a version of a dataset."""
    return f"stage/{dataset_id}/v{version}"


def _environment() -> dict[str, str]:
    # GIT_DIR and its kin, as a git hook sets them, would lead to another repository.
    # Item by item, because pytest changes a variable of its own while a test's threads are at work.
    outside = {name: os.environ.get(name, "") for name in os.environ if not name.startswith("GIT_")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    return outside | settings | {"GIT_AUTHOR_DATE": COMMITTED, "GIT_COMMITTER_DATE": COMMITTED}
