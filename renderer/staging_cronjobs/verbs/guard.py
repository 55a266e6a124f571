"""`staging guard`: before production is deployed from main, no staged version may still write what main now writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import StagingError
from ..external import git, helm_record, kubectl
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model.settings import Settings
from . import Say, control


@dataclass(frozen=True)
class Conflict:
    """A staged version that main has too."""

    release: Release
    where: str  # the file of the work tree that has its version
    firing: list[str]  # its CronJobs that are not suspended
    running: list[str]  # its Jobs that run now

    @property
    def active(self) -> bool:
        """Whether it writes, or may begin to at any moment."""
        return bool(self.firing or self.running)

    def __str__(self) -> str:
        facts = self.release.values.record
        doing = [f"CronJob {name} is not suspended" for name in self.firing]
        doing += [f"Job {name} is running" for name in self.running]
        return (
            f"main has version {facts.version} of {facts.dataset_id} ({self.where}), and so has the staged version "
            f"{self.release.name}: {', '.join(doing) or 'it is paused'}"
        )


@dataclass(frozen=True)
class Found:
    """What a guard found out."""

    conflicts: list[Conflict]
    problems: list[str]  # what could not be found out

    @property
    def active(self) -> list[Conflict]:
        """Those that write, or may begin to."""
        return [conflict for conflict in self.conflicts if conflict.active]

    @property
    def stores(self) -> list[str]:
        """The stores that would have two writers."""
        return [store for conflict in self.active for store in conflict.release.values.record.stores]


def look(settings: Settings, cluster: Cluster) -> Found:
    """The staged versions that the work tree has too. Nothing is fetched, and no user code runs."""
    checkout = git.checkout(settings)
    releases, unproven = helm_record.listing(cluster)
    if not (releases or unproven):
        cluster.require_namespace()
    problems = [f"release {name} cannot be read: {why}" for name, why in unproven.items()]
    both: list[tuple[Release, str]] = []
    for release in releases:
        facts = release.values.record
        if not release.live or not git.same_repository(facts.repository, checkout.repository):
            continue
        try:
            found = checkout.version_here(facts.template_path, facts.dataset_id)
        except StagingError as error:
            problems.append(f"{release.name} cannot be compared with main: {error}")
            continue
        if found and found[0] == facts.version:
            both.append((release, found[1]))
    if not both:
        return Found([], problems)
    cronjobs = {c["metadata"]["name"]: c for c in kubectl.owned(cluster, kubectl.labelled(cluster))}
    names = {name for release, _ in both for name in release.newest.names}
    jobs = kubectl.running(cluster, names)
    return Found([_conflict(release, where, cronjobs, jobs) for release, where in both], problems)


def pause(cluster: Cluster, conflicts: list[Conflict], limit: float, say: Say, *, stop: bool) -> list[str]:
    """Suspend the staged jobs, and wait `limit` seconds for those that run; with `stop` the rest is then deleted.

    It is waited for what is deleted too, for a minute at the most. Gives the Jobs that still run.
    """
    for conflict in conflicts:
        say(f"pausing release {conflict.release.name}")
        control.set_suspend(cluster, conflict.release.values.record.staged_version, True, say)
    names = {name for conflict in conflicts for name in conflict.release.newest.names}
    jobs = control.wait_for_jobs(lambda: kubectl.running(cluster, names), limit, say)
    if jobs and stop:
        say(f"deleting {', '.join(jobs)}")
        kubectl.stop(cluster, jobs)
        # A pod may take the time that it was given to end, and writes until then.
        jobs = control.wait_for_jobs(lambda: kubectl.running(cluster, names), cluster.gone_seconds, say)
    return [*jobs]


def _conflict(
    release: Release, where: str, cronjobs: Mapping[str, Mapping[str, Any]], jobs: Mapping[str, Mapping[str, Any]]
) -> Conflict:
    names = sorted(release.newest.names)
    firing = [name for name in names if name in cronjobs and not cronjobs[name]["spec"].get("suspend")]
    running = [name for name, job in jobs.items() if kubectl.made_by(job, names)]
    return Conflict(release, where, firing, running)
