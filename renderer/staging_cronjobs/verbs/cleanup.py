"""`staging cleanup`: everything of staged versions goes, from their releases' own records; their stores stay.

Until the last step a release is `uninstalling` or `uninstalled` in `helm list`, and the same command finishes it.
Several versions take each step together, and what is in the way of one does not stop the others.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ..checks import ownership
from ..errors import Outside, Refused, StagingError, Superseded, Unfinished, Usage, to_finish
from ..external import dataset_versions, git, helm_record, kubectl, sentry, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..external.main_settings import Place
from ..external.sentry import Monitor
from ..model import command_line, stores
from ..model.settings import Settings
from ..model.staged_version import StagedVersion
from ..model.values import Record
from . import Problems, Say, control, guard, monitors, origin, recovery, removal

FEW = 20  # versions whose records a plan looks into already: 20 ms each


@dataclass(frozen=True)
class Plan:
    """What a cleanup of one version would do."""

    cluster: Cluster
    release: Release
    checkout: git.Checkout | None  # None: no checkout at hand, or the branch is to be kept
    head: str | None  # the commit that the branch is at; None when it is gone or unknown
    project: sentry.Project | None  # None: not set up, or the monitors are to be kept
    found: tuple[Monitor, ...] = ()
    sentry_problem: str = ""  # why Sentry could not be asked; the jobs can go all the same
    keep_branch: bool = False
    keep_monitors: bool = False
    running: tuple[str, ...] = ()  # its Jobs that run now

    @property
    def branch(self) -> str:
        """The branch that belongs to the id and version, whatever the record names."""
        return self.release.values.record.staged_version.branch


Plans = dict[StagedVersion, Plan | StagingError]  # or why there is none


@shell.ahead()
def plan(
    place: Place,
    cluster: Cluster,
    wanted: Collection[StagedVersion],
    token: str = "",
    *,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> Plans:
    """Find out what there is to clean up, with one question of each kind for all. Nothing is touched.

    Gives `Refused` for a version that has no release, or one that is not to be touched. With `branch_deleted`, for the
    event of a deletion: `Superseded` when it has none, or when the branch is back.
    """
    project = None if keep_monitors else sentry.connect(place.settings, token)
    cluster.require_helm()
    names = [staged.release for staged in wanted]
    shell.begin(lambda: cluster.get("jobs", kubectl.selector_of(names)))
    found, unproven = helm_record.histories(cluster, names)
    releases = {release.name: release for release in found}
    live = kubectl.existing(cluster, {name for release in found for name in release.newest.names})
    checkout = None if keep_branch or not found else place.checkout
    if branch_deleted and found and checkout is None:
        raise Usage("--branch-deleted asks the remote for the branch, so it needs a checkout. Run it in one.")
    own = checkout and any(_is_of(checkout, release) for release in found)
    heads = checkout.remote_heads([staged.branch for staged in wanted]) if checkout and own else {}
    slugs = {name for release in found for name in release.job_names}
    there, problem = monitors.find(project, slugs)
    jobs = kubectl.running(cluster, slugs, kubectl.selector_of(names)) if found else {}

    def planned(staged: StagedVersion) -> Plan:
        if staged.release in unproven:
            raise Refused(unproven[staged.release])
        if (release := releases.get(staged.release)) is None:
            raise _absent(place.settings, cluster, staged, branch_deleted)
        helm_record.check_whose(release, staged)
        if len(names) <= FEW:
            helm_record.check(release)
        ownership.check_ours(cluster, release, _in_place(release, live))
        if checkout and not _is_of(checkout, release):
            repository = release.values.record.repository
            raise Refused(
                f"release {release.name} was deployed from {repository}, this is a checkout of "
                f"{checkout.repository}. Nothing was touched. Run this in the right one. {git.renamed(repository)}"
            )
        head = heads.get(staged.branch)
        if branch_deleted and head:
            raise Superseded(f"branch {staged.branch} is there again, at {head[:12]}. Nothing was touched")
        its = tuple(monitor for monitor in there if monitor.slug in release.job_names)
        running = tuple(name for name, job in jobs.items() if kubectl.made_by(job, release.job_names))
        return Plan(cluster, release, checkout, head, project, its, problem, keep_branch, keep_monitors, running)

    return {staged: _or_why(planned, staged) for staged in wanted}


def _or_why(planned: Callable[[StagedVersion], Plan], staged: StagedVersion) -> Plan | StagingError:
    try:
        return planned(staged)
    except StagingError as error:
        return error


def _absent(settings: Settings, cluster: Cluster, staged: StagedVersion, branch_deleted: bool) -> StagingError:
    """What to say where there is no release."""
    if branch_deleted:
        return Superseded(f"there is no release {staged.release} in {cluster}: nothing is left to clean up")
    return Refused(
        f"there is no release {staged.release} in {cluster}. Nothing was touched. Is this the right cluster? "
        f"To delete just the branch: {shlex.join(('git', 'push', settings.remote, '--delete', staged.branch))}"
    )


def _in_place(release: Release, live: Mapping[str, kubectl.Object]) -> dict[str, kubectl.Object]:
    """Those of the CronJobs of several releases that have a name of this one's jobs, whoever made them."""
    return {name: live[name] for name in live.keys() & release.newest.names}


