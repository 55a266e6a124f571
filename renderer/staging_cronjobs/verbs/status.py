"""`staging status`: how everything that is staged stands. One question of each kind, and the answers joined here.

What could not be asked is `unknown`, and wrong: it is never taken for fine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from ..errors import StagingError
from ..external import dataset_versions, git, helm_record, kubectl, sentry
from ..external.cluster import Cluster
from ..external.git import Checkout
from ..external.helm_record import Release
from ..external.main_settings import Place
from ..model import backfill, runs, schedules, values
from ..model.staged_version import StagedVersion, numbers
from ..model.status import UNKNOWN, UNREADABLE, JobStanding, Problem, Standing
from . import lookup, mismatches

T = TypeVar("T")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Status:
    """What is staged in a namespace, and what could not be asked."""

    cluster: Cluster
    now: datetime
    versions: tuple[Standing, ...]
    unknown: tuple[Problem, ...]

    @property
    def wrong(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.unknown) or any(version.problems for version in self.versions)


@dataclass
class _World:
    """The answers. None: there was none."""

    cluster: Cluster
    now: datetime
    checkout: Checkout | None
    backfill: str = ""  # main's setting
    cronjobs: Mapping[str, Sequence[Object]] = field(default_factory=dict)  # by the release that their label names
    jobs: Mapping[str, Sequence[Object]] | None = None  # by their CronJob
    pods: Mapping[str, Sequence[Object]] | None = None  # by their Job
    branches: Mapping[str, str] | None = None
    behind: Mapping[str, int] | None = None
    main: Mapping[dataset_versions.Wanted, dataset_versions.OnMain] | None = None
    monitors: Mapping[str, str] | None = None

    def ours(self, repository: str) -> bool:
        """Whether a repository is this checkout's."""
        return self.checkout is not None and git.same_repository(repository, self.checkout.repository)


def look(place: Place, cluster: Cluster, project: sentry.Project | None, now: datetime, name: str = "") -> Status:
    """How everything stands, or the one staged version that a name means."""
    releases, unproven = helm_record.listing(cluster)
    only = lookup.among(cluster, releases, unproven, [name])[0][0] if name else None
    world, unknown = _asked(place, cluster, project, now, releases)
    found = [_standing(release, world) for release in releases]
    found += [
        Standing(release, "unproven", problems=(mismatches.unproven(cluster, release, why),))
        for release, why in unproven.items()
    ]
    found += _without_release(world, {version.branch for version in found})
    if only:
        found = [v for v in found if (v.dataset_id, v.version) == (only.dataset_id, only.version)]
    ordered = sorted(found, key=lambda v: (v.dataset_id, numbers(v.version), v.release))
    return Status(cluster, now, tuple(ordered), tuple(unknown))


def _asked(
    place: Place, cluster: Cluster, project: sentry.Project | None, now: datetime, releases: Iterable[Release]
) -> tuple[_World, list[Problem]]:
    """All answers, and why there are no others."""
    unknown: list[Problem] = []

    def asked(question: Callable[[], T]) -> T | None:
        try:
            return question()
        except StagingError as error:
            unknown.append(Problem(str(error)))
            return None

    world = _World(cluster, now, place.checkout, place.settings.backfill)
    world.cronjobs = kubectl.by_release(kubectl.labelled(cluster))  # without these there is nothing to tell
    world.jobs, world.pods = asked(lambda: kubectl.made(cluster, "jobs")), asked(lambda: kubectl.made(cluster, "pods"))
    if (checkout := place.checkout) is None or place.problem:
        hint = "" if checkout else ". Run this in a checkout of the repository"
        unknown.append(Problem(f"{place.problem}: branches, and main's versions, are unknown{hint}"))
    else:
        ours = [facts for release in releases if world.ours((facts := release.values.record).repository)]
        commits = {facts.commit.removesuffix("-dirty") for facts in ours}
        world.branches = asked(checkout.stage_branches)
        world.main = asked(lambda: dataset_versions.on_main(checkout, {facts.template for facts in ours}))
        world.behind = asked(lambda: checkout.behind(commits))
    if project and (there := asked(lambda: sentry.listed(project))) is not None:
        world.monitors = {monitor.slug: ", ".join(monitor.states) or "active" for monitor in there}
    return world, unknown


