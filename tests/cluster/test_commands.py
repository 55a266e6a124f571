"""What each command does to a real namespace and a real remote, with each supported major of Helm."""

import os
import pty
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from live import IMAGE, LABEL, PROGRAM, Done, Namespace, Staging, end, wait_until, with_helm
from repositories import LEGACY, Repository, stage_branch

CHART = Path(__file__).parents[2] / "charts" / "staging-cronjobs"
RUN_SECONDS = "staging-cronjobs.test/run-seconds"
REFUSED, OUTSIDE, SUPERSEDED, INTERRUPTED = 3, 4, 6, 130

RIDGE = ("ridge-snow", "0.2.0")
GLACIER = ("glacier-ice-forecast-5-day", "0.3.0")  # has an archive job beside update and validate
ESTUARY = ("estuary-salinity-analysis", "0.2.0")  # its update and validate are suspended by their own code
FJORD = ("fjord-basin-ens-forecast-12-day-0-25-degree", "0.4.0")  # a long id and 38 workers
SKIP_ARCHIVE = ("--skip-job", "archive-grib-files")

one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)
any_cluster = pytest.mark.any_cluster


def target(staged: tuple[str, str]) -> tuple[str, ...]:
    return ("--dataset-id", staged[0], "--version", staged[1])


def release(staged: tuple[str, str]) -> str:
    """The release of an id that is short enough to stay whole."""
    return f"staging-{staged[0]}-v{staged[1].replace('.', '-')}"


def deploy(staging: Staging, repository: Repository, staged: tuple[str, str], *args: str, code: int = 0) -> Done:
    """Deploy what is checked out, from the user's own objects."""
    image = args if "--docker-image" in args else ("--docker-image", IMAGE, *args)
    return staging.run(repository.path, "deploy", *target(staged), *image, code=code)


def changed(staging: Staging, **environment: str) -> Staging:
    """The program with more variables in its environment."""
    return Staging({**staging.environment, **environment})


def push_again(repository: Repository, staged: tuple[str, str], edits: Mapping[str, tuple[str, str]]) -> str:
    """A second push to a stage branch, with texts replaced in files of src/weather; gives its commit."""
    for file, (old, new) in edits.items():
        path = f"src/weather/{file}"
        text = (repository.path / path).read_text()
        assert old in text
        repository.write(path, text.replace(old, new))
    commit = repository.commit("Push again")
    repository.push(stage_branch(*staged))
    return commit


def suspended(live: Namespace) -> dict[str, bool]:
    """Which CronJobs are, by key."""
    jobs = live.all("cronjobs", f"{LABEL}release")
    return {job["metadata"]["annotations"][f"{LABEL}key"]: job["spec"]["suspend"] for job in jobs}


def newest_record(live: Namespace, name: str, kind: str = "secrets") -> dict[str, str]:
    """The labels of Helm's newest record of a release."""
    records = [record["metadata"]["labels"] for record in live.all(kind, f"owner=helm,name={name}")]
    return max(records, key=lambda labels: int(labels["version"]))


