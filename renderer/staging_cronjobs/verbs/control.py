"""`staging pause`, `resume` and `run`: what an operator does to a release that is there."""

from datetime import UTC, datetime

from ..errors import Outside, Refused, Unfinished, suggestion
from ..external import helm, kubectl, record
from ..external.cluster import Cluster
from ..external.record import Release
from ..model.staged_version import StagedVersion
from ..model.values import Job
from . import Say, recovery


def set_suspend(cluster: Cluster, staged: StagedVersion, suspend: bool, say: Say) -> tuple[Release, list[str], bool]:
    """Pause or resume a release: the chart's `suspend`, all other values as they are.

    Gives the release, the CronJobs that were not as its record said, and whether anything was changed.
    """
    release = _find(cluster, staged, "pause or resume")
    if release.pending:
        release = recovery.settle(cluster, release, say) or release
    if release.pending:
        raise Outside(
            f"release {release.name} is {release.status}, left by a helm that was killed. Deploy it again, or free it "
            f"with `helm rollback {release.name} --force --namespace {cluster.namespace}`"
        )
    strayed = kubectl.strayed(cluster, release)
    if release.values.suspend == suspend and not strayed:
        return release, [], False
    suspend_all(cluster, release, suspend, "paused" if suspend else "resumed")
    return release, strayed, True


def suspend_all(cluster: Cluster, release: Release, suspend: bool, description: str) -> None:
    """Upgrade a release to the same values with another `suspend`."""
    new = release.values.model_copy(update={"suspend": suspend})
    if others := helm.upgrade(cluster, release.name, new, release, description):
        raise Unfinished(f"{cluster}: {helm.replaced(release.name, others)}")


def run_job(cluster: Cluster, staged: StagedVersion, key: str, *, anyway: bool = False) -> tuple[str, Job]:
    """Start a Job now from the CronJob of a key, paused or not; gives the Job's name, and what it was made from.

    Raises `Refused` while a Job of that CronJob runs, unless `anyway`: two would write one store at once, and the
    CronJob's concurrencyPolicy does not see a Job that was made by hand.
    """
    release = _find(cluster, staged, "run")
    jobs = release.values.jobs
    if key not in jobs:
        raise Refused(f"release {release.name} has no job {key!r}, only {', '.join(jobs)}{suggestion(key, jobs)}")
    cronjob = jobs[key].name
    if kubectl.foreign(cluster, kubectl.existing(cluster, [cronjob]), release.name):
        raise Refused(f"CronJob {cronjob} has the name of a job of release {release.name} but is not its: nothing ran")
    if (running := kubectl.active_jobs(cluster, release, [cronjob])) and not anyway:
        raise Refused(
            f"Job {running[0]} of {cronjob} runs now, and a second one would write the same stores. Wait for its end, "
            "or pass --anyway"
        )
    name = f"{cronjob}-{datetime.now(UTC):%H%M%S}"  # the longest suffix that always fits
    cluster.kubectl("create", "job", name, f"--from=cronjob/{cronjob}")  # after `--` would stand a command
    return name, jobs[key]


def _find(cluster: Cluster, staged: StagedVersion, verb: str) -> Release:
    """The live release of this staged version. Raises `Refused` when there is none, or it is another's."""
    cluster.require_helm()
    release = record.find(cluster, staged.release)
    if release is None or not release.live:
        state = f"is {release.status}" if release else "does not exist"
        raise Refused(f"release {staged.release} {state} in {cluster}: there is nothing to {verb}")
    facts = release.values.record
    if facts.staged_version != staged:
        raise Refused(f"release {release.name} belongs to {facts.dataset_id} v{facts.version}, not to {staged.branch}")
    record.check(cluster, release)
    return release
