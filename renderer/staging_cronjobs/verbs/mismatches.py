"""What is not as it should be with a staged version, in words, and the command that mends it."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..external import helm_record, kubectl
from ..external.cluster import Cluster
from ..external.dataset_versions import OnMain
from ..external.git import Checkout
from ..model import runs, schedules
from ..model.command_line import staging
from ..model.status import UNKNOWN, JobStanding, Problem, Standing
from ..model.values import Job
from . import recovery

LATE = timedelta(minutes=10)  # after which a run that did not begin is missed; Sentry waits as long
DEFAULTS = {  # of a CronJob's fields that are compared with the record: what the API server puts where there is none
    "schedule": "none",
    "timeZone": "none",
    "startingDeadlineSeconds": "none",
    "concurrencyPolicy": "Allow",
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 1,
}
FINE = {"", "none", "ok", "active"}  # of a monitor that nobody need look at
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What the words are about."""

    cluster: Cluster
    now: datetime
    version: Standing
    wanted: Mapping[str, Job]  # the jobs that were deployed, by key
    cronjobs: Mapping[str, Object]  # all that carry the release's label, by name


def problems(seen: Seen) -> Iterator[Problem]:
    """All that is wrong, the release first."""
    yield from _of_release(seen)
    if seen.version.status not in helm_record.GOING:
        yield from _of_git(seen.version)
    for job in seen.version.jobs:
        cronjob = seen.cronjobs.get(job.name)
        if seen.version.status == "deployed":
            yield from _of_cronjob(job, cronjob, seen)
        yield from _of_runs(job, cronjob, seen)


def notes(seen: Seen, backfill: str) -> Iterator[Problem]:
    """What is right as it is, and worth knowing. `backfill` is main's command that fills the stores; perhaps none."""
    version = seen.version
    if version.status in helm_record.GOING:
        return
    if version.legacy:
        yield Problem(f"main is at {version.main}: this is a legacy version, kept until you clean it up")
    if version.paused and version.main != version.version:
        waits = not version.legacy and not any(job.last_success for job in version.jobs)
        text, steps = "it is paused. To go on:", [staging("resume", version.branch)]
        if version.legacy:
            text = "it is paused, and its data exists. To go on:"
        elif waits and backfill:
            text, steps = "it is paused, and waits for its first backfill. Do that, then resume it:", [backfill, *steps]
        elif waits:
            text = "it is paused, and waits for its first backfill. After that:"
        yield Problem(text, tuple(steps))
    for job in version.jobs:
        if job.paused:
            again = staging("resume", version.branch, "--key", job.key)
            yield Problem(f"{job.key} is paused alone. To let it go on:", (again,))
    for job in version.jobs:
        yield from _mended(job, seen.cluster)
    if silent := [job.name for job in version.jobs if job.suspended and job.monitor not in ("", "none", "disabled")]:
        text = f"Sentry will report every run of these suspended jobs as missed: {', '.join(silent)}"
        alone = tuple(word for job in version.jobs if job.paused and job.name in silent for word in ("--key", job.key))
        pause = staging("pause", version.branch, *(() if version.paused else alone))
        yield Problem(text, (pause,) if version.paused or alone else ())


def _mended(job: JobStanding, cluster: Cluster) -> Iterator[Problem]:
    """Failures that a later run, or another attempt, may have mended."""
    if (failure := job.last_failure) and (job.last_success or "") > failure.ended:
        yield Problem(
            f"Job {failure.name} failed before the last success: {failure.reason}", (_kept(failure, cluster),)
        )
    for run in job.running:
        if run.state == runs.RUNNING and run.reason:
            log = kubectl.line(cluster, "logs", run.pod, "--all-containers")
            yield Problem(f"Job {run.name} runs, and {run.reason}", (log,))


def _kept(failure: runs.Run, cluster: Cluster) -> str:
    """The command for the log of a Job that failed, or for what is known of it where its pods are gone."""
    if failure.pod:
        return kubectl.log_of(cluster, failure.name)
    return kubectl.description_of(cluster, "job", failure.name)


def unproven(cluster: Cluster, release: str, why: str) -> Problem:
    """A record that is not believed."""
    shown = kubectl.line(cluster, "get", helm_record.driver(), "--selector", f"owner=helm,name={release}")
    return Problem(f"it cannot be read: {why}", (shown,))


def unread(checkout: Checkout, dataset_id: str, there: OnMain) -> Iterator[Problem]:
    """That main's version of a dataset cannot be told, if it is so."""
    if there.problem:
        shown = shlex.join(("git", "show", f"{checkout.remote}/{checkout.main}:{there.where}")) if there.where else ""
        yield Problem(f"main's version of {dataset_id} is unknown. {there.problem}", (shown,) if shown else ())


def no_name(checkout: Checkout, branch: str, why: str) -> Problem:
    """A branch from which nothing can be deployed."""
    return Problem(why, (shlex.join(("git", "push", checkout.remote, "--delete", branch)),))


def without_release(branch: str) -> Problem:
    """A branch that nothing was deployed from."""
    text = f"branch {branch} has no release here. Its deploy is still to come, is running, or has failed"
    return Problem(text, (_deploy(branch),))


def _of_release(seen: Seen) -> Iterator[Problem]:
    version, status = seen.version, seen.version.status
    age = (seen.now - datetime.fromisoformat(version.updated)).total_seconds()
    if status in helm_record.GOING:
        yield Problem(f"its cleanup is not finished: Helm says {status}", (staging("cleanup", version.branch),))
    elif status == "failed":
        yield Problem("its last deploy failed, and could not be rolled back", (_deploy(version.branch),))
    elif status.startswith("pending"):
        if age > recovery.TIMEOUTS * seen.cluster.timeout_seconds:  # else its deploy is at work
            yield Problem(f"Helm says {status}: a deploy of it was killed", (_deploy(version.branch),))
    elif status != "deployed":
        yield Problem(f"Helm says {status}", (_deploy(version.branch),))


