"""`staging list` on a cluster: nothing that is not well reads as well, in one namespace or in all of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

from controlplane.fixtures import fresh_namespace
from live import Namespace, Staging
from reference import fields_told
from repositories import Repository
from staged import install, names
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
OTHER = StagedVersion("ridge-snow", "1.0.0")
UPDATE, VALIDATE = names(RIDGE)
pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def listed(staging: Staging, repository: Repository, *args: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """What `list` says as JSON, and the lines of its table without the header, as words."""
    rows = staging.run(repository.path, "list", "-o", "json", *args).json
    lines = staging.run(repository.path, "list", *args).stdout.splitlines()
    return rows, [line.split() for line in lines[1:]]


def jobs(row: Mapping[str, Any], fact: str) -> dict[str, Any]:
    return {job["key"]: job[fact] for job in row["jobs"]}


def check_few(staging: Staging, folder: Path, *args: str) -> None:
    """A command starts one program, and asks the API server twice."""
    lines = staging.run(folder, *args, "--verbose").stderr.splitlines()
    assert ["proxy" in line for line in lines if line.startswith("+ ")] == [True, False, False]


def test_a_job_on_record_that_is_missing_is_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    install(staging, repository, OTHER)
    live.delete("cronjobs", VALIDATE)
    (row, other), lines = listed(staging, repository)
    assert {*row, *row["jobs"][0]} <= fields_told("list")
    assert (row["status"], jobs(row, "missing")) == ("deployed", {"update": False, "validate": True})
    assert jobs(row, "suspend")["validate"] is jobs(row, "next_fire")["validate"] is None
    assert jobs(other, "missing") == {"update": False, "validate": False}
    assert [line[2:5] for line in lines[:2]] == [["deployed,", "validate", "missing"]] * 2
    assert lines[1][-2:] == ["missing", "missing"] and "missing" not in lines[2] + lines[3]

    live.delete("cronjobs", UPDATE)
    (row, _), lines = listed(staging, repository)
    assert jobs(row, "missing") == {"update": True, "validate": True}
    assert [line[2:6] for line in lines[:2]] == [["deployed,", "2", "jobs", "missing"]] * 2
    staging.run(repository.path, "resume", RIDGE.branch)
    (row, _), _ = listed(staging, repository)
    assert jobs(row, "missing") == {"update": False, "validate": False}


def test_a_job_that_was_suspended_by_hand_is_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    live.patch("cronjobs", UPDATE, {"spec": {"suspend": True}})
    (row,), lines = listed(staging, repository)
    assert (jobs(row, "suspend"), jobs(row, "code_suspends")["update"]) == ({"update": True, "validate": False}, False)
    assert [line[2:5] for line in lines] == [["deployed,", "update", "suspended"]] * 2
    staging.run(repository.path, "pause", RIDGE.branch)
    assert listed(staging, repository)[1][0][2:4] == ["deployed,", "paused"]
    staging.run(repository.path, "resume", RIDGE.branch)
    assert listed(staging, repository)[1][0][2] == "deployed"


def test_a_job_that_was_dropped_is_not_missed(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE)
    install(staging, repository, RIDGE, ["update"])
    (row,), (line,) = listed(staging, repository)
    assert jobs(row, "missing") == {"update": False} and line[2] == "deployed"


def test_why_a_release_is_unproven_is_told_beside_the_table(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    (secret,) = live.names("secrets", "owner=helm")
    live.kubectl("label", "--overwrite", "secret", secret, "status=fine")
    done = staging.run(repository.path, "list")
    assert done.stdout.splitlines()[1].split()[:3] == [RIDGE.release, "-", "unproven"]
    assert done.stderr.startswith(f"{RIDGE.release} is unproven: ")
    assert staging.run(repository.path, "list", "-o", "json").stderr == ""


def test_what_is_uninstalled_misses_nothing(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE)
    staging.helm("uninstall", RIDGE.release, "--keep-history", "--wait")
    (row,), (line,) = listed(staging, repository)
    assert (row["status"], row["jobs"], line[2]) == ("uninstalled", [], "uninstalled")


def test_everything_is_whole_on_a_narrow_screen_and_wide_has_more(staging: Staging, repository: Repository) -> None:
    made = install(staging, repository, RIDGE)
    facts = {RIDGE.release, made.record.repository, made.record.image}
    for columns in ("20", "80"):
        done = staging.run(repository.path, "list", COLUMNS=columns)
        header, *lines = done.stdout.splitlines()
        assert len(lines) == 2 and all(line.startswith("ridge-snow  0.2.0    deployed  ") for line in lines)
        assert header.endswith("LAST RUN  NEXT RUN") and not facts & {*done.stdout.split()}
    wide = staging.run(repository.path, "list", "-o", "wide").stdout.splitlines()
    assert wide[0].split()[-4:] == ["REV", "RELEASE", "REPOSITORY", "IMAGE"]
    assert all(facts < {*line.split()} for line in wide[1:])


def test_all_namespaces_at_once(
    staging: Staging, repository: Repository, live: Namespace, kube_cluster: ConnectedCluster
) -> None:
    assert kube_cluster.kube_client is not None
    with fresh_namespace(kube_cluster.kube_client) as name:
        elsewhere = Staging({**staging.environment, "STAGING_NAMESPACE": name})
        install(staging, repository, RIDGE)
        install(elsewhere, repository, RIDGE)
        install(elsewhere, repository, OTHER)
        live.delete("cronjobs", UPDATE)  # of the one namespace; the other has one of that name
        rows, lines = listed(staging, repository, "--all-namespaces", "--namespace", "nowhere")
        ours = [row for row in rows if row["namespace"] in (live.name, name)]
        assert {(row["namespace"], row["release"]) for row in ours} == {
            (live.name, RIDGE.release),
            (name, RIDGE.release),
            (name, OTHER.release),
        }
        assert {
            row["namespace"]: jobs(row, "missing")["update"] for row in ours if row["version"] == RIDGE.version
        } == {
            live.name: True,
            name: False,
        }
        (here,) = [row for row in ours if row["namespace"] == live.name]
        assert [here] == staging.run(repository.path, "list", "-o", "json").json
        table = staging.run(repository.path, "list", "-A", "-o", "wide").stdout.splitlines()
        assert table[0].split()[:2] == ["NAMESPACE", "DATASET"]
        assert sum(line[0] in (live.name, name) for line in lines) == 6
        check_few(staging, repository.path, "list", "-A")


def test_list_asks_twice_however_much_there_is(staging: Staging, repository: Repository) -> None:
    for version in ("1.1", "1.2", "1.3"):
        install(staging, repository, StagedVersion("ridge-snow", version))
    check_few(staging, repository.path, "list")
