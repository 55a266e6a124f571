"""`staging status`: what is told of versions, branches, jobs and monitors, each by a real one that is so."""

import json
import shlex
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hostile import Hostile
from live import Namespace, Staging, make_unfinished, wait_until
from repositories import Repository
from running import EXIT_CODE, NOWHERE, over, pod_of, start, waiting
from sentry_server import CONFIG
from staged import CHART, RUN_SECONDS, Sentry, install, names, push, push_other
from staging_cronjobs.model import values
from staging_cronjobs.model.staged_version import StagedVersion

OUTSIDE, REFUSED, USAGE = 4, 3, 2
RIDGE = StagedVersion("ridge-snow", "0.2.0")
UPDATE, VALIDATE = names(RIDGE)
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)
pytestmark = one_major


def told(staging: Staging, repository: Repository, *args: str, **environment: str) -> dict[str, Any]:
    """What `-o json` says of the one staged version that there is, or that is named."""
    done = staging.run(repository.path, "status", "-o", "json", *args, code=0, given="", **environment)
    (version,) = done.json["versions"]
    return version


def problems(version: Mapping[str, Any]) -> list[str]:
    return [problem["text"] for problem in version["problems"]]


def commands(version: Mapping[str, Any]) -> list[str]:
    return [command for problem in version["problems"] for command in problem["commands"]]


def test_a_version_as_it_should_be(staging: Staging, repository: Repository) -> None:
    made = install(staging, repository, RIDGE)
    push(repository, RIDGE)
    done = staging.run(repository.path, "status", "--check")
    assert f"ridge-snow v{RIDGE.version}  deployed, " in done.stdout and RIDGE.release in done.stdout
    assert f"at {made.record.commit[:12]}, as deployed; behind main: 0 commits" in done.stdout
    assert "0.1.0, older than this" in done.stdout and "no run yet, next " in done.stdout
    assert done.stdout.endswith("\n1 staged version, none with something wrong.\n")
    version = told(staging, repository)
    assert (version["head"], version["behind"], version["main"]) == (made.record.commit, 0, "0.1.0")
    assert version["problems"] == version["notes"] == []


def test_a_first_deploy_that_waits_is_told_mains_own_backfill(staging: Staging, repository: Repository) -> None:
    text = (repository.path / "pyproject.toml").read_text()
    main, branch = (f'{text}backfill = "{program} {{dataset_id}} --image {{image}}"\n' for program in ("fill", "evil"))
    repository.write("pyproject.toml", main)
    repository.commit("Say how to backfill")
    repository.push("main")
    made = install(staging, repository, RIDGE)
    push(repository, RIDGE)
    staging.run(repository.path, "pause", RIDGE.branch)
    repository.git("checkout", "--quiet", "-b", RIDGE.branch)
    repository.write("pyproject.toml", branch)
    (note,) = told(staging, repository)["notes"]
    assert note["text"] == "it is paused, and waits for its first backfill. Do that, then resume it:"
    assert note["commands"] == [f"fill ridge-snow --image {made.record.image}", f"staging resume {RIDGE.branch}"]
    assert f"      {note['commands'][0]}\n" in staging.run(repository.path, "status", COLUMNS="20").stdout
    staging.run(repository.path, "resume", RIDGE.branch)
    assert told(staging, repository)["notes"] == []


def test_nothing_staged(staging: Staging, repository: Repository) -> None:
    assert "No staged versions in" in staging.run(repository.path, "status", "--check").stdout


def test_what_a_checkout_would_say_is_unknown_without_one(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE)
    elsewhere = repository.path.parent
    done = staging.run(elsewhere, "status", "--check", code=REFUSED)
    assert "  unknown: " in done.stdout and "is in no git checkout" in " ".join(done.stdout.split())
    found = staging.run(elsewhere, "status", "-o", "json").json
    (version,) = found["versions"]
    assert (version["head"], version["main"], version["behind"]) == ("unknown", "unknown", None)
    assert len(found["unknown"]) == 1 and version["problems"] == []