def _of_git(version: Standing) -> Iterator[Problem]:
    if version.head is None:
        cleanup = staging("cleanup", "--dataset-id", version.dataset_id, "--version", version.version)
        yield Problem(f"branch {version.branch} is gone, and the release is still here", (cleanup,))
    elif version.head not in (UNKNOWN, version.clean_commit):
        yield Problem(
            f"branch {version.branch} is at {version.head[:12]}, and {version.clean_commit[:12]} is deployed. The "
            "deploy of the last push is still to come, is running, or has failed",
            (_deploy(version.branch),),
        )
    if version.main == version.version:
        first = () if version.paused else (staging("pause", version.branch),)
        state = "this one is paused" if version.paused else "both write the same stores"
        yield Problem(f"main has version {version.version} too: {state}", (*first, staging("cleanup", "--promoted")))


def _of_cronjob(job: JobStanding, cronjob: Object | None, seen: Seen) -> Iterator[Problem]:
    """Where a CronJob is not as it was deployed."""
    version, wanted = seen.version, seen.wanted[job.key]
    put_right = staging("pause" if version.paused else "resume", version.branch)
    if cronjob is None:
        yield Problem(f"CronJob {job.name} is missing", (put_right,))
        return
    if kubectl.owner(cronjob) != (version.release, seen.cluster.namespace):
        described = kubectl.description_of(seen.cluster, "cronjob", job.name)
        taken = f"CronJob {job.name} has the name of a job of this release, but does not belong to it"
        yield Problem(taken, (described,))
        return
    if job.paused and not job.suspended:
        put_right = staging("pause", version.branch, "--key", job.key)
    paused = version.paused or job.paused
    if job.suspended and not (paused or wanted.spec.get("suspend")):
        yield Problem(f"CronJob {job.name} is suspended, and nobody paused the version", (put_right,))
    elif not job.suspended and (paused or wanted.spec.get("suspend")):
        own = "it is paused alone" if job.paused else "its own code suspends it"
        why = "the version is paused" if version.paused else own
        yield Problem(f"CronJob {job.name} is not suspended, but {why}", (put_right,))
    for name, default in DEFAULTS.items():
        now, then = (spec.get(name, default) for spec in (cronjob["spec"], wanted.spec))
        if now != then:
            yield Problem(f"CronJob {job.name} has {name} {now}, but {then} was deployed", (put_right,))
    for writer in sorted({*_writers(cronjob, version.updated)}):
        yield Problem(f"CronJob {job.name} was changed by hand after its deploy ({writer})", (put_right,))


def _writers(cronjob: Object, deployed: str) -> Iterator[str]:
    """Who but Helm has written what is not compared since the last deploy: the API server keeps account of that.

    A deploy replaces the whole CronJob. Who wrote the same before it stays in the account, and has changed nothing.
    """
    for entry in cronjob["metadata"].get("managedFields") or []:
        if (entry.get("time") or deployed) < deployed:
            continue
        written = {*entry.get("fieldsV1", {}).get("f:spec", {})}
        if entry.get("manager") != "helm" and written - {".", "f:suspend", *(f"f:{name}" for name in DEFAULTS)}:
            yield f"{entry.get('manager', '')}, {entry.get('time', '')}"


def _of_runs(job: JobStanding, cronjob: Object | None, seen: Seen) -> Iterator[Problem]:
    failure, again = job.last_failure, staging("run", job.name)
    for run in job.running:
        if run.state == runs.STUCK:
            kind, name = ("pod", run.pod) if run.pod else ("job", run.name)
            shown = kubectl.description_of(seen.cluster, kind, name), kubectl.log_of(seen.cluster, run.name)
            yield Problem(f"Job {run.name} does not get on: {run.reason}", shown)
    if failure and (job.last_success or "") <= failure.ended:
        yield Problem(f"Job {failure.name} failed: {failure.reason}", (_kept(failure, seen.cluster), again))
    elif cronjob and job.suspended is False and job.known and not job.running:
        yield from _of_times(job, cronjob, seen)
    if job.suspended is False and job.monitor == "disabled":
        resume = staging("resume", seen.version.branch)
        yield Problem(f"Sentry expects nothing of {job.name}: its monitor is disabled, and the job runs", (resume,))
    elif job.suspended is False and {*job.monitor.split(", ")} - FINE:
        yield Problem(f"Sentry says {job.monitor} of monitor {job.name}", (staging("logs", job.name), again))


def _of_times(job: JobStanding, cronjob: Object, seen: Seen) -> Iterator[Problem]:
    """What the times of a CronJob tell where there is no Job to tell it."""
    described, again = kubectl.description_of(seen.cluster, "cronjob", job.name), staging("run", job.name)
    status = cronjob.get("status", {})
    last, made = status.get("lastScheduleTime", ""), cronjob["metadata"]["creationTimestamp"]
    if status.get("active"):
        return  # its Job has just begun, or just ended
    if last > (job.last_success or ""):
        text = f"the run of {job.name} at {last} did not succeed, and its Job is gone"
        yield Problem(text, (described, again))
    since = datetime.fromisoformat(max(last, made, seen.version.updated))
    for due in schedules.fires(job.schedule, job.time_zone, since):
        if due + LATE < seen.now:
            yield Problem(f"{job.name} should have run at {due:%Y-%m-%d %H:%M} UTC, and did not", (described, again))


def _deploy(branch: str) -> str:
    return staging("deploy", "--branch", branch, "--docker-image", "IMAGE")