@any_cluster
def test_deploy_installs_then_upgrades_and_forgets_no_job(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    name = release(GLACIER)
    commit = repository.stage(*GLACIER)
    first = deploy(staging, repository, GLACIER, "-o", "json").json
    keys = ["archive-grib-files", "update", "validate"]
    assert [job["key"] for job in first["jobs"]] == keys
    assert live.names("cronjobs", f"{LABEL}release={name}") == [job["name"] for job in first["jobs"]]
    assert (first["release"], first["installed"], first["paused"], first["notices"]) == (name, True, False, [])
    assert (first["main_version"], first["namespace"]) == ("0.2.0", live.name)
    assert first["record"]["commit"] == commit
    assert first["record"]["repository"] == "dynamical-demo/weather"
    assert first["record"]["stores"] == ["s3://weather-data/glacier-ice-forecast-5-day/v0.3.0.icechunk"]

    push_again(repository, GLACIER, {"datasets.py": ('archives="grib-files",', "")})
    second = deploy(staging, repository, GLACIER)
    assert f"Upgraded release {name}" in second.stdout
    assert live.names("cronjobs", f"{LABEL}release={name}") == [f"{name}-update", f"{name}-validate"]
    labels = {k: v for k, v in newest_record(live, name).items() if k.startswith(LABEL)}
    identity = {f"{LABEL}dataset-id": GLACIER[0], f"{LABEL}dataset-version": GLACIER[1]}
    assert labels == identity | {f"{LABEL}job.{job['name']}": job["key"] for job in first["jobs"]}


@any_cluster
def test_what_list_says(staging: Staging, repository: Repository, live: Namespace) -> None:
    assert staging.run(repository.path, "list", "-o", "json").json == []
    assert "No staged versions" in staging.run(repository.path, "list").stdout
    commits = {staged: repository.stage(*staged) for staged in (RIDGE, FJORD)}
    for staged in (RIDGE, FJORD):
        repository.checkout(stage_branch(*staged))
        deploy(staging, repository, staged, *(["--paused"] if staged == FJORD else []))
    fjord, ridge = staging.run(repository.path, "list", "-o", "json").json
    assert (ridge["release"], ridge["paused"], fjord["paused"]) == (release(RIDGE), False, True)
    assert [(row["dataset_id"], row["version"], row["commit"]) for row in (ridge, fjord)] == [
        (*staged, commit) for staged, commit in commits.items()
    ]
    for row in (ridge, fjord):
        assert (row["repository"], row["namespace"]) == ("dynamical-demo/weather", live.name)
        assert (row["status"], row["revision"]) == ("deployed", 1)
        assert [job["key"] for job in row["jobs"]] == ["update", "validate"]
        assert {job["suspend"] for job in row["jobs"]} == {row["paused"]}
        assert all(live.get("cronjobs", job["name"])["spec"]["schedule"] == job["schedule"] for job in row["jobs"])
    table = staging.run(repository.path, "list").stdout
    assert len(table.splitlines()) == 1 + 4
    for word in (*RIDGE, *FJORD, "deployed, paused", "validate  45", "suspended\n"):
        assert word in table


@any_cluster
@one_major
def test_a_paused_version_stays_paused_until_it_is_resumed(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    repository.stage(*RIDGE)
    first = deploy(staging, repository, RIDGE, "--paused")
    command = f"staging resume --dataset-id {RIDGE[0]} --version {RIDGE[1]}"
    for words in (", paused", "Paused: no job runs on its schedule", "1. backfill", command):
        assert words in first.stdout
    assert suspended(live) == {"update": True, "validate": True}

    repository.commit("Push again")
    repository.push(stage_branch(*RIDGE))
    assert ", paused" in deploy(staging, repository, RIDGE).stdout
    assert suspended(live) == {"update": True, "validate": True}

    assert "missed while paused starts at once" in staging.run(repository.path, *shlex.split(command)[1:]).stdout
    assert suspended(live) == {"update": False, "validate": False}
    assert "is running already" in staging.run(repository.path, *shlex.split(command)[1:]).stdout
    assert ", paused" not in deploy(staging, repository, RIDGE).stdout
    assert suspended(live) == {"update": False, "validate": False}

    assert "is paused" in staging.run(repository.path, "pause", *target(RIDGE)).stdout
    assert suspended(live) == {"update": True, "validate": True}
    assert "is paused already" in staging.run(repository.path, "pause", *target(RIDGE)).stdout


@one_major
def test_a_legacy_version_that_is_deployed_paused_has_its_data(
    staging: Staging, repository: Repository, tmp_path: Path
) -> None:
    dataset_id, version = LEGACY
    repository.legacy(dataset_id, version)
    own = {"STAGING_FIRST_DEPLOY": "paused", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = deploy(changed(staging, **own), repository, LEGACY)
    assert f", so its data exists. Next:\n  staging resume {shlex.join(target(LEGACY))}\n" in done.stdout
    assert "so this version's data exists: no backfill" in (tmp_path / "summary").read_text()
    assert "backfill" not in done.stdout
    (note,) = staging.run(repository.path, "status", "-o", "json").json["versions"][0]["notes"][1:]
    resume = [f"staging resume {stage_branch(dataset_id, version)}"]
    assert note == {"text": "it is paused, and its data exists. To go on:", "commands": resume}


@one_major
def test_the_first_deploy_may_be_paused_by_a_setting(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*ESTUARY)
    text = (repository.path / "pyproject.toml").read_text()
    repository.write("pyproject.toml", f'{text}first-deploy = "paused"\nskip-jobs = ["archive-buoy-reports"]\n')
    repository.commit("Pause the first deploy")
    repository.push(stage_branch(*ESTUARY))
    assert "Paused: no job runs" in deploy(staging, repository, ESTUARY).stdout
    staging.run(repository.path, "resume", *target(ESTUARY))
    assert "Paused: no job runs" not in deploy(staging, repository, ESTUARY).stdout
    assert "archive-buoy-reports" not in suspended(live)


@one_major
def test_jobs_that_their_own_code_suspends_stay_so(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*ESTUARY)
    own = {"archive-buoy-reports": False, "update": True, "validate": True}
    deploy(staging, repository, ESTUARY)
    assert suspended(live) == own
    staging.run(repository.path, "pause", *target(ESTUARY))
    assert suspended(live) == dict.fromkeys(own, True)
    assert "by their own code: update, validate" in staging.run(repository.path, "resume", *target(ESTUARY)).stdout
    assert suspended(live) == own


@one_major
def test_jobs_that_are_skipped_are_left_out(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*GLACIER)
    by_setting = changed(staging, STAGING_SKIP_JOBS="archive-grib-files, archive-buoy-reports")
    for program, args in ((staging, SKIP_ARCHIVE), (by_setting, ())):
        done = deploy(program, repository, GLACIER, "-o", "json", *args).json
        assert [job["key"] for job in done["jobs"]] == ["update", "validate"]
        assert list(suspended(live)) == ["update", "validate"]
    assert len(deploy(staging, repository, GLACIER, "-o", "json").json["jobs"]) == 3


@any_cluster
def test_a_release_made_by_hand_is_understood(staging: Staging, repository: Repository, live: Namespace) -> None:
    commit = repository.stage(*RIDGE)
    this = " ".join(target(RIDGE))
    render = f"{PROGRAM} render {this} --docker-image {IMAGE} > values.yaml"
    line = f'{render} && helm upgrade --install "$({PROGRAM} name {this})" {CHART} -f values.yaml -n {live.name}'
    subprocess.run(["sh", "-ec", line], cwd=repository.path, env=dict(staging.environment), check=True)
    repository.path.joinpath("values.yaml").unlink()
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"], row["commit"], row["paused"]) == (*RIDGE, commit, False)
    assert staging.run(repository.path, "list").stdout.count(RIDGE[0]) == 2  # jobs
    staging.run(repository.path, "pause", *target(RIDGE))
    assert suspended(live) == {"update": True, "validate": True}
    staging.run(repository.path, "resume", *target(RIDGE))
    assert f"Upgraded release {release(RIDGE)}" in deploy(staging, repository, RIDGE).stdout
    staging.run(repository.path, "cleanup", *target(RIDGE), "--yes")
    assert live.leftovers() == []


def quota(live: Namespace, cron_jobs: int) -> None:
    """Let the namespace have no more CronJobs than this; a dry run of each alone still passes."""
    hard = {"count/cronjobs.batch": str(cron_jobs)}
    live.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}})
    wait_until(lambda: live.get("resourcequotas", "few").get("status", {}).get("used"), what="the quota")


