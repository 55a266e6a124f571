"""A team whose runners have different Helms: what one has installed another upgrades, and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane import binaries
from live import IMAGE, LABEL, Namespace, Staging
from rendering import CHART
from repositories import Repository, stage_branch

DATASET, VERSION = "glacier-ice-forecast-5-day", "0.3.0"
RELEASE = f"staging-{DATASET}-v0-3-0"


def written(live: Namespace) -> dict[str, Any]:
    """All that was asked of the API server for the release's CronJobs, by name."""
    return {
        found["metadata"]["name"]: (found["metadata"]["labels"], found["metadata"]["annotations"], found["spec"])
        for found in live.all("cronjobs", f"{LABEL}release={RELEASE}")
    }


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.parametrize("helms", [("helm3", "helm4", "helm3"), ("helm4", "helm3-oldest", "helm4")], ids=" ".join)
def test_a_release_of_one_major_is_upgraded_by_the_other_and_back(
    staging: Staging, tools_path: Callable[[Path], str], live: Namespace, repository: Repository, helms: tuple[str, ...]
) -> None:
    repository.stage(DATASET, VERSION)
    first, other, last = (Staging({**staging.environment, "PATH": tools_path(binaries.path(helm))}) for helm in helms)

    def deploy(staging: Staging, tag: str, *args: str) -> dict[str, Any]:
        target = ("--branch", stage_branch(DATASET, VERSION), "--docker-image", f"example.registry/weather:{tag}")
        staging.run(repository.path, "deploy", *target, *args)
        return written(live)

    def patch(schedule: str) -> None:
        """A person's, between two deploys: it neither blocks the next one nor outlives it."""
        live.patch("cronjobs", f"{RELEASE}-update", {"spec": {"schedule": schedule}})

    installed = deploy(first, "1")
    assert len(installed) == 3
    patch("1 1 1 1 1")
    upgraded = deploy(other, "2", "--skip-job", "validate")
    assert upgraded.keys() == installed.keys() - {f"{RELEASE}-validate"}
    assert "weather:2" in str(upgraded) and "weather:1" not in str(upgraded)
    assert upgraded[f"{RELEASE}-update"][2]["schedule"] == installed[f"{RELEASE}-update"][2]["schedule"]
    patch("2 2 2 2 2")
    assert deploy(last, "1") == installed
    assert [row["revision"] for row in json.loads(last.helm("list", "--output=json"))] == ["3"]
    last.run(repository.path, "cleanup", "--branch", stage_branch(DATASET, VERSION), "--yes")
    assert live.leftovers() == []


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_a_release_that_helm_4_applied_server_side_is_upgraded_by_both_majors_whatever_a_person_patched(
    staging: Staging, tools_path: Callable[[Path], str], live: Namespace, repository: Repository
) -> None:
    repository.stage(DATASET, VERSION)
    name, target = f"{RELEASE}-update", ("--branch", stage_branch(DATASET, VERSION), "--docker-image", IMAGE)
    rendered = staging.run(repository.path, "render", *target).stdout
    done = staging.tool("helm", "upgrade", "--install", RELEASE, str(CHART), "-f", "-", given=rendered)
    assert done.code == 0, done.stderr
    managers = live.get("cronjobs", name)["metadata"]["managedFields"]
    assert [m["operation"] for m in managers if m["manager"] == "helm"] == ["Apply"]
    schedule = live.get("cronjobs", name)["spec"]["schedule"]
    for number, helm in enumerate(("helm3", "helm4")):
        variable = {"name": f"DEBUG{number}", "value": "x"}
        pod = {"spec": {"containers": [{"name": "worker", "env": [variable]}]}}
        spec = {"schedule": "1 1 1 1 1", "jobTemplate": {"spec": {"template": pod}}}
        live.patch("cronjobs", name, {"spec": spec})
        runner = Staging({**staging.environment, "PATH": tools_path(binaries.path(helm))})
        runner.run(repository.path, "deploy", *target)
        now = live.get("cronjobs", name)["spec"]
        assert now["schedule"] == schedule
        assert "DEBUG" not in json.dumps(now)
