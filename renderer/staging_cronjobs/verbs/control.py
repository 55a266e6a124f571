"""`staging pause`, `resume` and `run`: what an operator does to a release that is there."""

from datetime import UTC, datetime

from ..errors import Outside, Refused, suggestion
from ..external import helm, kubectl
from ..external.cluster import Cluster
from ..external.helm import Release
from ..model.staged_version import StagedVersion
from . import Say, recovery


def set_suspend(cluster: Cluster, staged: StagedVersion, suspend: bool, say: Say) -> tuple[Release, bool]:
    """Pause or resume a release: the chart's `suspend`, all other values as they are. False: it was so already."""
    release = _find(cluster, staged, "pause or resume")
    if release.pending:
        release = recovery.settle(cluster, release, say) or release
    if release.pending:
        raise Outside(
            f"release {release.name} is {release.status}, left by a helm that was killed: deploy it again, or free it "
            f"with `helm rollback {release.name} --namespace {cluster.namespace}`"
        )
    if release.values.suspend == suspend:
        return release, False
    new = release.values.model_copy(update={"suspend": suspend})
    helm.upgrade(cluster, release.name, new, release.labels, "paused" if suspend else "resumed")
    return release, True


def run_job(cluster: Cluster, staged: StagedVersion, key: str) -> str:
    """Start a Job now from the CronJob of a key, paused or not; gives the Job's name."""
    release = _find(cluster, staged, "run")
    jobs = release.values.jobs
    if key not in jobs:
        raise Refused(f"release {release.name} has no job {key!r}, only {', '.join(jobs)}{suggestion(key, jobs)}")
    cronjob = jobs[key].name
    if kubectl.foreign(cluster, kubectl.existing(cluster, [cronjob]), release.name):
        raise Refused(f"CronJob {cronjob} has the name of a job of release {release.name} but is not its: nothing ran")
    name = f"{cronjob}-{datetime.now(UTC):%H%M%S}"  # the longest suffix that always fits
    cluster.kubectl("create", "job", f"--from=cronjob/{cronjob}", name)
    return name


def _find(cluster: Cluster, staged: StagedVersion, verb: str) -> Release:
    """The live release of this staged version. Raises `Refused` when there is none, or it is another's."""
    cluster.require_helm()
    release = helm.find(cluster, staged.release)
    if release is None or not release.live:
        state = f"is {release.status}" if release else "does not exist"
        raise Refused(f"release {staged.release} {state} in {cluster}: there is nothing to {verb}")
    record = release.values.record
    if record.staged_version != staged:
        raise Refused(
            f"release {release.name} belongs to {record.dataset_id} v{record.version}, not to {staged.branch}"
        )
    return release
