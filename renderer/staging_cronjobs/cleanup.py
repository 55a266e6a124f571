"""`staging cleanup`: everything of one staged version goes, from the release's own record; its stores stay.

Until the last step the release is `uninstalling` or `uninstalled` in `helm list`, and the same command finishes it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from . import branches, locks, monitors, objects, releases
from .cluster import Cluster
from .errors import AGAIN, Outside, Refused, Superseded, Unfinished
from .monitors import Monitor
from .releases import Release
from .settings import Settings
from .staged_version import StagedVersion

Say = Callable[[str], None]
DRAIN_POLL = 5.0  # seconds


@dataclass(frozen=True)
class Plan:
    """What a cleanup would do."""

    cluster: Cluster
    release: Release
    checkout: branches.Checkout | None  # None: no checkout at hand, or the branch is to be kept
    head: str | None  # the commit that the branch is at; None when it is gone or unknown
    sentry: monitors.Project | None  # None: not set up, or the monitors are to be kept
    found: tuple[Monitor, ...] = ()
    sentry_problem: str = ""  # why Sentry could not be asked; the jobs can go all the same
    keep_branch: bool = False
    keep_monitors: bool = False


def plan(
    settings: Settings,
    cluster: Cluster,
    staged: StagedVersion,
    token: str = "",
    *,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> Plan:
    """Find out what there is to clean up. Nothing is touched. Raises `Refused` when there is no such release.

    With `branch_deleted`, for the event of a deletion: `Superseded` when there is none, or when the branch is back.
    """
    sentry = None if keep_monitors else monitors.connect(settings, token)
    cluster.require_helm()
    release = releases.find(cluster, staged.release)
    if release is None and branch_deleted:
        raise Superseded(f"there is no release {staged.release} in {cluster}: nothing is left to clean up")
    if release is None:
        raise Refused(
            f"there is no release {staged.release} in {cluster}: nothing was touched. Is this the right cluster? "
            f"To delete just the branch: git push {settings.remote} --delete {staged.branch}"
        )
    record = release.values.record
    if record.staged_version != staged:
        raise Refused(f"release {release.name} belongs to {record.dataset_id} v{record.version}: nothing was touched")
    _check_own(cluster, release)
    checkout = None if keep_branch else _checkout(settings, release)
    head = checkout.remote_head(record.branch) if checkout else None
    if branch_deleted and head:
        raise Superseded(f"branch {record.branch} is there again, at {head[:12]}: nothing was touched")
    found, problem = _monitors(sentry, release)
    return Plan(cluster, release, checkout, head, sentry, tuple(found), problem, keep_branch, keep_monitors)


def run(plan: Plan, say: Say, *, drain: float = 0) -> None:
    """Carry the plan out. With `drain`, running Jobs get that many seconds to end by themselves.

    Raises `Unfinished` from the first change on: the same command finishes the work.
    """
    record = plan.release.values.record
    if plan.checkout and plan.head:
        # First, because it closes the door to new pushes.
        say(f"deleting branch {record.branch}")
        try:
            plan.checkout.delete_branch(record.branch, plan.head)
        except Outside as error:
            raise Outside(
                f"{error}; the cluster was not touched: allow it, or pass --keep-branch to leave the branch where it is"
            ) from None
    try:
        remove(plan.cluster, plan.release, plan.sentry, say, drain=drain)
    except Outside as error:
        raise Unfinished(f"{error}; {AGAIN}") from None


def remove(cluster: Cluster, release: Release, sentry: monitors.Project | None, say: Say, *, drain: float = 0) -> None:
    """Jobs and pods, then monitors, then the record: a check-in of a late pod would make its monitor again."""
    settled = locks.settle(cluster, release, say)
    if settled is None:
        return
    if drain and settled.pending:
        locks.take_over(cluster, settled, say)  # or Helm refuses to pause it
        settled = releases.find(cluster, release.name) or settled
    if drain and settled.live:
        _drain(cluster, settled, drain, say)
    say(f"deleting release {release.name}, its Jobs and pods")
    locks.clear(cluster, settled)
    if sentry:
        _delete_monitors(sentry, settled.job_names, say)
    if releases.status(cluster, release.name) not in (None, *releases.GOING):
        raise Superseded(
            f"release {release.name} was deployed again meanwhile, by a newer push: that one was left alone"
        )
    releases.uninstall(cluster, release.name, keep_history=False)


def _check_own(cluster: Cluster, release: Release) -> None:
    """Helm deletes by name: a CronJob that somebody put in place of ours would go with the release."""
    names = [job.name for job in release.values.jobs.values()]
    if foreign := objects.foreign(cluster, objects.existing(cluster, names), release.name):
        raise Refused(
            f"CronJob {min(foreign)} has the name of a job of release {release.name} but is not its: nothing was "
            "touched; rename or delete that CronJob first"
        )


def _checkout(settings: Settings, release: Release) -> branches.Checkout | None:
    try:
        checkout = branches.checkout(settings)
    except Outside:
        return None
    if checkout.repository != release.values.record.repository:
        raise Refused(
            f"release {release.name} was deployed from {release.values.record.repository}, this is a checkout of "
            f"{checkout.repository}: nothing was touched; run this in the right one"
        )
    return checkout


def _monitors(sentry: monitors.Project | None, release: Release) -> tuple[list[Monitor], str]:
    if sentry is None:
        return [], ""
    try:
        return monitors.find(sentry, release.job_names), ""
    except Outside as error:
        return [], str(error)


def _drain(cluster: Cluster, release: Release, limit: float, say: Say) -> None:
    """Pause, then wait for the Jobs that run. Raises `Unfinished` when they outlast the limit."""
    if not release.values.suspend:
        say(f"pausing release {release.name}")
        paused = release.values.model_copy(update={"suspend": True})
        releases.upgrade(cluster, release.name, paused, release.labels, "paused to drain")
    deadline = time.monotonic() + limit
    shown: list[str] = []
    while jobs := objects.active_jobs(cluster, release):
        if jobs != shown:
            say(f"waiting for {len(jobs)} running Jobs: {', '.join(jobs)}")
            shown = jobs
        if time.monotonic() > deadline:
            raise Unfinished(
                f"{len(jobs)} Jobs of {release.name} still run after {limit:.0f} s; it is paused: run the same command "
                "again to wait on, or without --drain to stop them"
            )
        time.sleep(min(DRAIN_POLL, limit / 10))


def _delete_monitors(sentry: monitors.Project, slugs: frozenset[str], say: Say) -> None:
    """Delete, then list again: Sentry answers before it has deleted, and a check-in may have made one again."""
    found = monitors.find(sentry, slugs)
    for monitor in found:
        say(f"deleting monitor {monitor.slug}")
        monitors.delete(sentry, monitor)
    if found and (back := monitors.find(sentry, slugs, seen=True)):
        for monitor in back:
            say(f"monitor {monitor.slug} came back: a late check-in made it again; deleting it again")
            monitors.delete(sentry, monitor)
        if left := monitors.find(sentry, slugs, seen=True):
            raise Unfinished(
                f"{sentry}: monitor {left[0].slug} comes back after it is deleted: something still checks in; find it, "
                "then run the same command again"
            )
