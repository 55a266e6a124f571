"""docs/migrating.md, run as it stands there: from `kubectl apply` to a release, and out of one."""

import json
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from live import IMAGE, PROGRAM, Namespace, Staging, make_unfinished, wait_until
from repositories import Repository, stage_branch
from staged import RUN_SECONDS, Sentry
from watching import CANARY, fire_all, history, make_canary, watched, writers

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DATASET, VERSION = "ridge-snow", "0.2.0"
BRANCH, RELEASE = stage_branch(DATASET, VERSION), "staging-ridge-snow-v0-2-0"
KEYS = ("update", "validate")
OLD = [f"stage-ridge-snow-v0-2-0-{key}" for key in KEYS]
NEW = [f"{RELEASE}-{key}" for key in KEYS]
REFUSED = 3
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def blocks(title: str, language: str = "bash") -> list[str]:
    """The fenced blocks of one part of the page."""
    part = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [text for found, text in BLOCK.findall(part) if found == language]


@dataclass(frozen=True)
class Reader:
    """Somebody who types what a part of the page says, with a kubeconfig that names the namespace."""

    folder: Path
    environment: Mapping[str, str]
    variables: str

    def types(self, block: str) -> str:
        script = f"{self.variables}{block}"
        done = subprocess.run(
            ["bash", "-ec", script], cwd=self.folder, env=dict(self.environment), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout


def reader(staging: Staging, repository: Repository, live: Namespace, variables: str, sentry: Sentry) -> Reader:
    config = json.loads(live.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["contexts"][0]["context"]["namespace"] = live.name
    file = repository.path.parent / "kubeconfig"
    file.write_text(json.dumps(config))
    own = {"KUBECONFIG": str(file), "PATH": f"{PROGRAM.parent}:{staging.environment['PATH']}"}
    environment = {**staging.environment, **own, **sentry.environment}
    del environment["STAGING_NAMESPACE"]
    return Reader(repository.path, environment, variables.replace("namespace=weather", f"namespace={live.name}"))


def stage(repository: Repository) -> None:
    """Push the stage branch, with jobs that run for a while."""
    repository.stage(DATASET, VERSION)
    code, mark = repository.path / "src/weather/kubernetes.py", '"karpenter.sh/do-not-disrupt"'
    code.write_text(code.read_text().replace(mark, f'"{RUN_SECONDS}": "2", {mark}'))
    repository.commit("Run longer")
    repository.push(BRANCH)


def apply_as_before(staging: Staging, repository: Repository, live: Namespace) -> None:
    """The CronJobs of the branch as the kubectl way made them."""
    jobs = next(d for d in staging.catalogue(repository.path) if d["dataset_id"] == DATASET)["cronjobs"]
    for job in jobs:
        job["metadata"]["name"] = job["metadata"]["name"].replace(DATASET, f"stage-{DATASET}-v0-2-0")
    live.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs}))


@one_major
def test_from_kubectl_to_a_release_there_are_never_two_writers(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, tmp_path: Path
) -> None:
    variables, keep, suspend, deploy, delete, resume, monitors, unsuspend, back = blocks("Coming from kubectl")
    types = reader(staging, repository, live, variables, sentry).types
    stage(repository)
    with watched(live, tmp_path):
        apply_as_before(staging, repository, live)
        make_canary(live)
        sentry.check_in(*OLD)
        fire_all(live)
        wait_until(lambda: live.jobs_of(OLD[0]), what="the old job runs")

        for step in (keep, suspend, unsuspend, suspend, deploy, delete, resume):
            types(step)
            fire_all(live)
        wait_until(lambda: live.jobs_of(NEW[0]), what="the new job runs")
        types(back)
        assert live.names("cronjobs") == [CANARY, *OLD]
        fire_all(live)
        wait_until(lambda: live.jobs_of(OLD[0]), what="the old job runs again")

        for step in (keep, suspend, deploy, delete):
            types(step)
            fire_all(live)
        assert [live.jobs_of(name) for name in NEW] == [[], []]
        types(resume)
        fire_all(live)
        wait_until(lambda: live.jobs_of(NEW[0]), what="the new job runs again")

    sentry.check_in(*NEW)
    types(monitors)
    assert sentry.slugs() == NEW
    assert [row["status"] for row in staging.run(repository.path, "list", "-o", "json").json] == ["deployed"]
    assert live.names("cronjobs") == [CANARY, *NEW]

    moments = [writers(there) for there in history(tmp_path)]
    assert {*OLD, *NEW} <= set().union(*moments), "nothing was ever at work, so nothing is proven"
    assert [found for found in moments if found & set(OLD) and found & set(NEW)] == []