def _standing(release: Release, world: _World) -> Standing:
    facts, wanted = release.values.record, release.values.jobs if release.live else {}
    cronjobs = {c["metadata"]["name"]: c for c in world.cronjobs.get(release.name, ())}
    ours, made = world.ours(facts.repository), release.newest.made
    there = world.main[facts.template] if ours and world.main is not None else None
    found = Standing(
        release.name,
        release.status,
        dataset_id=facts.dataset_id,
        version=facts.version,
        paused=release.values.suspend,
        revision=release.revision,
        created=min((c["metadata"]["creationTimestamp"] for c in cronjobs.values()), default=made),
        updated=made,
        repository=facts.repository,
        ours=ours,
        branch=facts.branch,
        commit=facts.commit,
        actor=facts.actor,
        subject=facts.subject,
        run=facts.run,
        stagger=facts.stagger,
        head=world.branches.get(facts.branch) if ours and world.branches is not None else UNKNOWN,
        main=_version(there, facts.version) if there else UNKNOWN,
        jobs=tuple(
            replace(_job(key, job, cronjobs.get(job.name), world), paused=key in release.values.paused_keys)
            for key, job in wanted.items()
        ),
    )
    found = replace(found, behind=(world.behind or {}).get(found.clean_commit))
    unread = (
        mismatches.unread(world.checkout, facts.dataset_id, there) if world.checkout and there and release.live else []
    )
    seen = mismatches.Seen(world.cluster, world.now, found, wanted, cronjobs)
    problems = [*unread, *mismatches.problems(seen)]
    command = backfill.command(world.backfill, facts.model_dump()) if ours else ""
    return replace(found, problems=tuple(problems), notes=tuple(mismatches.notes(seen, command)))


def _version(there: dataset_versions.OnMain, staged: str) -> str | None:
    """The version on main; where several templates have the dataset's id, the staged one if it is among them."""
    if there.problem:
        return UNREADABLE
    return staged if staged in there.versions else min(there.versions, key=numbers, default=None)


def _job(key: str, job: values.Job, cronjob: Object | None, world: _World) -> JobStanding:
    spec = cronjob["spec"] if cronjob else job.spec
    when, suspended = (spec["schedule"], spec.get("timeZone")), bool(spec.get("suspend")) if cronjob else None
    ran = [runs.of(made, world.pods, world.now) for made in (world.jobs or {}).get(job.name, ())]
    succeeded = [run.ended for run in ran if run.state == runs.SUCCEEDED]
    succeeded += filter(None, [(cronjob or {}).get("status", {}).get("lastSuccessfulTime")])
    failed = sorted((run for run in ran if run.state == runs.FAILED), key=lambda run: run.ended)
    return JobStanding(
        key,
        job.name,
        *when,
        suspended=suspended,
        last_success=max(succeeded, default=None),
        last_failure=failed[-1] if failed else None,
        running=tuple(run for run in ran if run.state in (runs.RUNNING, runs.STUCK)),
        next_fire=None if suspended is not False else next(iter(schedules.fires(*when, world.now)), None),
        monitor="" if world.monitors is None else world.monitors.get(job.name, "none"),
        known=world.jobs is not None,
    )


def _without_release(world: _World, deployed: set[str]) -> Iterator[Standing]:
    """Branches of this repository that are not deployed, or not here."""
    if (checkout := world.checkout) is None:
        return
    for branch, head in (world.branches or {}).items():
        if branch in deployed:
            continue
        found = Standing("", "not deployed", repository=checkout.repository, ours=True, branch=branch, head=head)
        try:
            staged = StagedVersion.from_branch(branch)
            facts = {"release": staged.release, "dataset_id": staged.dataset_id, "version": staged.version}
            yield replace(found, **facts, problems=(mismatches.without_release(branch),))
        except StagingError as error:
            yield replace(found, problems=(mismatches.no_name(checkout, branch, str(error)),))
