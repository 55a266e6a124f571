"""What a deploy tells a person: what somebody's patch left, what changes, what is missing, what is shared."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from live import IMAGE, Namespace, Production, Staging, wait_until
from records import forge
from repositories import Repository, stage_branch
from staged import RUN_SECONDS

REFUSED, SUPERSEDED = 3, 6
DATASET = "ridge-snow"
STAGED = ("--branch", stage_branch(DATASET, "0.2.0"))
RELEASE = "staging-ridge-snow-v0-2-0"
UPDATE = f"{RELEASE}-update"
SECRET = "hunter2"

one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


class Project:
    """A dataset that a catalogue on standard input gives, so that a test may change its jobs."""

    def __init__(self, staging: Staging, repository: Repository) -> None:
        repository.stage(DATASET, "0.2.0")
        self.staging, self.folder = staging, repository.path
        self.entry = next(d for d in staging.catalogue(repository.path) if d["dataset_id"] == DATASET)
        self.summary = repository.path.parent / "summary.md"

    def pod(self, key: str) -> dict[str, Any]:
        (job,) = [c for c in self.entry["cronjobs"] if c["metadata"]["name"] == f"{DATASET}-{key}"]
        return job["spec"]["jobTemplate"]["spec"]["template"]

    def deploy(self, *args: str, timeout: str = "60s") -> dict[str, Any]:
        """Deploy it; gives what `-o json` prints."""
        command = ("deploy", *STAGED, "--docker-image", IMAGE, "--datasets", "-", "-o", "json", *args)
        given = json.dumps([self.entry])
        done = self.staging.run(
            self.folder, *command, given=given, GITHUB_STEP_SUMMARY=str(self.summary), STAGING_TIMEOUT=timeout
        )
        assert SECRET not in done.stdout + done.stderr + self.summary.read_text()
        assert [f"warning: {w}" for w in done.json["warnings"]] == [
            line for line in done.stderr.splitlines() if line.startswith("warning: ")
        ]
        return done.json


@pytest.fixture
def project(staging: Staging, repository: Repository, live: Namespace) -> Project:
    live.kubectl("create", "secret", "generic", "sentry")
    return Project(staging, repository)


def patch(live: Namespace, name: str, **spec: Any) -> None:
    live.patch("cronjobs", name, {"spec": spec})


def test_a_persons_patch_never_blocks_an_upgrade_and_nothing_of_it_is_left(project: Project, live: Namespace) -> None:
    assert project.deploy()["warnings"] == []
    assert project.deploy()["warnings"] == []  # an upgrade that nobody disturbed has nothing to tell
    asked = live.get("cronjobs", UPDATE)["spec"]
    container = {"name": "worker", "env": [{"name": "DEBUG", "value": SECRET}]}
    pods = {"template": {"spec": {"containers": [container], "dnsPolicy": "Default"}}}
    patch(live, UPDATE, schedule="1 1 1 1 1", suspend=True, jobTemplate={"spec": {"backoffLimit": 9, **pods}})
    uid = live.get("cronjobs", UPDATE)["metadata"]["uid"]
    assert project.deploy()["warnings"] == []
    patched = live.get("cronjobs", UPDATE)
    assert patched["spec"] == asked
    assert patched["metadata"]["uid"] == uid


@one_major
def test_what_changes_what_stops_and_what_production_has(
    project: Project, live: Namespace, production: Production
) -> None:
    production(project.entry["cronjobs"][:1])
    project.pod("validate")["metadata"] = {"annotations": {RUN_SECONDS: "600"}}
    project.pod("update")["spec"]["containers"][0]["image"] = "example.registry/other:1"
    first = project.deploy()
    assert first["changes"] | {"production": None} == {
        "first": True, "added": ["update", "validate"], "changed": {}, "dropped": [], "stopped": [], "production": None,
    }  # fmt: skip
    images = f"containers[worker].image {IMAGE} → example.registry/other:1"
    assert first["changes"]["production"] == {"update": [images], "validate": None}

    live.run_job(f"{RELEASE}-validate", "at-work")
    wait_until(lambda: live.get("jobs", "at-work").get("status", {}).get("active"), what="the Job runs")
    project.entry["cronjobs"][0]["spec"]["schedule"] = "20 * * * *"
    changed = project.deploy("--skip-job", "validate", "--paused")["changes"]
    assert (changed["dropped"], changed["stopped"]) == (["validate"], ["at-work"])
    assert changed["changed"] == {"update": ["schedule 15 */6 * * * → 20 * * * *"]}
    page = project.summary.read_text()
    assert "- removed: `validate`\n- stopped while running: Job `at-work`\n" in page
    assert "| `update` | `20 * * * *` UTC | paused |" in page


def everything(live: Namespace) -> dict[str, list[Any]]:
    """Every object that a deploy could change, but for what controllers write into it."""
    kinds = ("cronjobs", "jobs", "secrets", "configmaps")
    written = ("uid", "labels", "annotations")
    return {
        f"{kind}/{o['metadata']['name']}": [o.get("spec"), o.get("data"), *(o["metadata"].get(f) for f in written)]
        for kind in kinds
        for o in live.all(kind)
    }


@one_major
def test_a_dry_run_shows_the_whole_difference_and_changes_nothing(
    project: Project, live: Namespace, production: Production, repository: Repository
) -> None:
    production(project.entry["cronjobs"][:1])
    before, branches = everything(live), repository.git("ls-remote", "origin")
    first = project.deploy("--dry-run")
    assert (first["dry_run"], first["installed"], first["changes"]["first"]) == (True, True, True)
    assert first["changes"]["production"] == {"update": [], "validate": None}
    assert everything(live) == before
    assert "would be staged" in project.summary.read_text()

    project.deploy("--paused")
    project.pod("validate")["metadata"] = {"annotations": {RUN_SECONDS: "600"}}
    assert project.deploy()["dry_run"] is False
    live.run_job(f"{RELEASE}-validate", "at-work")
    wait_until(lambda: live.get("jobs", "at-work").get("status", {}).get("active"), what="the Job runs")
    patch(live, UPDATE, timeZone="Europe/Oslo", suspend=False)  # by hand, so a deploy undoes it
    project.entry["cronjobs"][0]["spec"]["schedule"] = "20 * * * *"
    before = everything(live)
    again = project.deploy("--dry-run", "--skip-job", "validate")
    assert again["changes"] == {
        "first": False,
        "added": [],
        "changed": {
            "update": ["schedule 15 */6 * * * → 20 * * * *", "suspend false → true", "timeZone removed (Europe/Oslo)"]
        },
        "dropped": ["validate"],
        "stopped": ["at-work"],
        "production": {"update": ["schedule 15 */6 * * * → 20 * * * *"]},
    }
    assert (again["installed"], again["paused"], again["refused"]) == (False, True, "")
    assert (everything(live), repository.git("ls-remote", "origin")) == (before, branches)

    # What is not pushed yet is compared all the same, and the exit code is that of a deploy.
    repository.commit("Not pushed")
    command = ("deploy", *STAGED, "--docker-image", IMAGE, "--dry-run", "--datasets", "-")
    done = project.staging.run(project.folder, *command, given=json.dumps([project.entry]), code=SUPERSEDED)
    assert done.stdout.startswith(f"Nothing was changed. Release {RELEASE} (")
    for line in (
        "From what runs:",
        "  update  suspend false → true",
        "From production:",
        "  validate  production has no",
    ):
        assert f"\n{line}" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(f"error: branch {STAGED[1]} is at ")
    assert everything(live) == before


@one_major
def test_a_dry_run_makes_every_check(project: Project, live: Namespace, repository: Repository) -> None:
    project.deploy()
    before = everything(live)
    forge(live, RELEASE, lambda content: content.update(hooks=[{"name": "x"}]))
    hooked = everything(live)
    command = ("deploy", *STAGED, "--docker-image", IMAGE, "--dry-run", "--datasets", "-")

    def refused(entry: dict[str, Any], words: str) -> None:
        done = project.staging.run(project.folder, *command, given=json.dumps([entry]), code=REFUSED)
        assert words in done.stderr.splitlines()[-1] and done.stdout == ""

    refused(project.entry, "has hooks")
    wrong = json.loads(json.dumps(project.entry))
    wrong["cronjobs"][0]["spec"]["scheduel"] = "0 * * * *"
    refused(wrong, "unknown field")
    refused(project.entry | {"version": "0.9.0"}, "is at version 0.9.0")
    repository.write("src/weather/new.py", "")
    refused(project.entry, "not committed")
    assert everything(live) == hooked and hooked.keys() == before.keys()


@one_major
def test_after_a_killed_upgrade_what_ran_before_is_what_ran_and_not_what_was_killed(
    project: Project, live: Namespace
) -> None:
    project.deploy()
    first, killed, last = project.entry["cronjobs"][0]["spec"]["schedule"], "20 * * * *", "40 * * * *"
    project.entry["cronjobs"][0]["spec"]["schedule"] = killed
    project.deploy()
    # As a helm leaves it that is killed late: the revision is pending, and the one before superseded.
    name = f"sh.helm.release.v1.{RELEASE}.v2"
    record = gzip.decompress(base64.b64decode(base64.b64decode(live.get("secrets", name)["data"]["release"])))
    record = record.replace(b'"status":"deployed"', b'"status":"pending-upgrade"')
    data = base64.b64encode(base64.b64encode(gzip.compress(record))).decode()
    edit = {"metadata": {"labels": {"status": "pending-upgrade"}}, "data": {"release": data}}
    live.patch("secrets", name, edit)
    project.entry["cronjobs"][0]["spec"]["schedule"] = last
    assert project.deploy(timeout="4s")["changes"]["changed"] == {"update": [f"schedule {first} → {last}"]}


@one_major
def test_what_is_missing_and_what_is_shared_is_told_by_name(project: Project, live: Namespace) -> None:
    pod = project.pod("update")["spec"]
    pod["serviceAccountName"] = "writer"
    pod["priorityClassName"] = "urgent"
    pod["imagePullSecrets"] = [{"name": "registry"}]
    pod["volumes"] = [*pod.get("volumes", []), {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]
    worker = pod["containers"][0]
    worker["envFrom"] = [{"configMapRef": {"name": "levels"}}, {"secretRef": {"name": "extra", "optional": True}}]
    worker["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    worker["args"] = [*worker.get("args", []), f"--job={DATASET}-update"]
    shared = [
        "update mounts PersistentVolumeClaim cache, as production does",
        "update takes port 8080 of its node, as production does",
        f"update has {DATASET}-update, the name of production's job, in args: use $(CRON_JOB_NAME)",
    ]
    warnings = project.deploy()["warnings"]
    assert [w.partition(" is not in ")[0] for w in warnings if w not in shared] == [
        "ConfigMap levels",
        "PersistentVolumeClaim cache",
        "PriorityClass urgent",
        "Secret registry",
        "ServiceAccount writer",
    ]
    starting, pulling = "will not start without it", "may not pull their images"
    assert [w.partition(f" is not in namespace {live.name}: the pods of update ")[2] for w in warnings[:-3]] == [
        starting, starting, starting, pulling, starting,
    ]  # fmt: skip
    assert warnings[-3:] == shared
    live.kubectl("create", "configmap", "levels")
    live.kubectl("create", "serviceaccount", "writer")
    assert [w.split()[1] for w in project.deploy()["warnings"][:-3]] == ["cache", "urgent", "registry"]


@one_major
def test_a_job_is_run_now_paused_or_not(project: Project, live: Namespace, repository: Repository) -> None:
    def run(*args: str, code: int = 0) -> str:
        done = project.staging.run(project.folder, "run", *args, code=code)
        return done.stdout if code == 0 else done.stderr.splitlines()[-1]

    nothing = f"error: release {RELEASE} does not exist in "
    assert run(*STAGED, "--key", "update", code=REFUSED).startswith(nothing)
    project.deploy("--paused")
    said = run(*STAGED, "--key", "update")
    (job,) = live.jobs_of(UPDATE)
    assert job["metadata"]["name"] in said and live.name in said
    assert "has no job 'updaet', only update, validate. Did you mean 'update'?" in run(
        *STAGED, "--key", "updaet", code=REFUSED
    )
    live.delete("cronjobs", UPDATE)
    live.kubectl("create", "cronjob", UPDATE, "--image=i", "--schedule=0 0 29 2 *")
    taken = (
        f"CronJob {UPDATE} has the name of a job of release {RELEASE} but does not belong to it. Nothing was touched."
    )
    assert taken in run(*STAGED, "--key", "update", code=REFUSED)


@one_major
def test_in_a_workflow_problems_are_annotations_and_every_command_has_a_summary(
    project: Project, live: Namespace, repository: Repository, tmp_path: Path
) -> None:
    file = tmp_path / "step.md"
    step = Staging({**project.staging.environment, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(file)})
    repository.write("evil.py", "raise RuntimeError('x\\n::add-mask::staging')\n")
    repository.commit("Raise an error")
    repository.push(STAGED[1])
    deploy = ("deploy", *STAGED, "--docker-image", IMAGE, "--datasets")
    done = step(project.folder, *deploy, "evil:DATASETS")
    commands = [line for line in done.stderr.splitlines() if line.lstrip().startswith("::")]
    assert len(commands) == 1 and commands[0].startswith("::error::your code failed while loading the datasets evil:")
    assert (
        file.read_text().startswith("**Failed:** your code failed while loading") and file.read_text().count("\n") == 2
    )

    live.kubectl("delete", "secret", "sentry")
    done = step.run(project.folder, *deploy, "-", given=json.dumps([project.entry]))
    assert f"::warning::Secret sentry is not in namespace {live.name}" in done.stderr
    for command in ("pause", "resume"):
        step.run(project.folder, command, *STAGED)
    step.run(project.folder, "sweep")
    step.run(project.folder, "cleanup", *STAGED, "--yes")
    titles = [line for line in file.read_text().splitlines() if line.startswith("### ")]
    assert titles == ["### `ridge-snow` v0.2.0 is staged", "### Pause", "### Resume", "### Sweep", "### Cleanup"]