@any_cluster
def test_an_install_that_fails_leaves_nothing(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*RIDGE)
    quota(live, 1)
    done = deploy(staging, repository, RIDGE, code=OUTSIDE)
    error = done.stderr.splitlines()[-1]
    for words in ("error: ", live.name, f"could not deploy {release(RIDGE)}", "deleted it again", "exceeded quota"):
        assert words in error
    assert done.stdout == "" and len(error) < 700
    wait_until(lambda: not live.leftovers(), what=f"no leftovers but {live.leftovers()}")
    assert staging.run(repository.path, "list", "-o", "json").json == []


def test_an_upgrade_that_fails_leaves_the_revision_before_it(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    repository.stage(*GLACIER)
    deploy(staging, repository, GLACIER, *SKIP_ARCHIVE, "--skip-job", "validate")
    before = live.get("cronjobs", f"{release(GLACIER)}-update")
    quota(live, 2)
    push_again(repository, GLACIER, {"datasets.py": ('update_schedule: str = "15', 'update_schedule: str = "16')})
    done = deploy(staging, repository, GLACIER, "--docker-image", "example.registry/weather:2", code=OUTSIDE)
    assert "exceeded quota" in done.stderr and "rolled it back" in done.stderr
    wait_until(lambda: len(live.all("cronjobs")) == 1, what="the new job is gone")
    now = live.get("cronjobs", f"{release(GLACIER)}-update")
    assert now["spec"] == before["spec"]
    assert now["metadata"]["annotations"] == before["metadata"]["annotations"]
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["status"], row["revision"], len(row["jobs"])) == ("deployed", 3, 1)

    live.delete("resourcequotas", "few")
    assert len(deploy(staging, repository, GLACIER, "-o", "json").json["jobs"]) == 3


def test_helm_takes_nothing_for_the_values_that_a_killed_deploy_did_not_give_it(
    staging: Staging, live: Namespace, repository: Repository, tmp_path: Path
) -> None:
    """By itself Helm takes the values of the last revision when it gets none."""
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    before = live.state("cronjobs", "secrets")
    silent = with_helm(staging, tmp_path / "wrapped", before="exec </dev/null")
    assert "jobs is empty" in deploy(silent, repository, RIDGE, code=OUTSIDE).stderr
    assert live.state("cronjobs", "secrets") == before


