"""`staging logs`: the last Job of a staged version, how it stands, and the end of its log."""

from dataclasses import dataclass
from datetime import datetime

from ..errors import Refused
from ..external import helm_record, kubectl
from ..external.cluster import Cluster, plain
from ..external.helm_record import Release
from ..model import runs
from ..model.command_line import staging
from ..model.runs import Run
from ..model.staged_version import StagedVersion
from . import control

LARGEST = 1_000_000  # bytes of a log that are read


@dataclass(frozen=True)
class Log:
    """The end of one pod's log."""

    run: Run
    cronjob: str
    pod: str  # empty: the Job has none any more
    text: str
    problem: str  # why kubectl could not read it
    gone: str = ""  # that the Job or pod that was asked for is not there, and whose log this is


def last(
    cluster: Cluster, staged: StagedVersion, key: str, name: str, now: datetime, *, failed: bool, tail: int
) -> Log:
    """The log of the last Job, or of the last that failed: of one job where `key` or `name` says which.

    `name` may be that of one Job, or of one pod. Raises `Refused` when there is no such Job.
    """
    release = helm_record.own(cluster, staged)
    if release is None:
        raise Refused(f"release {staged.release} does not exist in {cluster}")
    if key:
        control.check_key(release, key)
    cronjobs = [release.values.jobs[key].name] if key else sorted(release.job_names)
    jobs, pods = kubectl.made(cluster, "jobs"), kubectl.made(cluster, "pods")
    found = [(cronjob, job) for cronjob in cronjobs for job in jobs.get(cronjob, ())]
    of_name = {name, *(job for job, its in pods.items() if name in {pod["metadata"]["name"] for pod in its})}
    named = [(cronjob, job) for cronjob, job in found if job["metadata"]["name"] in of_name]
    missing = bool(name) and not named and name not in (staged.branch, staged.release, *release.job_names)
    its_job = [(cronjob, job) for cronjob, job in found if missing and name.startswith(f"{job['metadata']['name']}-")]
    found = named or its_job or found
    ran = [(cronjob, runs.of(job, pods, now)) for cronjob, job in found]
    wanted = [(cronjob, run) for cronjob, run in ran if run.bad or not failed]
    if not wanted:
        said = f"{name} is gone, and " if missing else ""
        raise Refused(said + _nothing(release, cronjobs, [run for _, run in ran]))
    cronjob, run = max(wanted, key=lambda one: one[1].began)
    names = sorted(pods.get(run.name, ()), key=lambda pod: pod["metadata"]["creationTimestamp"])
    pod = run.pod or (names[-1]["metadata"]["name"] if names else "")
    which = "its Job" if its_job else f"the last Job that {'failed' if failed else 'there is'}"
    gone = f"{name} is gone. This is {which}: {run.name}." if missing else ""
    return Log(run, cronjob, pod, *_text(cluster, pod, tail), gone)


def _nothing(release: Release, cronjobs: list[str], others: list[Run]) -> str:
    whose = cronjobs[0] if len(cronjobs) == 1 else f"release {release.name}"
    if others:
        newest = max(others, key=lambda run: run.began)
        return f"no Job of {whose} that is still there has failed. The last one, {newest.name}, is {newest.state}"
    told = f"no Job of {whose} is there. None has run, or Kubernetes has deleted them"
    return f"{told}: `{staging('status', release.name)}` has the times"


def _text(cluster: Cluster, pod: str, tail: int) -> tuple[str, str]:
    """The end of a pod's log, and why it could not be read."""
    if not pod:
        return "", ""
    limits = (f"--tail={tail}", f"--limit-bytes={LARGEST}")
    answer = cluster.kubectl("logs", "--all-containers", *limits, "--", pod, check=False)
    return answer.stdout, plain(answer) if answer.code else ""
