"""`staging logs`: which Job is meant, why it failed, the end of its log, and what to do when there is none."""

import os
import shutil
from pathlib import Path

import pytest

from hostile import Hostile
from live import Namespace, Staging, wait_until
from repositories import Repository
from running import EXIT_CODE, over, pod_of, start
from staged import RUN_SECONDS, install, names
from staging_cronjobs.model.staged_version import StagedVersion

OUTSIDE, REFUSED = 4, 3
RIDGE = StagedVersion("ridge-snow", "0.2.0")
UPDATE, VALIDATE = names(RIDGE)
pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def with_log(staging: Staging, folder: Path, text: str) -> dict[str, str]:
    """A PATH whose kubectl says what a kubelet would: a node that kwok plays keeps no logs."""
    search = staging.environment["PATH"]
    folder.mkdir()
    (folder / "log").write_text(text)
    kubectl = folder / "kubectl"
    real = shutil.which("kubectl", path=search)
    kubectl.write_text(f'#!/bin/sh\n[ "$1" = logs ] || exec {real} "$@"\necho "$@" >{folder}/asked\ncat {folder}/log\n')
    kubectl.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{search}"}


def test_the_last_job_and_the_last_that_failed(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    assert "None has run" in staging.run(repository.path, "logs", RIDGE.branch, code=REFUSED).stderr
    start(live, VALIDATE, "good")
    wait_until(lambda: over(live, "good"), what="the Job is done")
    said = staging.run(repository.path, "logs", RIDGE.branch, "--failed", code=REFUSED).stderr
    assert "The last one, good, is succeeded" in said
    start(live, UPDATE, "bad", annotations={EXIT_CODE: "3"})
    wait_until(lambda: over(live, "bad"), what="the Job failed")
    pod = pod_of(live, "bad")
    here = with_log(staging, tmp_path / "log", "first\nlast\n")
    for target in (["--failed", RIDGE.branch], [UPDATE], [RIDGE.release, "--key", "update"]):
        done = staging.run(repository.path, "logs", *target, code=0, given="", **here)
        assert done.stdout == "first\nlast\n"
        assert "Job bad (" in done.stderr and "failed " in done.stderr and "exit code 3" in done.stderr
        assert f"All of it: kubectl logs job/bad --all-containers --namespace {live.name}" in done.stderr
        asked = (tmp_path / "log" / "asked").read_text().split()
        assert asked[-1] == pod and "--tail=50" in asked
    assert "Job good (" in staging.run(repository.path, "logs", VALIDATE, code=0, given="", **here).stderr
    assert "Did you mean 'update'?" in staging.run(
        repository.path, "logs", RIDGE.branch, "--key", "updat", code=REFUSED
    ).stderr  # fmt: skip


def test_a_job_or_a_pod_by_its_name(staging: Staging, repository: Repository, live: Namespace, tmp_path: Path) -> None:
    install(staging, repository, RIDGE)
    older, newer = f"{UPDATE}-29926541", f"{UPDATE}-29926542"
    for job in (older, newer):
        start(live, UPDATE, job)
        wait_until(lambda: over(live, job), what="the Job is done")  # noqa: B023 - called at once
    here = with_log(staging, tmp_path / "log", "x\n")
    for name in (older, f"job.batch/{older}", f"pod/{pod_of(live, older)}"):
        said = staging.run(repository.path, "logs", name, code=0, given="", **here).stderr
        assert said.startswith(f"Job {older} (")
    gone = f"pod/{older}-zzzzz"
    said = staging.run(repository.path, "logs", gone, code=0, given="", **here).stderr
    assert said.startswith(f"{older}-zzzzz is gone. This is its Job: {older}.\nJob {older} (")
    live.delete("jobs", older)
    for name in (older, gone):
        said = staging.run(repository.path, "logs", name, code=0, given="", **here).stderr
        word = name.removeprefix("pod/")
        assert said.startswith(f"{word} is gone. This is the last Job that there is: {newer}.\nJob {newer} (")
    for name in (RIDGE.branch, RIDGE.release, UPDATE):  # of these, any Job is meant
        assert staging.run(repository.path, "logs", name, code=0, given="", **here).stderr.startswith(f"Job {newer} (")
    said = staging.run(repository.path, "logs", older, "--failed", code=REFUSED).stderr
    assert f"{older} is gone, and no Job of {UPDATE} that is still there has failed" in said


def test_what_to_do_when_the_pods_are_gone_or_the_log_cannot_be_read(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    start(live, UPDATE, "bad", annotations={EXIT_CODE: "3"})
    wait_until(lambda: over(live, "bad"), what="the Job failed")
    pod = pod_of(live, "bad")
    done = staging.run(repository.path, "logs", UPDATE, code=OUTSIDE)
    assert f"kubectl could not read the log of pod {pod}: " in done.stderr
    assert f"  kubectl describe pod {pod} --namespace {live.name}" in done.stderr
    live.delete("pods", pod)
    wait_until(lambda: not live.names("pods"), what="the pod is gone")
    done = staging.run(repository.path, "logs", UPDATE)
    assert done.stdout == "" and "Its pods are gone, and their logs with them." in done.stderr
    assert f"  kubectl describe job bad --namespace {live.name}" in done.stderr
    assert f"  staging run {UPDATE}\n" in done.stderr


def test_a_log_does_nothing_to_a_terminal_or_the_runner_of_a_workflow(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, hostile: Hostile
) -> None:
    install(staging, repository, RIDGE)
    start(live, UPDATE, "it", annotations={RUN_SECONDS: "3600"})
    pod_of(live, "it")
    here = with_log(staging, tmp_path / "log", "\x1b]0;x\x07\x1b[2J\n::error::x\n##[error]y\nend \u202e\n")
    done = staging.run(repository.path, "logs", UPDATE, code=0, given="", **here, GITHUB_ACTIONS="true")
    assert not {"\x1b", "\x07", "\u202e"} & {*done.stdout}
    assert not [line for line in done.stdout.splitlines() if line.startswith("::") or "##[" in line]
    hostile.tried("terminal text", done.stdout + done.stderr)
