"""A deploy that is done says so, in whatever locale, and says what the cluster has."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from forks import PROGRAM
from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Staging, wait_until
from repositories import Repository

BRANCH = "stage/ridge-snow/v0.2.0"
FILE = "src/weather/datasets.py"
STORE = "s3://weather-data/caf\xe9-\u96ea-"


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_from_deploy_to_cleanup_in_any_locale(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    repository.stage("ridge-snow", "0.2.0")
    text = (repository.path / FILE).read_text()
    assert "s3://weather-data/" in text
    repository.write(FILE, text.replace("s3://weather-data/", STORE))
    repository.commit("Write to another store")
    repository.push(BRANCH)
    for encoding in ("ascii", "latin-1", "gbk", "euc_jp", "utf-8"):
        shown = STORE.encode(encoding, "backslashreplace").decode(encoding)
        environment = {**staging.environment, "PYTHONIOENCODING": encoding}
        for args in (("deploy", "--docker-image", IMAGE), ("cleanup", "--yes", "--keep-branch")):
            command = [PROGRAM, *args, "--branch", BRANCH]
            done = subprocess.run(command, cwd=repository.path, env=environment, capture_output=True, timeout=120)
            hostile.tried("locales", done.stderr.decode(encoding))
            assert done.returncode == 0, done.stderr
            assert shown in done.stdout.decode(encoding)
    assert live.names("cronjobs", f"{LABEL}release") == []


def policy(namespace: str) -> list[dict[str, Any]]:
    """That suspends every CronJob of a namespace, whatever its owner asks for."""
    name = {"name": f"suspend-{namespace}"}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["cronjobs"],
    }
    patch = {"expression": "Object{spec: Object.spec{suspend: true}}"}
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": patch}
    spec = {
        "matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
    }
    kinds = (("MutatingAdmissionPolicy", spec), ("MutatingAdmissionPolicyBinding", {"policyName": name["name"]}))
    api = "admissionregistration.k8s.io/v1"
    return [{"apiVersion": api, "kind": kind, "metadata": name, "spec": spec} for kind, spec in kinds]


@pytest.fixture
def suspending(live: Namespace) -> Iterator[None]:
    """A cluster whose policy suspends the CronJobs of this namespace."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": policy(live.name)})
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}}
    probe = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "probe"}, "spec": spec}
    live.kubectl("create", "-f", "-", given=objects)
    try:
        wait_until(lambda: live.create(probe, dry_run=True).body["spec"]["suspend"], what="a policy that suspends")
        yield
    finally:
        live.kubectl("delete", "-f", "-", given=objects)


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.usefixtures("suspending")
def test_a_job_that_a_policy_suspends_is_shown_as_suspended(staging: Staging, repository: Repository) -> None:
    repository.stage("ridge-snow", "0.2.0")
    deploy = ("deploy", "--branch", BRANCH, "--docker-image", IMAGE)
    for _ in ("an install", "an upgrade"):
        rows = staging.run(repository.path, *deploy).stdout.splitlines()
        shown = [row.split() for row in rows if row.startswith(("update ", "validate "))]
        assert [(row[0], row[-1]) for row in shown] == [("update", "yes"), ("validate", "yes")]
        facts = staging.run(repository.path, *deploy, "-o", "json").json
        assert (facts["paused"], [job["suspend"] for job in facts["jobs"]]) == (False, [True, True])
    (listed,) = staging.run(repository.path, "list", "-o", "json").json
    assert (listed["paused"], [job["suspend"] for job in listed["jobs"]]) == (False, [True, True])
    assert staging.run(repository.path, "list").stdout.count("(suspended)") == 2
