"""A deploy that is done says so, in whatever locale, and says what the cluster has."""

import subprocess
from collections.abc import Iterator

import pytest

from catalogues import cron_job
from forks import PROGRAM
from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Staging
from policies import in_force
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


@pytest.fixture
def suspending(live: Namespace) -> Iterator[None]:
    """A cluster whose policy suspends every CronJob of this namespace, whatever its owner asks for."""
    patch = {"expression": "Object{spec: Object.spec{suspend: true}}"}
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": patch}
    rules = {"reinvocationPolicy": "Never", "mutations": [mutation]}
    probe = cron_job("probe")

    def seen() -> bool:
        return live.create(probe, dry_run=True).body["spec"]["suspend"]

    with in_force(live, "MutatingAdmissionPolicy", ("CREATE", "UPDATE"), rules, {}, seen=seen):
        yield


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
    assert staging.run(repository.path, "list").stdout.count(" suspended\n") == 2


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_list_shows_what_a_person_left(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage("ridge-snow", "0.2.0")
    staging.run(repository.path, "deploy", "--branch", BRANCH, "--docker-image", IMAGE)
    update = "staging-ridge-snow-v0-2-0-update"

    def listed(suspend: bool) -> tuple[list[str], bool, dict[str, bool]]:
        """The lines, and the JSON, of `list` once a person has patched `update`."""
        live.patch("cronjobs", update, {"spec": {"suspend": suspend}})
        (row,) = staging.run(repository.path, "list", "-o", "json").json
        lines = [" ".join(line.split()) for line in staging.run(repository.path, "list").stdout.splitlines()[1:]]
        return lines, row["paused"], {job["key"]: job["suspend"] for job in row["jobs"]}

    (first, second), paused, suspended = listed(suspend=True)
    assert (paused, suspended) == (False, {"update": True, "validate": False})
    assert "0.2.0 deployed, update suspended " in first and first.endswith(" update 15 */6 * * * - suspended")
    assert (
        "0.2.0 deployed, update suspended " in second
        and " validate 45 */6 * * * - " in second
        and second.endswith(" UTC")
    )
    staging.run(repository.path, "pause", "--branch", BRANCH)
    (first, second), paused, suspended = listed(suspend=False)
    assert (paused, suspended) == (True, {"update": False, "validate": True})
    assert "deployed, paused except update" in first and first.endswith(" UTC")
    assert "deployed, paused except update" in second and second.endswith(" validate 45 */6 * * * - suspended")