def test_a_remote_that_does_not_answer_leaves_its_side_unknown(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    staging.run(repository.path, "status", "--check")
    repository.remote.rename(repository.remote.with_name("away.git"))
    found = staging.run(repository.path, "status", "-o", "json").json
    assert found["versions"][0]["head"] == found["versions"][0]["main"] == "unknown"
    assert "cannot read main of origin" in found["unknown"][0]["text"]
    staging.run(repository.path, "status", "--check", code=REFUSED)


def test_a_branch_that_moved_and_one_that_is_gone(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    head = push_other(repository, RIDGE)
    version = told(staging, repository)
    assert version["head"] == head and version["commit"] != head
    (text,) = problems(version)
    assert f"is at {head[:12]}, and {version['commit'][:12]} is deployed" in text
    assert commands(version) == [f"staging deploy --branch {RIDGE.branch} --docker-image IMAGE"]

    repository.delete_remote_branch(RIDGE.branch)
    version = told(staging, repository)
    assert version["head"] is None
    assert problems(version) == [f"branch {RIDGE.branch} is gone, and the release is still here"]
    assert commands(version) == [f"staging cleanup --dataset-id {RIDGE.dataset_id} --version {RIDGE.version}"]


def test_a_branch_that_names_no_version_is_told_with_what_takes_it_away(
    staging: Staging, repository: Repository
) -> None:
    repository.git("push", "--quiet", "origin", "main:refs/heads/stage/ridge;snow")
    (version,) = staging.run(repository.path, "status", "-o", "json").json["versions"]
    assert commands(version) == ["git push origin --delete 'stage/ridge;snow'"]


def test_commands_lead_where_this_one_was_led(staging: Staging, repository: Repository, live: Namespace) -> None:
    made = install(staging, repository, RIDGE)
    push_other(repository, RIDGE)
    place = ("--namespace", live.name, "--context", live.cluster.context)
    there = shlex.join(place)
    elsewhere = Staging({**staging.environment, "STAGING_NAMESPACE": "elsewhere"})
    (command,) = commands(told(elsewhere, repository, *place))
    assert command == f"staging deploy --branch {RIDGE.branch} --docker-image IMAGE {there}"
    done = elsewhere.run(repository.path, "pause", *place, RIDGE.branch)
    assert f"run again: staging resume {RIDGE.branch} {there}\n" in done.stdout
    again = done.stdout.split("run again: staging ")[1].split("\n")[0]
    elsewhere.run(repository.path, *shlex.split(again))
    started = elsewhere.run(repository.path, "run", *place, UPDATE).stdout.splitlines()[1]
    assert started.endswith(f" --follow {there}") and started.startswith("  kubectl logs job/"), started
    assert f"run --branch {RIDGE.branch}" not in started and made


def test_a_branch_that_was_never_deployed(staging: Staging, repository: Repository) -> None:
    push(repository, RIDGE)
    version = told(staging, repository)
    assert (version["status"], version["branch"]) == ("not deployed", RIDGE.branch)
    assert "has no release here" in problems(version)[0]


@pytest.mark.parametrize("paused", [False, True])
def test_main_that_is_behind_the_same_ahead_and_gone(staging: Staging, repository: Repository, paused: bool) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    if paused:
        staging.run(repository.path, "pause", RIDGE.branch)
        assert "waits for its first backfill" in told(staging, repository)["notes"][0]["text"]
    repository.bump("ridge-snow", "0.2.0")
    repository.commit()
    repository.push("main")
    version = told(staging, repository)
    assert (version["main"], version["behind"]) == ("0.2.0", 1)
    assert problems(version) == [
        f"main has version 0.2.0 too: {'this one is paused' if paused else 'both write the same stores'}"
    ]
    pause = [] if paused else [f"staging pause {RIDGE.branch}"]
    assert commands(version) == [*pause, "staging cleanup --promoted"]

    repository.bump("ridge-snow", "0.3.0")
    repository.commit()
    repository.push("main")
    version = told(staging, repository)
    assert version["main"] == "0.3.0" and version["problems"] == []
    assert "this is a legacy version" in version["notes"][0]["text"]
    assert [note["text"] for note in version["notes"][1:]] == (
        ["it is paused, and its data exists. To go on:"] if paused else []
    )

    template = f"{repository.template_path('ridge-snow')}/zarr.json"
    repository.write(template, "{")
    repository.commit()
    repository.push("main")
    version = told(staging, repository)
    assert (version["main"], version["behind"]) == ("unreadable", 3)
    (problem,) = version["problems"]
    assert f"main's version of ridge-snow is unknown. {template} on origin/main is not JSON" in problem["text"]
    assert problem["commands"] == [f"git show origin/main:{template}"]
    assert repository.git(*problem["commands"][0].split()[1:]) == "{"
    repository.git("rm", "-rq", str(Path(template).parent))
    repository.commit()
    repository.push("main")
    assert told(staging, repository)["main"] is None


def test_a_version_of_another_repository_is_not_compared(staging: Staging, repository: Repository) -> None:
    install(staging, repository, RIDGE, owner="somebody/else")
    version = told(staging, repository)
    assert (version["head"], version["main"], version["ours"]) == ("unknown", "unknown", False)
    assert version["problems"] == []
    staging.run(repository.path, "status", "--check", code=0)
    assert "of somebody/else, head unknown" in staging.run(repository.path, "status").stdout


# Jobs


def test_jobs_that_ran_well_and_that_run(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    start(live, UPDATE, "done")
    start(live, VALIDATE, "running", annotations={RUN_SECONDS: "3600"})
    wait_until(lambda: over(live, "done"), what="the Job is done")
    pod_of(live, "running")
    update, validate = told(staging, repository)["jobs"]
    assert update["last_success"] and not update["running"] and not update["last_failure"]
    assert [(run["name"], run["state"]) for run in validate["running"]] == [("running", "running")]
    text = staging.run(repository.path, "status", "--check").stdout
    assert "succeeded " in text and "runs for " in text


@pytest.mark.parametrize(
    ("kind", "why", "line"),
    [
        ("image", "image i is not pulled (ImagePullBackOff)", "kubectl describe pod"),
        ("secret", 'container worker cannot start: secret "sentry" not found', "kubectl describe pod"),
        ("node", "no node takes its pod: ", "kubectl describe pod"),
        ("exit code", "exit code 3", "kubectl logs job/it"),
        ("deadline", "deadline exceeded (1 s)", "kubectl "),
        ("pods gone", "; its pods are gone", "kubectl describe job it"),
    ],
)
def test_a_failing_job_is_told_with_its_reason_and_the_line_for_its_log(
    staging: Staging, repository: Repository, live: Namespace, kind: str, why: str, line: str
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    if kind == "image":
        start(live, UPDATE, "it", **NOWHERE)
        waiting(live, "it", "ImagePullBackOff", "Back-off pulling image")
    elif kind == "secret":
        start(live, UPDATE, "it", **NOWHERE)
        waiting(live, "it", "CreateContainerConfigError", 'secret "sentry" not found')
    elif kind == "node":
        start(live, UPDATE, "it", **NOWHERE)
        wait_until(lambda: live.get("pods", pod_of(live, "it"))["status"].get("conditions"))
    elif kind == "deadline":
        start(live, UPDATE, "it", annotations={RUN_SECONDS: "3600"}, job={"activeDeadlineSeconds": 1})
        wait_until(lambda: over(live, "it"), what="the deadline")
    else:
        start(live, UPDATE, "it", annotations={EXIT_CODE: "3"})
        wait_until(lambda: over(live, "it"), what="the Job failed")
        if kind == "pods gone":
            live.delete("pods", pod_of(live, "it"))
            wait_until(lambda: not live.names("pods"), what="the pod is gone")
    version = told(staging, repository)
    (text,) = problems(version)
    assert text.startswith("Job it ") and why in text, text
    assert any(command.startswith(line) for command in commands(version)), version["problems"]
    assert all(f"--namespace {live.name}" in c for c in commands(version) if c.startswith("kubectl"))
    narrow = staging.run(repository.path, "status", "--check", code=REFUSED, COLUMNS="80").stdout
    for command in commands(version):
        assert f"      {command}\n" in narrow  # whole, on a line of its own
    others = [row for row in narrow.splitlines() if not row.startswith("      ") and RIDGE.release not in row]
    assert max(map(len, others)) <= 80, narrow
    shown = staging.run(repository.path, "status", "-o", "markdown").stdout
    assert "```bash" in shown and "| version | state |" in shown


def test_a_failure_that_a_later_run_mended_is_told_and_not_wrong(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    start(live, UPDATE, "bad", annotations={EXIT_CODE: "3"})
    wait_until(lambda: over(live, "bad"), what="the Job failed")
    staging.run(repository.path, "status", "--check", code=REFUSED)
    time.sleep(1.1)  # times of Kubernetes are whole seconds
    start(live, UPDATE, "good")
    wait_until(lambda: over(live, "good"), what="the Job is done")
    text = staging.run(repository.path, "status", "--check").stdout
    assert "(exit code 3)" in text
    assert "note: Job bad failed before the last success: exit code 3\n      kubectl logs job/bad " in text


def test_an_attempt_that_failed_is_told_with_its_log(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    job = make_unfinished(live, UPDATE, "between attempts")
    (note,) = told(staging, repository)["notes"]
    assert note["text"] == f"Job {job} runs, and an attempt failed: exit code 1"
    (pod,) = live.names("pods")
    assert note["commands"][0].startswith(f"kubectl logs {pod} --all-containers --namespace {live.name} ")


def test_a_run_that_left_no_job_is_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    status = {"lastScheduleTime": "2026-01-05T09:00:00Z", "lastSuccessfulTime": "2026-01-04T09:00:00Z"}
    live.patch("cronjobs", UPDATE, {"status": status}, subresource="status")
    version = told(staging, repository)
    assert f"the run of {UPDATE} at 2026-01-05T09:00:00Z did not succeed, and its Job is gone" in problems(version)
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert [job["last_run"] for job in row["jobs"]] == ["failed", ""]
    assert row["jobs"][0]["next_fire"] == version["jobs"][0]["next_fire"]
    done = staging.run(repository.path, "list")
    assert "deployed, update failed " in done.stdout and row["jobs"][1]["log"] == ""
    minutes = int(datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp()) // 60
    log = f"kubectl logs job/{UPDATE}-{minutes} --all-containers --namespace {live.name} --context "
    assert row["jobs"][0]["log"].startswith(log) and f"  {row['jobs'][0]['log']}\n" in done.stderr


def test_the_log_that_list_names_is_that_of_the_job_that_the_schedule_made(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    template = {"metadata": {"annotations": {EXIT_CODE: "1"}}, "spec": {"restartPolicy": "Never"}}
    live.patch("cronjobs", UPDATE, {"spec": {"jobTemplate": {"spec": {"backoffLimit": 0, "template": template}}}})
    live.fire(UPDATE)
    wait_until(lambda: any(over(live, job["metadata"]["name"]) for job in live.jobs_of(UPDATE)), what="it has failed")
    wait_until(lambda: not live.get("cronjobs", UPDATE)["status"].get("active"), what="the controller knows")
    (job,) = live.jobs_of(UPDATE)
    summary = tmp_path / "summary.md"
    done = staging.run(repository.path, "list", GITHUB_STEP_SUMMARY=str(summary))
    line = f"  kubectl logs job/{job['metadata']['name']} --all-containers "
    assert line in done.stderr and line in summary.read_text()


# What somebody did by hand


def test_what_is_not_as_it_was_deployed(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    live.patch("cronjobs", UPDATE, {"spec": {"suspend": True, "schedule": "1 1 1 1 1"}})
    live.delete("cronjobs", VALIDATE)
    version = told(staging, repository)
    assert problems(version) == [
        f"CronJob {UPDATE} is suspended, and nobody paused the version",
        f"CronJob {UPDATE} has schedule 1 1 1 1 1, but {version['jobs'][1]['schedule']} was deployed",
        f"CronJob {VALIDATE} is missing",
    ]
    assert commands(version)[0] == commands(version)[2] == f"staging resume {RIDGE.branch}"
    staging.run(repository.path, *commands(version)[0].split()[1:])
    assert told(staging, repository)["problems"] == []

    staging.run(repository.path, "pause", RIDGE.branch)
    live.patch("cronjobs", UPDATE, {"spec": {"suspend": False}})
    version = told(staging, repository)
    assert problems(version) == [f"CronJob {UPDATE} is not suspended, but the version is paused"]
    staging.run(repository.path, *commands(version)[0].split()[1:])
    assert told(staging, repository)["problems"] == []

    pod = {"template": {"spec": {"dnsPolicy": "Default"}}}
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": {"jobTemplate": {"spec": pod}}}))
    (text,) = problems(told(staging, repository))
    assert f"CronJob {UPDATE} was changed by hand after its deploy (kubectl-patch, 20" in text
    staging.run(repository.path, "pause", RIDGE.branch)
    assert told(staging, repository)["problems"] == []


def test_a_change_by_hand_that_a_later_deploy_brings_too_is_none(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    made = install(staging, repository, RIDGE)
    push(repository, RIDGE)
    change = {"jobTemplate": {"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}}}
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": change}))
    assert "was changed by hand" in problems(told(staging, repository))[0]
    time.sleep(1.1)  # times of Kubernetes are whole seconds
    made.jobs["update"].spec["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] = "Default"
    again = ("upgrade", RIDGE.release, str(CHART), "-f", "-", "--force-replace", "--server-side=false")
    assert staging.tool("helm", *again, given=values.dump(made)).code == 0
    writers = [entry["manager"] for entry in live.get("cronjobs", UPDATE)["metadata"]["managedFields"]]
    assert "kubectl-patch" in writers and told(staging, repository)["problems"] == []
    change["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    time.sleep(1.1)
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": change}))
    assert "was changed by hand" in problems(told(staging, repository))[0]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"concurrencyPolicy": "Replace"}, "has concurrencyPolicy Replace, but Allow was deployed"),
        ({"successfulJobsHistoryLimit": 9}, "has successfulJobsHistoryLimit 9, but 3 was deployed"),
        ({"failedJobsHistoryLimit": 0}, "has failedJobsHistoryLimit 0, but 1 was deployed"),
        ({"startingDeadlineSeconds": 0}, "has startingDeadlineSeconds 0, but none was deployed"),
    ],
)
def test_any_field_of_a_cronjob_that_was_changed_by_hand_is_told(
    staging: Staging, repository: Repository, live: Namespace, changed: Mapping[str, Any], text: str
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": {**changed, "suspend": True}}))
    found = told(staging, repository)
    assert problems(found)[0] == f"CronJob {UPDATE} is suspended, and nobody paused the version"
    assert len(problems(found)) == 2 and f"CronJob {UPDATE} {text}" in problems(found)[1]
    assert {*commands(found)} == {f"staging resume {RIDGE.branch}"}
    staging.run(repository.path, "resume", RIDGE.branch)
    assert told(staging, repository)["problems"] == []
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": changed}))
    live.kubectl("patch", "cronjob", UPDATE, "--patch", json.dumps({"spec": dict.fromkeys(changed)}))
    assert told(staging, repository)["problems"] == []  # there and back


# Who is asked


def test_any_name_means_its_version(staging: Staging, repository: Repository, live: Namespace) -> None:
    other = StagedVersion("ridge-snow", "0.3.0")
    for staged in (RIDGE, other):
        install(staging, repository, staged)
        push(repository, staged)
    assert len(staging.run(repository.path, "status", "-o", "json").json["versions"]) == 2
    for name in (RIDGE.branch, RIDGE.release, UPDATE, f"{UPDATE}-29926541"):
        assert told(staging, repository, name)["version"] == RIDGE.version
    assert told(staging, repository, "--branch", other.branch)["version"] == other.version
    assert "Did you mean" in staging.run(repository.path, "status", f"{RIDGE.release}x", code=REFUSED).stderr
    staging.run(repository.path, "status", RIDGE.branch, "--branch", RIDGE.branch, code=USAGE)


def test_status_starts_and_asks_the_same_however_much_there_is(staging: Staging, repository: Repository) -> None:
    started = []
    for version in ("1.1", "1.2", "1.3"):
        install(staging, repository, StagedVersion("ridge-snow", version))
        push_other(repository, StagedVersion("ridge-snow", version))
        lines = staging.run(repository.path, "status", "--verbose").stderr.splitlines()
        started.append(sorted(Path(line.split()[1]).name for line in lines if line.startswith("+ ")))
    one, _, three = started
    assert one == three and one.count("kubectl") == 5  # a proxy, and four questions


def test_a_cluster_that_cannot_be_asked_is_an_error(staging: Staging, repository: Repository) -> None:
    done = staging.run(repository.path, "status", code=OUTSIDE, STAGING_KUBE_CONTEXT="no-such-context")
    assert "no-such-context" in done.stderr


@pytest.mark.parametrize("output", ["table", "json", "markdown"])
def test_what_a_pod_says_does_nothing_to_a_terminal_or_a_page(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile, output: str
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    start(live, UPDATE, "it", **NOWHERE)
    waiting(live, "it", "CreateContainerError", "\x1b[31m\u202e<script>\n::error::`x`|\n##[error]y")
    done = staging.run(repository.path, "status", "-o", output, GITHUB_ACTIONS="true")
    assert not {"\x1b", "\u202e"} & {*done.stdout}
    assert not [line for line in done.stdout.splitlines() if line.lstrip().startswith("::") or "##[" in line]
    assert output != "markdown" or r"\<script\>" in done.stdout
    hostile.tried("terminal text", done.stdout + done.stderr)


def test_monitors_are_told_where_a_token_is(staging: Staging, repository: Repository, sentry: Sentry) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    sentry.server.check_in(UPDATE, sentry.project, CONFIG, status="error")
    update, validate = told(staging, repository, **sentry.environment)["jobs"]
    assert (update["monitor"], validate["monitor"]) == ("error", "none")
    version = told(staging, repository, **sentry.environment)
    assert problems(version) == [f"Sentry says error of monitor {UPDATE}"]
    assert commands(version) == [f"staging logs {UPDATE}", f"staging run {UPDATE}"]
    assert {job["monitor"] for job in told(staging, repository)["jobs"]} == {""}
    sentry.server.monitors[0].status = "disabled"
    assert "its monitor is disabled, and the job runs" in problems(told(staging, repository, **sentry.environment))[0]
    away = sentry.environment | {"SENTRY_URL": "http://127.0.0.1:9"}
    found = staging.run(repository.path, "status", "-o", "json", code=0, given="", **away).json
    assert "does not answer" in found["unknown"][0]["text"]
