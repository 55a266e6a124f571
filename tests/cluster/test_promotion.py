"""Main takes a staged version over: the guard before production's deploy, the cleanup after it, never two writers."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from live import IMAGE, Namespace, Staging, end, wait_until, with_helm
from records import newest, packed, unpacked, write
from repositories import Repository, stage_branch
from staged import RUN_SECONDS, install
from staging_cronjobs.model.staged_version import StagedVersion
from watching import CANARY, ended, fire_all, history, make_canary, watched

REFUSED, USAGE, UNFINISHED = 3, 2, 5
RIDGE = StagedVersion("ridge-snow", "0.2.0")
FORECAST = StagedVersion("ridge-snow-forecast", "0.2.0")
KEYS = ("update", "validate")
NAMES = [RIDGE.job_name(key) for key in KEYS]
OLD, NEW = "example.registry/weather:main-1", "example.registry/weather:main-2"  # what production runs
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def merge(repository: Repository, version: str = "0.2.0") -> None:
    """Main has that version now, checked out as in production's workflow."""
    repository.checkout("main")
    repository.bump(RIDGE.dataset_id, version)
    repository.commit(f"Take {version}")
    repository.push("main")


def suspended(live: Namespace) -> set[bool]:
    return {live.get("cronjobs", name)["spec"]["suspend"] for name in NAMES}