def _is_of(checkout: git.Checkout, release: Release) -> bool:
    return git.same_repository(checkout.repository, release.values.record.repository)


def run(plans: Sequence[Plan], say: Say, *, drain: float = 0) -> Problems:
    """Carry the plans out. With `drain`, running Jobs get that many seconds to end by themselves.

    Gives why some are not done. Raises `Unfinished` when none is, from the first change on: the same command finishes
    the work.
    """
    if not plans:
        return {}
    failed = _changed(plans)
    # Branches first, because that closes the door to new pushes.
    failed |= _delete_branches([plan for plan in plans if plan.release.name not in failed], say)
    going = [plan.release for plan in plans if plan.release.name not in failed]
    try:
        return failed | _remove(plans[0].cluster, going, plans[0].project, say, drain)
    except Outside as error:
        raise Unfinished(to_finish(error)) from None


def _changed(plans: Sequence[Plan]) -> Problems:
    """What somebody pushed or deployed between the plan and now, while a person thought."""
    cluster, checkout = plans[0].cluster, plans[0].checkout
    found, unproven = helm_record.histories(cluster, [plan.release.name for plan in plans])
    releases = {release.name: release for release in found}
    live = kubectl.existing(cluster, {name for release in found for name in release.newest.names})
    gone = [plan.branch for plan in plans if plan.head is None]
    heads = checkout.remote_heads(gone) if checkout else {}
    failed: Problems = {name: Refused(why) for name, why in unproven.items()}
    for plan in plans:
        try:
            if plan.release.name not in failed:
                _check_unchanged(plan, releases.get(plan.release.name), live, heads.get(plan.branch))
        except StagingError as error:
            failed[plan.release.name] = error
    return failed


def _check_unchanged(plan: Plan, now: Release | None, live: Mapping[str, kubectl.Object], head: str | None) -> None:
    """Raises `Superseded` or `Refused` when the release, its CronJobs or its branch are not as they were planned."""
    same = (
        now
        and now.newest.uid == plan.release.newest.uid
        and (plan.release.pending or now.status == plan.release.status)
    )
    if now is None or (now.live and not same):
        state = f"is {now.status}, revision {now.revision}" if now else "is gone"
        raise Superseded(
            f"release {plan.release.name} has changed since the plan was made: it {state}. Nothing was touched. Run "
            "the same command again for a new plan."
        )
    helm_record.check(now)
    ownership.check_ours(plan.cluster, now, _in_place(now, live))
    if head:
        raise Superseded(f"branch {plan.branch} is there again, at {head[:12]}. Nothing was touched")


