"""`staging guard`: before production is deployed from main, no staged version may still write what main now writes."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Outside, StagingError, Unfinished, to_finish
from ..external import dataset_versions, git, helm_record, kubectl
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model.settings import Settings
from . import Say, control

GONE_SECONDS = 60.0  # that Jobs may take to go once they are deleted, or Helm's timeout if that is shorter


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
        begun = "" if self.release.live else f" ({self.release.status})"
        idle = f"it is {self.release.status}, and nothing of it runs" if begun else "it is paused"
        return (
            f"main has version {facts.version} of {facts.dataset_id} ({self.where}), and so has the staged version "
            f"{self.release.name}{begun if doing else ''}: {', '.join(doing) or idle}"
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


@dataclass(frozen=True)
class Paused:
    """What came of a pause."""

    releases: list[Release]  # that are suspended
    failed: list[str]  # a sentence for each release that is not suspended
    unrecorded: list[str]  # a sentence for each that is suspended, but not in Helm's record
    running: list[str]  # the Jobs that still run


def look(settings: Settings, cluster: Cluster) -> Found:
    """The staged versions that the work tree has too. Nothing is fetched, and no user code runs."""
    checkout = git.checkout(settings)
    releases, unproven = helm_record.listing(cluster)
    problems = [f"release {name} cannot be read: {why}" for name, why in unproven.items()]
    both: dict[str, tuple[Release, str]] = {}
    for release in releases:
        facts = release.values.record
        own = git.same_repository(facts.repository, checkout.repository)
        try:
            found = dataset_versions.here(checkout, facts.template_path, facts.dataset_id)
        except StagingError as error:
            problems += [f"{release.name} cannot be compared with main: {error}"] if own else []
            continue
        if found and found[0] == facts.version and own:
            both[release.name] = release, found[1]
        elif found and found[0] == facts.version:
            problems.append(elsewhere(release, checkout))
    if not both:
        return Found([], problems)
    whole = {release.name: release for release in helm_record.histories(cluster, both)[0]}  # they know dropped jobs
    cronjobs = {c["metadata"]["name"]: c for c in kubectl.owned(cluster, kubectl.labelled(cluster))}
    known = [(whole.get(name, release), where) for name, (release, where) in both.items()]
    jobs = kubectl.running(cluster, {name for release, _ in known for name in release.job_names})
    return Found([_conflict(release, where, cronjobs, jobs) for release, where in known], problems)


def elsewhere(release: Release, checkout: git.Checkout) -> str:
    """The sentence about a release whose dataset and version main has too, deployed from another repository."""
    theirs = release.values.record.repository
    return (
        f"Release {release.name} has a version that main has too, but it was deployed from {theirs}, and this is a "
        f"checkout of {checkout.repository}. {git.renamed(theirs)}"
    )


def pause(cluster: Cluster, conflicts: list[Conflict], limit: float, say: Say, *, stop: bool) -> Paused:
    """Suspend the staged jobs, and wait `limit` seconds for those that run; with `stop` the rest is then deleted.

    It is waited for what is deleted too, for a minute at the most. All are suspended before the first of Helm's
    records is written, for which another helm may have to end. Raises `Unfinished` when Jobs cannot be read or deleted.
    """
    releases = [conflict.release for conflict in conflicts]
    failed = _errors(releases, lambda release: control.suspend_now(cluster, release, (), say))
    live = [release for release in releases if release.live and release.name not in failed]
    unrecorded = _errors(live, lambda release: _record(cluster, release, say))
    # A helm that failed may have let them run again.
    again = [release for release in live if release.name in unrecorded]
    failed |= _errors(again, lambda release: control.suspend_now(cluster, release, (), say))
    names = {name for release in releases for name in release.job_names}
    try:
        jobs = [] if failed else _wait(cluster, names, limit, say, stop=stop)
    except Outside as error:
        raise Unfinished(to_finish(f"The staged jobs are suspended, but their Jobs may still run. {error}")) from None
    return Paused(
        [release for release in releases if release.name not in failed],
        [f"{name} is not paused: {why}" for name, why in failed.items()],
        [
            f"{name} is suspended, but Helm's record does not say so, and a deploy would let it run again: {why}"
            for name, why in unrecorded.items()
            if name not in failed
        ],
        jobs,
    )


def _record(cluster: Cluster, release: Release, say: Say) -> None:
    say(f"pausing release {release.name}")
    control.pause(cluster, release.values.record.staged_version, say)


def _errors(releases: Iterable[Release], do: Callable[[Release], object]) -> dict[str, str]:
    """Do it to each; gives why it failed, by the release's name. One cannot hold up the others."""
    errors = {}
    for release in releases:
        try:
            do(release)
        except StagingError as error:
            errors[release.name] = str(error)
    return errors


def _wait(cluster: Cluster, names: Collection[str], limit: float, say: Say, *, stop: bool) -> list[str]:
    """The Jobs of these CronJobs that outlast the limit, and with `stop` being deleted."""
    jobs = control.wait_for_jobs(lambda: kubectl.running(cluster, names), limit, say)
    if jobs and stop:
        say(f"deleting {', '.join(jobs)}")
        kubectl.stop(cluster, jobs)
        # A pod may take the time that it was given to end, and writes until then.
        patience = min(GONE_SECONDS, cluster.timeout_seconds)
        jobs = control.wait_for_jobs(lambda: kubectl.running(cluster, names), patience, say)
    return [*jobs]


def _conflict(
    release: Release, where: str, cronjobs: Mapping[str, Mapping[str, Any]], jobs: Mapping[str, Mapping[str, Any]]
) -> Conflict:
    names = sorted(release.job_names)
    firing = [name for name in names if name in cronjobs and not cronjobs[name]["spec"].get("suspend")]
    running = [name for name, job in jobs.items() if kubectl.made_by(job, names)]
    return Conflict(release, where, firing, running)