def test_a_release_is_given_up_while_its_jobs_stay_and_taken_back(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    variables, status, forget, unmark, branch, back = blocks("The way out")
    types = reader(staging, repository, live, variables, sentry).types
    deploy = ("deploy", "--branch", BRANCH, "--docker-image", IMAGE)
    repository.stage(DATASET, VERSION)
    staging.run(repository.path, *deploy)
    before = live.all("cronjobs")

    assert "STATUS: deployed" in types(status + forget + unmark)
    refused = staging.run(repository.path, *deploy, code=REFUSED).stderr
    assert f"CronJob {NEW[0]} is there already and is not from Helm. Release {RELEASE} would overwrite it" in refused
    types(branch)
    assert repository.remote_head(BRANCH) is None
    assert json.loads(staging.helm("list", "--max", "0", "-o", "json")) == []
    assert staging.run(repository.path, "list", "-o", "json").json == []
    assert staging.run(repository.path, "sweep", "--grace", "0s", "--yes", "-o", "json").json == []
    assert "there is no release" in staging.run(repository.path, "cleanup", "--branch", BRANCH, code=REFUSED).stderr
    assert live.leftovers() == []
    after = live.all("cronjobs")
    assert [(c["metadata"]["uid"], c["metadata"]["generation"], c["spec"]) for c in after] == [
        (c["metadata"]["uid"], c["metadata"]["generation"], c["spec"]) for c in before
    ]
    live.fire(NEW[0])
    wait_until(lambda: live.jobs_of(NEW[0]), what="a job that was given up fires")

    types(back)
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["release"], row["status"], [job["name"] for job in row["jobs"]]) == (RELEASE, "deployed", NEW)
    assert [c["metadata"]["uid"] for c in live.all("cronjobs")] == [c["metadata"]["uid"] for c in before]
    staging.run(repository.path, "cleanup", "--branch", BRANCH, "--yes")
    assert live.names("cronjobs") == []


@one_major
def test_a_version_that_still_runs_the_kubectl_way_is_not_deployed_beside_it(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    stage(repository)
    apply_as_before(staging, repository, live)
    live.kubectl("create", "cronjob", "stage-ridge-snow-v0-1-0-update", "--image=i", "--schedule=0 0 29 2 *")  # another
    live.kubectl("patch", "cronjob", OLD[0], "--patch", '{"spec": {"suspend": true}}')
    before, deploy = live.all("cronjobs"), ("deploy", "--branch", BRANCH, "--docker-image", IMAGE)
    for more in ((), ("--paused",), ("--dry-run",)):
        done = staging.run(repository.path, *deploy, *more, code=REFUSED)
        assert (
            f"error: CronJob {OLD[1]} runs, and writes the stores of ridge-snow v0.2.0. It looks staged with kubectl "
            "apply. Suspend it first. docs/migrating.md has all steps from it to a release.\n"
        ) in done.stderr
        assert live.all("cronjobs") == before
    live.kubectl("patch", "cronjob", OLD[1], "--patch", '{"spec": {"suspend": true}}')
    job = make_unfinished(live, OLD[1], "just made")  # which goes on when its CronJob is suspended
    said = staging.run(repository.path, *deploy, code=REFUSED).stderr
    assert f"error: Job {job} runs, and writes the stores of ridge-snow v0.2.0." in said
    assert "Wait for its end, or delete it." in said and RELEASE not in said
    live.delete("jobs", job)
    staging.run(repository.path, *deploy)
    live.kubectl("patch", "cronjob", OLD[0], "--patch", '{"spec": {"suspend": false}}')
    assert f"CronJob {OLD[0]} runs, and " in staging.run(repository.path, *deploy, code=REFUSED).stderr  # every deploy


@one_major
def test_check_finds_what_kubectl_staged(staging: Staging, repository: Repository, live: Namespace) -> None:
    assert staging.run(repository.path, "check").stderr == ""
    repository.stage(DATASET, VERSION)
    apply_as_before(staging, repository, live)
    live.kubectl("create", "cronjob", "stage-left-over", "--image=i", "--schedule=0 0 29 2 *")
    done = staging.run(repository.path, "check", "-o", "json")
    (shown,) = blocks("Coming from kubectl", "text")
    unknown = "notice: CronJob stage-left-over: no dataset and job in the catalogue have this name\n"
    said = "".join(done.stderr.splitlines(keepends=True)[:-1])
    assert said == unknown + shown
    assert f"namespace {live.name}). docs/migrating.md" in done.stderr.splitlines()[-1]
    of_ridge = [
        {"name": n, "dataset_id": DATASET, "version": VERSION, "key": k} for n, k in zip(OLD, KEYS, strict=True)
    ]
    for verdict in done.json:
        assert verdict["kubectl_cronjobs"] == (of_ridge if verdict["dataset_id"] == DATASET else [])


@one_major
def test_a_check_without_a_cluster_that_answers_is_the_same_check(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    config = json.loads(live.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": live.kubectl("create", "token", "default").strip()}
    forbidden, silent = repository.path.parent / "forbidden", repository.path.parent / "silent"
    forbidden.write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and never answers
        config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        silent.write_text(json.dumps(config))
        checked = [
            staging.run(repository.path, "check", KUBECONFIG=str(f), STAGING_KUBE_CONTEXT="")
            for f in (forbidden, silent, Path("/dev/null"))
        ]
    # Context and namespace are both named, and yet there is no kubeconfig.
    checked.append(staging.run(repository.path, "check", KUBECONFIG="/dev/null", STAGING_KUBE_CONTEXT="production"))
    assert len({done.stdout for done in checked}) == 1
    notices = [done.stderr.splitlines() for done in checked]
    assert [len(lines) for lines in notices] == [1, 1, 0, 0]
    unknown = "notice: cannot look for CronJobs that were staged with kubectl apply: "
    assert all(line.startswith(unknown) for (line,) in notices[:2])
    assert "is forbidden" in notices[0][0]
