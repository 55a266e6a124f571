"""Whether the stores that a cleanup leaves are production's by now, on real repositories."""

import json
from pathlib import Path

import pytest

from catalogues import record
from hostile import Hostile
from repositories import Repository, make_repository
from staging_cronjobs.external import git
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.external.helm_record import Release, Revision
from staging_cronjobs.external.main_settings import Place
from staging_cronjobs.model.settings import Settings
from staging_cronjobs.model.values import Values
from staging_cronjobs.verbs.cleanup import Plan, against_deleting

ID = "ridge-snow"
TEMPLATE = "src/weather/ridge/snow/templates/latest.zarr"
MAIN = "0.1.0"  # the version of ridge-snow that main has
PRODUCTIONS = f"These are production's stores now: main has version {MAIN}. Do not delete them."
UNKNOWN = "These may be production's stores now, so check before you delete them. Main could not be read: "


@pytest.fixture(autouse=True)
def no_machine_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path)


def against(folder: Path, version: str, *, keep_branch: bool = False, **facts: object) -> str:
    """What a cleanup of this version of ridge-snow, run in a folder, says of its stores."""
    settings = Settings(project=folder)
    own = {"template_path": TEMPLATE, "stores": [f"s3://weather-data/{ID}/v{version}.icechunk"]}
    of = record(version=version, branch=f"stage/{ID}/v{version}", **(own | facts))
    revision = Revision(1, "deployed", "uid", "2026-11-25T00:00:00Z", Values(record=of, jobs={}), {}, "", 0)
    release = Release(of.staged_version.release, (revision,))
    found = git.find(settings)
    plan = Plan(Cluster("c", "n"), release, None if keep_branch else found, None, None, keep_branch=keep_branch)
    (said,) = against_deleting(Place(settings, found), [plan])
    return said


def change_main(repository: Repository) -> None:
    """Push main as the work tree is."""
    repository.commit()
    repository.push("main")


@pytest.mark.parametrize("keep_branch", [False, True])
def test_stores_of_mains_version_are_productions(repository: Repository, keep_branch: bool) -> None:
    assert against(repository.path, MAIN, keep_branch=keep_branch) == PRODUCTIONS
    assert against(repository.path, "0.2.0", keep_branch=keep_branch) == ""


def test_a_main_that_got_the_version_a_moment_ago_counts(repository: Repository) -> None:
    """And not what was fetched last, nor what is checked out."""
    old = repository.git("rev-parse", "main")
    repository.bump(ID, "0.2.0")
    change_main(repository)
    repository.git("update-ref", "refs/remotes/origin/main", old)
    repository.git("reset", "--quiet", "--hard", old)
    assert against(repository.path, "0.2.0") == PRODUCTIONS.replace(MAIN, "0.2.0")
    assert against(repository.path, MAIN) == ""


def test_a_template_that_main_has_moved_is_found(repository: Repository) -> None:
    repository.git("mv", TEMPLATE, "elsewhere.zarr")
    change_main(repository)
    assert against(repository.path, MAIN) == PRODUCTIONS
    assert against(repository.path, "0.2.0") == ""
    repository.git("rm", "-r", "--quiet", "elsewhere.zarr")
    change_main(repository)
    assert against(repository.path, MAIN) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON with attributes"),
        (json.dumps({"attributes": {"dataset_id": "other", "dataset_version": "0.9.0"}}), 'of dataset "other", not of'),
        (json.dumps({"attributes": {"dataset_id": ID, "dataset_version": "v0.1.0"}}), "cannot be compared"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "is a Git LFS pointer"),
    ],
)
def test_a_main_that_cannot_be_compared_proves_nothing(repository: Repository, text: str, reason: str) -> None:
    repository.write(f"{TEMPLATE}/zarr.json", text)
    change_main(repository)
    said = against(repository.path, "0.2.0")
    assert said.startswith(UNKNOWN)
    assert reason in said


@pytest.mark.parametrize("keep_branch", [False, True])
def test_a_main_that_cannot_be_fetched_proves_nothing(repository: Repository, keep_branch: bool) -> None:
    repository.remote.rename(repository.remote.with_name("away.git"))
    for version in (MAIN, "0.2.0"):
        said = against(repository.path, version, keep_branch=keep_branch)
        assert said.startswith(f"{UNKNOWN}cannot read main of origin: ")


def test_without_a_checkout_of_that_repository_nothing_is_proved(repository: Repository, tmp_path: Path) -> None:
    """A branch may be kept in the checkout of another repository, whose main says nothing of this dataset."""
    said = against(repository.path, "0.2.0", keep_branch=True, repository="someone/else")
    assert said == f"{UNKNOWN}{repository.path} is no checkout of someone/else."
    assert against(repository.path, "0.2.0", keep_branch=True, repository="Dynamical-Demo/Weather") == ""
    assert against(tmp_path, "0.2.0") == f"{UNKNOWN}{tmp_path} is no checkout of dynamical-demo/weather."


def test_a_release_without_stores_asks_nobody(repository: Repository) -> None:
    repository.remote.rename(repository.remote.with_name("away.git"))
    assert against(repository.path, MAIN, stores=[]) == ""


def test_a_store_without_the_version_in_its_url_may_be_anybodys(repository: Repository) -> None:
    """A project may let versions share a bucket."""
    own, shared = "s3://data/ridge-snow/v0.2.0.icechunk", "s3://data/ridge-snow.icechunk"
    assert against(repository.path, "0.2.0", stores=[own, shared]) == (
        f"Other versions may write {shared} too, because version 0.2.0 is not in the URL. "
        "Check before you delete anything."
    )


@pytest.mark.parametrize("path", ["../../etc", "/etc", ":(glob)**", "--output=ran", ""])
def test_a_path_of_a_record_does_not_hide_that_main_has_the_version(
    repository: Repository, path: str, hostile: Hostile
) -> None:
    said = against(repository.path, MAIN, template_path=path)
    assert said == PRODUCTIONS or said.startswith(UNKNOWN)
    hostile.tried("paths of a record", said, ran=(repository.path / "ran").exists())