@one_major
def test_a_version_that_main_does_not_have_is_no_conflict(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    repository.checkout("main")
    assert "has a version that main has too" in staging.run(repository.path, "guard").stdout
    assert suspended(live) == {False}
    done = staging.run(repository.path, "cleanup", "--promoted", "--yes")
    assert "Nothing to clean up" in done.stdout
    assert staging.run(repository.path, "list", "-o", "json").json


@one_major
def test_a_version_that_main_has_too_stops_production_until_it_is_paused(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    made = install(staging, repository, RIDGE)
    install(staging, repository, StagedVersion("ridge-snow", "0.3.0"))
    install(staging, repository, StagedVersion("ridge-snow-forecast", "0.2.0"), owner="somebody/else")
    merge(repository)
    said = staging.run(repository.path, "guard", code=REFUSED).stderr
    template = f"{repository.template_path('ridge-snow')}/zarr.json"
    assert f"main has version 0.2.0 of ridge-snow ({template})" in said
    assert f"{RIDGE.release}: CronJob {NAMES[0]} is not suspended, CronJob {NAMES[1]} is not suspended" in said
    assert made.record.stores[0] in said and "0.3.0" not in said and "ridge-snow-forecast" not in said
    assert "warning: main has version 0.2.0" in staging.run(repository.path, "guard", "--warn").stderr
    assert suspended(live) == {False}

    done = staging.run(repository.path, "guard", "--pause")
    assert "It is paused now. To remove it: staging cleanup --promoted" in done.stderr
    assert suspended(live) == {True}
    assert "it is paused" in staging.run(repository.path, "guard").stderr
    live.patch("cronjobs", NAMES[1], {"spec": {"suspend": False}})
    assert f"CronJob {NAMES[1]} is not suspended" in staging.run(repository.path, "guard", code=REFUSED).stderr
    assert NAMES[0] not in staging.run(repository.path, "guard", code=REFUSED).stderr.replace(RIDGE.release, "", 1)


@one_major
@pytest.mark.parametrize("moved", [False, True])
def test_a_promoted_version_does_not_go_on(
    staging: Staging, repository: Repository, live: Namespace, moved: bool, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    repository.commit("Change")
    install(staging, repository, RIDGE)
    staging.run(repository.path, "pause", RIDGE.branch)
    away = tmp_path / "away"
    away.mkdir()
    commands = (("resume", RIDGE.branch), ("run", NAMES[0]), ("rollback", RIDGE.branch))
    merge(repository)
    if moved:
        repository.git("mv", repository.template_path("ridge-snow"), "src/weather/moved.zarr")
        repository.commit("Move the template")
        repository.push("main")
    repository.git("checkout", "--quiet", "-b", "stage/other/v1.0", "main~1")  # whatever is checked out
    for command in commands:
        said = staging.run(repository.path, *command, code=REFUSED).stderr
        assert "origin/main has version 0.2.0 of ridge-snow too, so production writes its stores" in said
        assert "`staging cleanup --promoted`" in said
    assert suspended(live) == {True} and live.names("jobs") == []
    repository.remote.rename(repository.remote.with_name("gone.git"))
    said = staging.run(repository.path, "resume", RIDGE.branch, code=REFUSED).stderr  # as it was fetched last
    assert "origin/main has version 0.2.0 of ridge-snow too" in said
    for command in commands:  # nothing is known of main there
        staging.run(away, *command)


@one_major
def test_a_template_that_moved_on_main_is_found_by_its_id(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    merge(repository)
    folder = repository.template_path("ridge-snow")
    repository.git("mv", folder, "src/weather/moved.zarr")
    said = staging.run(repository.path, "guard", code=REFUSED).stderr
    assert "main has version 0.2.0 of ridge-snow (src/weather/moved.zarr/zarr.json)" in said
    repository.git("rm", "-rq", "--force", "src/weather/moved.zarr")
    staging.run(repository.path, "guard")


def mark(live: Namespace, staged: StagedVersion, status: str) -> None:
    """As a helm that was killed leaves the newest record of a release."""
    secret = newest(live, staged.release)
    content = unpacked(secret)
    content["info"]["status"] = status
    patch = {"data": {"release": packed(content)}, "metadata": {"labels": {"status": status}}}
    write(live, secret["metadata"]["name"], patch)


@one_major
@pytest.mark.parametrize("status", ["uninstalling", "uninstalled"])
def test_what_a_cleanup_left_is_a_writer_too(
    staging: Staging, repository: Repository, live: Namespace, status: str
) -> None:
    install(staging, repository, RIDGE)
    merge(repository)
    mark(live, RIDGE, status)
    said = staging.run(repository.path, "guard", code=REFUSED).stderr
    assert f"{RIDGE.release} ({status}): CronJob {NAMES[0]} is not suspended" in said
    staging.run(repository.path, "guard", "--pause")
    assert suspended(live) == {True}
    assert newest(live, RIDGE.release)["metadata"]["labels"]["status"] == status
    for name in NAMES:
        live.delete("cronjobs", name)
    assert f"it is {status}, and nothing of it runs" in staging.run(repository.path, "guard").stderr


@one_major
def test_a_job_that_a_failed_upgrade_dropped_is_a_writer_too(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    dropped = live.get("cronjobs", NAMES[1])
    install(staging, repository, RIDGE, keys=KEYS[:1])
    dropped["metadata"] = {k: dropped["metadata"][k] for k in ("name", "namespace", "labels", "annotations")}
    live.create(dropped)
    mark(live, RIDGE, "failed")
    staging.run(repository.path, "run", "--branch", RIDGE.branch, "--key", "update")
    merge(repository)
    said = staging.run(repository.path, "guard", code=REFUSED).stderr
    assert f"CronJob {NAMES[1]} is not suspended" in said
    staging.run(repository.path, "guard", "--pause")
    assert suspended(live) == {True}


@one_major
def test_one_release_that_cannot_be_paused_does_not_hold_up_the_others(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, FORECAST)
    install(staging, repository, RIDGE)
    merge(repository)
    repository.bump(FORECAST.dataset_id, FORECAST.version)
    stolen = FORECAST.job_name("validate")
    taken = {"metadata": {"annotations": {"meta.helm.sh/release-name": "another"}}}
    live.patch("cronjobs", stolen, taken, how="merge")
    done = staging.run(repository.path, "guard", "--pause", code=UNFINISHED)
    assert f"{FORECAST.release} is not paused: CronJob {stolen} has the name of a job" in done.stderr
    assert f"{RIDGE.release} is not paused" not in done.stderr and suspended(live) == {True}
    assert unpacked(newest(live, RIDGE.release))["config"]["suspend"] is True


@one_major
def test_all_are_suspended_before_another_helm_is_waited_for(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, FORECAST)
    install(staging, repository, FORECAST)
    mark(live, FORECAST, "pending-upgrade")
    install(staging, repository, RIDGE)
    merge(repository)
    repository.bump(FORECAST.dataset_id, FORECAST.version)
    process = staging.start(repository.path, "guard", "--pause")
    assert process.stderr
    waiting = next(line for line in process.stderr if line.startswith("waiting for another helm: "))
    assert FORECAST.release in waiting and suspended(live) == {True}
    assert {live.get("cronjobs", FORECAST.job_name(key))["spec"]["suspend"] for key in KEYS} == {True}
    end(process, signal.SIGINT)


@one_major
def test_a_pause_that_helm_cannot_record_holds_all_the_same(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    merge(repository)
    broken = with_helm(staging, tmp_path / "bin", before='[ "$1" != upgrade ] || { echo no space left >&2; exit 1; }')
    done = broken.run(repository.path, "guard", "--pause")
    assert f"warning: {RIDGE.release} is suspended, but Helm's record does not say so" in done.stderr
    assert "no space left" in done.stderr and suspended(live) == {True}
    live.patch("cronjobs", NAMES[1], {"spec": {"suspend": False}})
    done = broken.run(repository.path, "guard", "--pause", "--strict", code=UNFINISHED)
    assert "no space left" in done.stderr and suspended(live) == {True}


@one_major
def test_a_repository_that_was_renamed_is_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE, owner="somebody/before")
    merge(repository)
    done = staging.run(repository.path, "guard")
    told = 'set repository = "somebody/before" in'
    assert "warning: " in done.stderr and told in done.stderr
    assert "None of the staged versions that can be compared" in done.stdout
    assert suspended(live) == {False}
    assert told in staging.run(repository.path, "guard", "--strict", code=REFUSED).stderr
    done = staging.run(repository.path, "cleanup", "--promoted", "--yes")
    assert told in done.stderr and "None of the staged versions that can be compared" in done.stdout
    assert staging.run(repository.path, "list", "-o", "json").json


@one_major
def test_a_job_that_runs_is_waited_for_and_stopped_only_when_asked(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE, seconds=3600)
    staging.run(repository.path, "pause", "--branch", RIDGE.branch)
    started = staging.run(repository.path, "run", "--branch", RIDGE.branch, "--key", "update").stdout
    (job,) = live.jobs_of(NAMES[0])
    name = job["metadata"]["name"]
    assert name in started
    merge(repository)
    assert f"Job {name} is running" in staging.run(repository.path, "guard", code=REFUSED).stderr
    said = staging.run(repository.path, "guard", "--pause", "--wait", "2s", code=UNFINISHED).stderr
    assert f"staged jobs are suspended, but {name} still run after 2s" in said and "--stop" in said
    assert live.jobs_of(NAMES[0])
    # As a pod that takes its time to end would hold it.
    live.patch("jobs", name, {"metadata": {"finalizers": ["example.org/held"]}}, how="merge")
    process = staging.start(repository.path, "guard", "--pause", "--wait", "1s", "--stop")
    assert process.stderr
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if line == f"waiting for 1 running Jobs: {name}\n" and lines.count(line) == 2:  # since it was deleted
            live.patch("jobs", name, {"metadata": {"finalizers": None}}, how="merge")
    assert end(process).code == 0, lines
    assert f"deleting {name}\n" in lines and "still run after" not in "".join(lines)
    wait_until(lambda: not live.jobs_of(NAMES[0]), what="the Job is gone")


@one_major
@pytest.mark.parametrize("strict", [False, True])
def test_what_the_guard_cannot_do_does_not_stop_production_unless_asked_to(
    staging: Staging, repository: Repository, live: Namespace, strict: bool, tmp_path: Path
) -> None:
    args = ["guard", *(["--strict"] if strict else [])]
    away = {"STAGING_KUBE_CONTEXT": "no-such-context"}
    done = staging(repository.path, *args, **away)
    assert done.code == (4 if strict else 0), done.stderr
    assert ("error: " if strict else "warning: The guard did not work, so two writers are possible. ") in done.stderr
    assert "no-such-context" in done.stderr

    made = install(staging, repository, RIDGE)
    record = made.record.model_copy(update={"branch": "stage/other/v1"})
    values = made.model_copy(update={"record": record}).model_dump(mode="json")
    chart = Path(__file__).parents[2] / "charts/staging-cronjobs"
    assert staging.tool("helm", "upgrade", RIDGE.release, str(chart), "-f", "-", given=json.dumps(values)).code == 0
    done = staging(repository.path, *args)
    assert done.code == (REFUSED if strict else 0), done.stderr
    assert f"release {RIDGE.release} cannot be read: " in done.stderr
    assert strict or "None of the staged versions that can be compared" in done.stdout


@one_major
@pytest.mark.parametrize("args", [["--pause", "--warn"], ["--stop"], ["--wait", "soon"]])
def test_options_that_contradict_each_other_are_refused(
    staging: Staging, repository: Repository, args: list[str]
) -> None:
    assert staging.run(repository.path, "guard", *args, code=USAGE).stderr.startswith("error: --w")


@one_major
def test_promoted_versions_go_and_others_stay(staging: Staging, repository: Repository, live: Namespace) -> None:
    later, theirs = StagedVersion("ridge-snow", "0.3.0"), StagedVersion("ridge-snow-forecast", "0.1.0")
    for staged in (RIDGE, later):
        install(staging, repository, staged)
        repository.git("push", "--quiet", "origin", f"main:refs/heads/{staged.branch}")
    install(staging, repository, theirs, owner="somebody/else")
    merge(repository)
    refused = staging.run(repository.path, "cleanup", "--promoted", code=REFUSED)
    assert (
        f"  branch   {RIDGE.branch}" in refused.stderr
        and "store    s3://weather-data/ridge-snow/v0.2.0" in refused.stderr
    )
    done = staging.run(repository.path, "cleanup", "--promoted", "--yes")
    assert f"Release {RIDGE.release} is gone" in done.stdout
    left = [row["release"] for row in staging.run(repository.path, "list", "-o", "json").json]
    assert left == sorted([later.release, theirs.release])
    assert repository.remote_head(RIDGE.branch) is None and repository.remote_head(later.branch)
    repository.bump("ridge-snow", later.version)
    repository.git("mv", repository.template_path("ridge-snow"), "src/weather/moved.zarr")
    repository.commit("Release the later one, and move its template")
    repository.push("main")
    done = staging.run(repository.path, "cleanup", "--promoted", "--yes")
    assert f"Release {later.release} is gone" in done.stdout
    other = staging.run(repository.path, "cleanup", "--promoted", "--all-versions", "--dataset-id", "x", code=USAGE)
    assert "--promoted finds the versions itself" in other.stderr


def production_jobs(staging: Staging, repository: Repository, live: Namespace, image: str) -> None:
    """What the deploy of production does: apply the CronJobs of the code that is checked out."""
    jobs = next(d for d in staging.catalogue(repository.path, image) if d["dataset_id"] == RIDGE.dataset_id)["cronjobs"]
    live.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs}))


def production_runs(live: Namespace) -> bool:
    """Fire all; whether production's job of the new code has been started. One of the old code may still run."""
    fire_all(live)
    return any(image_of(job) == NEW for job in live.jobs_of("ridge-snow-update"))


def image_of(thing: dict[str, Any]) -> str:
    spec = thing["spec"].get("jobTemplate", thing)["spec"]
    return spec["template"]["spec"]["containers"][0]["image"]


def writers(there: dict[tuple[str, str], dict[str, Any]], images: set[str]) -> set[str]:
    """CronJobs that may start a Job with one of these images, or have one that has not ended."""
    found = set()
    for (kind, name), thing in there.items():
        if name.startswith(CANARY) or image_of(thing) not in images:
            continue
        if kind == "cronjobs" and not thing["spec"].get("suspend"):
            found.add(name)
        if kind == "jobs" and not ended(thing):
            found |= {owner["name"] for owner in thing["metadata"]["ownerReferences"]}
    return found


@one_major
def test_a_promotion_never_has_two_writers(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    code = repository.path / "src/weather/kubernetes.py"
    mark = '"karpenter.sh/do-not-disrupt"'
    repository.write("src/weather/kubernetes.py", code.read_text().replace(mark, f'"{RUN_SECONDS}": "2", {mark}'))
    repository.commit("Run longer")
    repository.push("main")
    with watched(live, tmp_path):
        production_jobs(staging, repository, live, OLD)
        make_canary(live)
        repository.stage(RIDGE.dataset_id, RIDGE.version)
        staging.run(repository.path, "deploy", "--branch", RIDGE.branch, "--docker-image", IMAGE)
        fire_all(live)
        wait_until(lambda: live.jobs_of(NAMES[0]), what="the staged job runs")

        repository.git("checkout", "--quiet", "main")
        repository.git("merge", "--quiet", stage_branch(RIDGE.dataset_id, RIDGE.version))
        repository.push("main")
        staging.run(repository.path, "guard", code=REFUSED)
        fire_all(live)
        staging.run(repository.path, "guard", "--pause")
        fire_all(live)
        production_jobs(staging, repository, live, NEW)
        wait_until(lambda: production_runs(live), what="production runs the new code")
        staging.run(repository.path, "cleanup", "--promoted", "--yes")
        fire_all(live)
    assert live.names("cronjobs") == [CANARY, "ridge-snow-update", "ridge-snow-validate"]

    moments = [writers(there, {IMAGE, NEW}) for there in history(tmp_path)]
    seen = set().union(*moments)
    assert {*NAMES, "ridge-snow-update", "ridge-snow-validate"} <= seen, "nothing was at work, so nothing is proven"
    assert [found for found in moments if found & {*NAMES} and found - {*NAMES}] == []