def _delete_branches(plans: Sequence[Plan], say: Say) -> Problems:
    heads = {plan.branch: plan.head for plan in plans if plan.head}
    for branch in heads:
        say(f"deleting branch {branch}")
    checkout = plans[0].checkout if plans else None
    kept = checkout.delete_branches(heads) if checkout else {}
    return {plan.release.name: _untouched(kept[plan.branch]) for plan in plans if plan.branch in kept}


def _untouched(problem: StagingError) -> StagingError:
    if not isinstance(problem, Outside):
        return problem
    return Outside(
        f"{problem}. The cluster was not touched. Allow the deletion, or "
        f"{command_line.with_option('--keep-branch')} to keep the branch."
    )


def _remove(
    cluster: Cluster, releases: Sequence[Release], project: sentry.Project | None, say: Say, drain: float
) -> Problems:
    """Jobs and pods, then monitors, then the records: a check-in of a late pod would make its monitor again."""
    failed: Problems = {}
    settled = _each(releases, lambda release: _settled(cluster, release, say), failed)
    if drain:
        settled = _drained(cluster, settled, drain, say, failed)
    for release in settled:
        say(f"deleting release {release.name}, its Jobs and pods")
    failed |= removal.clear(cluster, settled)
    cleared = [release for release in settled if release.name not in failed]
    if project and cleared:
        back = monitors.delete(project, {name for release in cleared for name in release.job_names}, say)
        failed |= {r.name: problem for r in cleared for slug, problem in back.items() if slug in r.job_names}
    failed |= removal.purge(cluster, [release.name for release in cleared if release.name not in failed])
    return {name: Unfinished(to_finish(p)) if isinstance(p, Outside) else p for name, p in failed.items()}


def _each(releases: Collection[Release], step: Callable[[Release], Release | None], failed: Problems) -> list[Release]:
    """What a step makes of each release; those that are gone are left out, and those in the way of it `failed`."""
    found: list[Release] = []
    for release in releases:
        try:
            if made := step(release):
                found.append(made)
        except StagingError as error:
            failed[release.name] = error
    return found


def _settled(cluster: Cluster, release: Release, say: Say) -> Release | None:
    """The release once no other helm is at work on it; None when it is gone."""
    settled = recovery.settle(cluster, release, say)
    if settled and settled.live:
        _check_same(settled, release)
    return settled


def _check_same(now: Release, before: Release) -> None:
    """A deploy that came while this waited is not what was to be deleted."""
    if now.newest.uid != before.newest.uid:
        raise Unfinished(
            f"release {now.name} was deployed again meanwhile, so it was left alone. To delete it all the same, run "
            "the same command again."
        )


def _drained(cluster: Cluster, releases: Sequence[Release], limit: float, say: Say, failed: Problems) -> list[Release]:
    """Pause, and wait for the Jobs that run; gives the releases as they are then, without those that are gone.

    `Unfinished` for those whose Jobs outlast the limit, or that somebody deploys meanwhile.
    """
    paused = _each(releases, lambda release: _paused(cluster, release, say), failed)
    living = {release.name: release for release in paused if release.live}
    names = {name for release in living.values() for name in release.job_names}
    selector = kubectl.selector_of([*living])
    jobs = control.wait_for_jobs(lambda: kubectl.running(cluster, names, selector), limit, say) if living else {}
    now = {release.name: release for release in helm_record.histories(cluster, [*living])[0]}
    live = kubectl.existing(cluster, {name for release in now.values() for name in release.newest.names})

    def ended(before: Release) -> Release | None:
        if before.name not in living:
            return before
        if running := [name for name, job in jobs.items() if kubectl.made_by(job, before.job_names)]:
            raise Unfinished(
                f"{len(running)} Jobs of {before.name} still run after {limit:.0f} s. The release is paused. Run the "
                "same command again to wait longer, or without --drain to stop them."
            )
        release = now.get(before.name)
        if release and release.live:
            _check_same(release, before)
        if release and (foreign := kubectl.foreign(cluster, _in_place(release, live), release.name)):
            raise Unfinished(
                f"CronJob {min(foreign)} has the name of a job of release {release.name} but does not belong to it. "
                "It was put there while Jobs ended. Rename or delete it, then run the same command again."
            )
        return release

    return _each(paused, ended, failed)