def test_a_branch_that_is_deleted_meanwhile(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    repository.stage(*RIDGE)
    push = f"git -C {repository.path} push --quiet origin :refs/heads/{stage_branch(*RIDGE)}"
    staging = with_helm(staging, tmp_path / "wrapped", after=push)
    done = deploy(staging, repository, RIDGE, code=SUPERSEDED)
    assert done.stderr.splitlines()[-1] == (
        f"error: branch {stage_branch(*RIDGE)} was deleted meanwhile: release {release(RIDGE)} was removed again"
    )
    assert live.leftovers() == []


@one_major
def test_a_branch_that_moves_meanwhile(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    commit = repository.stage(*RIDGE)
    branch = stage_branch(*RIDGE)
    later = repository.commit("A later push")
    repository.checkout(commit)
    push = f"git -C {repository.path} push --quiet origin {later}:refs/heads/{branch}"
    done = deploy(with_helm(staging, tmp_path / "wrapped", after=push), repository, RIDGE)
    assert f"notice: branch {branch} has moved to {later[:12]} meanwhile: its own deploy follows" in done.stderr
    assert len(live.all("cronjobs")) == 2
    assert "a newer push deploys it" in deploy(staging, repository, RIDGE, code=SUPERSEDED).stderr


@one_major
def test_an_image_that_no_job_runs_is_noticed(staging: Staging, repository: Repository) -> None:
    repository.stage(*RIDGE)
    push_again(repository, RIDGE, {"kubernetes.py": ('"image": self.image', '"image": "example.registry/fixed:1"')})
    done = deploy(staging, repository, RIDGE)
    assert f"notice: no job runs the image {IMAGE}: they run example.registry/fixed:1" in done.stderr


def test_cleanup_takes_everything_and_tells_how_to_get_the_branch_back(
    staging: Staging, repository: Repository, live: Namespace, weather_in_production: object
) -> None:
    repository.stage(*GLACIER)
    long = f'"{RUN_SECONDS}": "600", "karpenter.sh/do-not-disrupt"'
    commit = push_again(repository, GLACIER, {"kubernetes.py": ('"karpenter.sh/do-not-disrupt"', long)})
    deploy(staging, repository, GLACIER)
    update = f"{release(GLACIER)}-update"
    live.run_job(update, "by-hand")
    (archive,) = set(live.names("cronjobs", f"{LABEL}release")) - {update, f"{release(GLACIER)}-validate"}
    live.run_job(archive, f"{archive}-29000000")
    live.run_job(f"{GLACIER[0]}-update", "production-by-hand")
    wait_until(lambda: len(running(live)) == 2, what="two pods run")

    done = staging.run(repository.path, "cleanup", *target(GLACIER), "--yes")
    assert live.leftovers() == []
    assert live.names("jobs") == ["production-by-hand"]
    assert repository.remote_head(stage_branch(*GLACIER)) is None
    branch = f"{stage_branch(*GLACIER)} at {commit[:12]}: deleted"
    for words in (f"namespace {live.name}", f"{update}: deleted", branch):
        assert words in done.stderr
    assert "s3://weather-data/glacier-ice-forecast-5-day/v0.3.0.icechunk" in done.stdout
    restore = next(line.strip() for line in done.stdout.splitlines() if line.startswith("  git push "))
    repository.git(*shlex.split(restore)[1:])
    assert repository.remote_head(stage_branch(*GLACIER)) == commit
    again = staging.run(repository.path, "cleanup", *target(GLACIER), "--yes", code=REFUSED)
    assert "there is no release" in again.stderr


def running(live: Namespace) -> list[str]:
    pods = live.all("pods", f"{LABEL}release")
    return [pod["metadata"]["name"] for pod in pods if pod.get("status", {}).get("phase") == "Running"]


@any_cluster
def test_cleanup_when_the_branch_is_gone_already(staging: Staging, repository: Repository, live: Namespace) -> None:
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    repository.delete_remote_branch(stage_branch(*RIDGE))
    done = staging.run(repository.path, "cleanup", "--branch", stage_branch(*RIDGE), "--yes")
    assert f"branch   {stage_branch(*RIDGE)}: already deleted" in done.stderr
    assert "git push" not in done.stdout
    assert live.leftovers() == []


@one_major
def test_cleanup_outside_a_checkout(staging: Staging, repository: Repository, live: Namespace, tmp_path: Path) -> None:
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = staging.run(elsewhere, "cleanup", *target(RIDGE), "--yes")
    assert "stays, this folder is no checkout of dynamical-demo/weather" in done.stderr
    assert f"git push <remote> --delete {stage_branch(*RIDGE)}" in done.stderr
    assert live.leftovers() == []
    assert repository.remote_head(stage_branch(*RIDGE))


def test_cleanup_finishes_what_an_uninstall_by_hand_began(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    staging.helm("uninstall", release(RIDGE), "--keep-history")
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"], row["status"], row["jobs"]) == (*RIDGE, "uninstalled", [])
    assert "uninstalled" in staging.run(repository.path, "list").stdout
    refused = staging.run(repository.path, "pause", *target(RIDGE), code=REFUSED)
    assert f"release {release(RIDGE)} is uninstalled" in refused.stderr
    staging.run(repository.path, "cleanup", *target(RIDGE), "--yes")
    assert live.leftovers() == []
    assert repository.remote_head(stage_branch(*RIDGE)) is None


def test_a_deploy_over_an_uninstalled_release_installs_again(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    repository.stage(*GLACIER)
    deploy(staging, repository, GLACIER, "--paused")
    staging.helm("uninstall", release(GLACIER), "--keep-history")
    done = deploy(staging, repository, GLACIER, *SKIP_ARCHIVE)
    assert f"Installed release {release(GLACIER)}" in done.stdout and ", paused" not in done.stdout
    labels = newest_record(live, release(GLACIER))
    assert "archive-grib-files" in labels.values()


def test_records_in_configmaps(staging: Staging, repository: Repository, live: Namespace) -> None:
    staging = changed(staging, HELM_DRIVER="configmap")
    repository.stage(*RIDGE)
    deploy(staging, repository, RIDGE)
    assert live.all("secrets", "owner=helm") == []
    assert newest_record(live, release(RIDGE), "configmaps")[f"{LABEL}job.{release(RIDGE)}-update"] == "update"
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["release"], row["status"], row["revision"]) == (release(RIDGE), "deployed", 1)
    staging.run(repository.path, "pause", *target(RIDGE))
    assert suspended(live) == {"update": True, "validate": True}
    staging.run(repository.path, "cleanup", *target(RIDGE), "--yes")
    assert live.leftovers() == []


@one_major
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_deploy_leaves_no_child(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, number: signal.Signals
) -> None:
    repository.stage(*RIDGE)
    pid = tmp_path / "pid"
    sleeping = with_helm(staging, tmp_path / "wrapped", before=f"echo $$ > {pid}; exec sleep 300")
    process = sleeping.start(repository.path, "deploy", *target(RIDGE), "--docker-image", IMAGE)
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"), what="helm at work")
    done = end(process, number, seconds=15)
    assert done.code == INTERRUPTED, done.stderr
    assert done.stderr.splitlines()[-1].startswith("interrupted. ")
    assert "Traceback" not in done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert live.all("cronjobs") == []
    deploy(staging, repository, RIDGE)


@one_major
def test_colour_is_for_people_who_did_not_refuse_it(staging: Staging, repository: Repository) -> None:
    repository.stage(*RIDGE)
    assert "\x1b" not in (done := deploy(staging, repository, RIDGE)).stdout + done.stderr
    assert "\x1b" not in staging.run(repository.path, "list", FORCE_COLOR="").stdout
    plain = on_terminal(staging, repository.path, "list", NO_COLOR="1")
    coloured = on_terminal(staging, repository.path, "list")
    assert "\x1b" not in plain and RIDGE[0] in plain
    assert "\x1b[1m" in coloured
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.split()[4:] for line in without.splitlines()] == [
        line.split()[4:] for line in plain.splitlines()
    ]  # AGE


def on_terminal(staging: Staging, folder: Path, *args: str, **environment: str) -> str:
    """The output of the program when it writes to a terminal of 100 columns."""
    outside, inside = pty.openpty()
    env = {**staging.environment, "TERM": "xterm", "COLUMNS": "100", **environment}
    with subprocess.Popen([PROGRAM, *args], cwd=folder, env=env, stdout=inside, stderr=inside, stdin=inside) as process:
        os.close(inside)
        output = b""
        try:
            while chunk := os.read(outside, 65536):
                output += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(outside)
    assert process.returncode == 0, output
    return output.decode().replace("\r\n", "\n")


@one_major
def test_a_reader_that_leaves_is_no_error(staging: Staging, repository: Repository) -> None:
    repository.stage(*RIDGE)
    line = f"{PROGRAM} catalogue | head -1"
    done = subprocess.run(
        ["sh", "-c", line], cwd=repository.path, env=dict(staging.environment), capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[\n", "")