def _paused(cluster: Cluster, release: Release, say: Say) -> Release | None:
    """The release once its CronJobs are suspended; None when it is gone."""
    if release.pending:
        recovery.take_over(cluster, release, say)  # or Helm refuses to pause it
        if (found := helm_record.find(cluster, release.name)) is None:
            return None
        release = found
    if not release.live:
        return release
    live = kubectl.existing(cluster, release.newest.names)
    if release.values.suspend and all(cronjob["spec"].get("suspend") for cronjob in live.values()):
        return release
    say(f"pausing release {release.name}")
    paused = release.values.model_copy(update={"suspend": True})
    control.upgrade(cluster, release, paused, origin.signed("paused to drain"))
    return helm_record.find(cluster, release.name)


def against_deleting(place: Place, plans: Sequence[Plan]) -> list[str]:
    """What speaks against deleting the stores that stay, by main as it is now, for each plan; empty when nothing does.

    To be asked last: while a cleanup drains, main may get a version, and production then writes its stores.
    """
    records = [plan.release.values.record for plan in plans]
    checkout, main, problem = None, {}, ""
    try:
        wanted = {facts.template for facts in records if facts.stores}
        checkout = place.checkout if wanted else None
        if checkout:
            checkout.fetch_main()
            main = dataset_versions.on_main(checkout, wanted)
    except StagingError as error:
        problem = str(error)

    def against(facts: Record) -> str:
        if not facts.stores:
            return ""
        if not problem and not (checkout and git.same_repository(checkout.repository, facts.repository)):
            return _unread(f"{place.settings.project} is no checkout of {facts.repository}.")
        found = main.get(facts.template)
        return _unread(problem) if found is None else _against(facts, found)

    return [against(facts) for facts in records]


def _unread(why: str) -> str:
    return f"These may be production's stores now, so check before you delete them. Main could not be read: {why}"


def _against(facts: Record, main: dataset_versions.OnMain) -> str:
    if main.problem:
        return _unread(main.problem)
    if facts.version in main.versions:
        return f"These are production's stores now: main has version {facts.version}. Do not delete them."
    if shared := [url for url in facts.stores if not stores.is_own(url, facts.version)]:
        return (
            f"Other versions may write {', '.join(shared)} too, because version {facts.version} is not in the URL. "
            "Check before you delete anything."
        )
    return ""


def promoted(place: Place, cluster: Cluster, say: Say) -> tuple[list[StagedVersion], list[str]]:
    """The staged versions of this repository that main has too, and why others could not be compared, also to `say`."""
    checkout = place.fetched()
    listed, unproven = helm_record.listing(cluster)
    found: list[StagedVersion] = []
    recorded = [release.values.record for release in listed]
    main = dataset_versions.on_main(checkout, {facts.template for facts in recorded})
    for release, facts in zip(listed, recorded, strict=True):
        own = git.same_repository(facts.repository, checkout.repository)
        there = main[facts.template]
        if there.problem:
            unproven |= {release.name: there.problem} if own else {}
        elif facts.version in there.versions and own:
            found.append(facts.staged_version)
        elif facts.version in there.versions:
            unproven[release.name] = guard.elsewhere(release, checkout)
    for name, why in sorted(unproven.items()):
        say(f"{name} is left alone, because it cannot be compared with main: {why}")
    return found, [*unproven.values()]


def all_versions(cluster: Cluster, dataset_id: str) -> list[StagedVersion]:
    """The staged versions of a dataset. Raises `Refused` when nothing of it is staged."""
    listed, unproven = helm_record.listing(cluster)
    there = [release.values.record.staged_version for release in listed]
    if found := [staged for staged in there if staged.dataset_id == dataset_id]:
        return found
    why = f" ({min(unproven)} cannot be read: `{command_line.staging('list')}` says why)" if unproven else ""
    raise Refused(f"no version of {dataset_id} is staged in {cluster}{why}. Nothing was touched")
