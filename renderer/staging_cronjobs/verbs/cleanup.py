"""`staging cleanup`: everything of one staged version goes, from the release's own record; its stores stay.

Until the last step the release is `uninstalling` or `uninstalled` in `helm list`, and the same command finishes it.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..checks import ownership
from ..errors import Outside, Refused, StagingError, Superseded, Unfinished, Usage, to_finish
from ..external import cluster as clusters
from ..external import dataset_versions, git, helm_record, kubectl, sentry, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..external.sentry import Monitor
from ..model import command_line, stores
from ..model.settings import Settings
from ..model.staged_version import StagedVersion
from . import Say, control, guard, monitors, origin, recovery, removal

AT_ONCE = 4


@dataclass(frozen=True)
class Plan:
    """What a cleanup would do."""

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


@shell.ahead()
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
    project = None if keep_monitors else sentry.connect(settings, token)
    cluster.require_helm()
    shell.begin(lambda: cluster.get("jobs", kubectl.selector_of(staged.release)))
    release = helm_record.own(cluster, staged)
    if release is None and branch_deleted:
        raise Superseded(f"there is no release {staged.release} in {cluster}: nothing is left to clean up")
    if release is None:
        raise Refused(
            f"there is no release {staged.release} in {cluster}. Nothing was touched. Is this the right cluster? "
            f"To delete just the branch: {shlex.join(('git', 'push', settings.remote, '--delete', staged.branch))}"
        )
    ownership.check_own(cluster, release, release.newest.names)
    checkout = None if keep_branch else _checkout(settings, release)
    if branch_deleted and checkout is None:
        raise Usage("--branch-deleted asks the remote for the branch, so it needs a checkout. Run it in one.")
    head = checkout.remote_head(staged.branch) if checkout else None
    if branch_deleted and head:
        raise Superseded(f"branch {staged.branch} is there again, at {head[:12]}. Nothing was touched")
    found, problem = monitors.find(project, release.job_names)
    kept, running = (keep_branch, keep_monitors), tuple(kubectl.active_jobs(cluster, release))
    return Plan(cluster, release, checkout, head, project, tuple(found), problem, *kept, running)


def run(plan: Plan, say: Say, *, drain: float = 0) -> None:
    """Carry the plan out. With `drain`, running Jobs get that many seconds to end by themselves.

    Raises `Unfinished` from the first change on: the same command finishes the work.
    """
    branch = plan.release.values.record.staged_version.branch
    _check_unchanged(plan, branch)
    if plan.checkout and plan.head:
        # First, because it closes the door to new pushes.
        say(f"deleting branch {branch}")
        try:
            plan.checkout.delete_branch(branch, plan.head)
        except Outside as error:
            raise Outside(
                f"{error}. The cluster was not touched. Allow the deletion, or "
                f"{command_line.with_option('--keep-branch')} to keep the branch."
            ) from None
    try:
        remove(plan.cluster, plan.release, plan.project, say, drain=drain)
    except Outside as error:
        raise Unfinished(to_finish(error)) from None


def remove(cluster: Cluster, release: Release, project: sentry.Project | None, say: Say, *, drain: float = 0) -> None:
    """Jobs and pods, then monitors, then the record: a check-in of a late pod would make its monitor again."""
    settled = recovery.settle(cluster, release, say)
    if settled and settled.live:
        _check_same(settled, release)
    if settled and drain and settled.pending:
        recovery.take_over(cluster, settled, say)  # or Helm refuses to pause it
        settled = helm_record.find(cluster, release.name)
    if settled and drain and settled.live:
        settled = _drain(cluster, settled, drain, say)
    if settled is None:
        return
    say(f"deleting release {release.name}, its Jobs and pods")
    removal.clear(cluster, settled)
    if project:
        monitors.delete(project, settled.job_names, say)
    removal.purge(cluster, release.name)


def _check_same(now: Release, before: Release) -> None:
    """A deploy that came while this waited is not what was to be deleted."""
    if now.newest.uid != before.newest.uid:
        raise Unfinished(
            f"release {now.name} was deployed again meanwhile, so it was left alone. To delete it all the same, run "
            "the same command again."
        )


def against_deleting(settings: Settings, plan: Plan) -> str:
    """What speaks against deleting the stores that stay, by main as it is now; empty when nothing does.

    To be asked last: while a cleanup drains, main may get this version, and production then writes these stores.
    """
    facts = plan.release.values.record
    if not facts.stores:
        return ""
    try:
        checkout = plan.checkout or git.find(settings)
        if checkout is None or not git.same_repository(checkout.repository, facts.repository):
            raise Outside(f"{settings.project} is no checkout of {facts.repository}.")
        checkout.fetch_main()
        wanted = (facts.dataset_id, facts.template_path)
        if (found := dataset_versions.on_main(checkout, [wanted])[wanted]).problem:
            raise Refused(found.problem)
    except StagingError as error:
        return f"These may be production's stores now, so check before you delete them. Main could not be read: {error}"
    if facts.version in found.versions:
        return f"These are production's stores now: main has version {facts.version}. Do not delete them."
    if shared := [url for url in facts.stores if not stores.is_own(url, facts.version)]:
        return (
            f"Other versions may write {', '.join(shared)} too, because version {facts.version} is not in the URL. "
            "Check before you delete anything."
        )
    return ""


def _check_unchanged(plan: Plan, branch: str) -> None:
    """Raises `Superseded` when somebody pushed or deployed between the plan and now, while a person thought."""
    now = helm_record.find(plan.cluster, plan.release.name)
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
    ownership.check_own(plan.cluster, now, now.newest.names)
    if plan.checkout and plan.head is None and (head := plan.checkout.remote_head(branch)):
        raise Superseded(f"branch {branch} is there again, at {head[:12]}. Nothing was touched")


def _checkout(settings: Settings, release: Release) -> git.Checkout | None:
    repository = release.values.record.repository
    checkout = git.find(settings)
    if checkout and not git.same_repository(checkout.repository, repository):
        raise Refused(
            f"release {release.name} was deployed from {repository}, this is a checkout of "
            f"{checkout.repository}. Nothing was touched. Run this in the right one. {git.renamed(repository)}"
        )
    return checkout


def _drain(cluster: Cluster, release: Release, limit: float, say: Say) -> Release | None:
    """Pause, and wait for the Jobs that run; gives the release as it is then, None when it is gone.

    Raises `Unfinished` when they outlast the limit, or somebody deploys meanwhile.
    """
    live = kubectl.existing(cluster, release.newest.names)
    if not release.values.suspend or not all(cronjob["spec"].get("suspend") for cronjob in live.values()):
        say(f"pausing release {release.name}")
        paused = release.values.model_copy(update={"suspend": True})
        control.upgrade(cluster, release, paused, origin.signed("paused to drain"))
    before = helm_record.find(cluster, release.name)
    if jobs := control.wait_for_jobs(lambda: kubectl.active_jobs(cluster, release), limit, say):
        raise Unfinished(
            f"{len(jobs)} Jobs of {release.name} still run after {limit:.0f} s. The release is paused. Run the "
            "same command again to wait longer, or without --drain to stop them."
        )
    now = helm_record.find(cluster, release.name)
    if now and now.live and before:
        _check_same(now, before)
    if now and (foreign := kubectl.foreign(cluster, kubectl.existing(cluster, now.newest.names), now.name)):
        raise Unfinished(
            f"CronJob {min(foreign)} has the name of a job of release {now.name} but does not belong to it. "
            "It was put there while Jobs ended. Rename or delete it, then run the same command again."
        )
    return now


@dataclass(frozen=True)
class Targets:
    """Several staged versions to clean up, each with its release; or with why there is none that could be."""

    cluster: Cluster
    releases: Mapping[StagedVersion, Release | str]
    problems: Sequence[str] = ()  # why others could not be compared


def promoted(settings: Settings, say: Say) -> Targets:
    """The staged versions of this repository that main has too; `say` gets what could not be compared."""
    checkout, cluster = git.checkout(settings), clusters.connect(settings)
    listed, unproven = helm_record.listing(cluster)
    if not (listed or unproven):
        cluster.require_namespace()
    found: dict[StagedVersion, Release | str] = {}
    recorded = [release.values.record for release in listed]
    main = dataset_versions.on_main(checkout, {(facts.dataset_id, facts.template_path) for facts in recorded})
    for release, facts in zip(listed, recorded, strict=True):
        own = git.same_repository(facts.repository, checkout.repository)
        there = main[facts.dataset_id, facts.template_path]
        if there.problem:
            unproven |= {release.name: there.problem} if own else {}
        elif facts.version in there.versions and own:
            found[facts.staged_version] = release
        elif facts.version in there.versions:
            unproven[release.name] = guard.elsewhere(release, checkout)
    for name, why in sorted(unproven.items()):
        say(f"{name} is left alone, because it cannot be compared with main: {why}")
    return Targets(cluster, found, [*unproven.values()])


def targets(settings: Settings, named: Sequence[str], dataset_id: str, version: str, all_versions: bool) -> Targets:
    """The staged versions that the options name. Raises `Usage`, or `Refused` when nothing of the dataset is staged."""
    staged = [StagedVersion.from_branch(branch) for branch in dict.fromkeys(named)]
    if all_versions and (not dataset_id or version or named):
        raise Usage("--all-versions goes with --dataset-id alone")
    cluster = clusters.connect(settings)
    listed, unproven = helm_record.listing(cluster)
    known = {r.values.record.staged_version: r for r in listed}
    if not all_versions:
        none = {s: unproven.get(s.release, f"there is no release {s.release}") for s in staged}
        return Targets(cluster, {s: known.get(s, why) for s, why in none.items()})
    found = {s: release for s, release in known.items() if s.dataset_id == dataset_id}
    if not found:
        cluster.require_namespace()
        why = f" ({min(unproven)} cannot be read: `{command_line.staging('list')}` says why)" if unproven else ""
        raise Refused(f"no version of {dataset_id} is staged in {cluster}{why}. Nothing was touched")
    return Targets(cluster, found)


@shell.ahead()
def plan_many(
    settings: Settings,
    targets: Targets,
    token: str = "",
    *,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> dict[StagedVersion, Plan | str]:
    """What `plan` will find for each of them, or why it will refuse: one question of each kind for all."""
    found = [release for release in targets.releases.values() if isinstance(release, Release)]
    names = frozenset[str]().union(*(release.job_names for release in found))
    project = None if keep_monitors else sentry.connect(settings, token)
    shell.begin(lambda: kubectl.running(targets.cluster, names))
    checkout = None if keep_branch else git.find(settings)
    heads = checkout.stage_branches() if checkout else {}
    jobs = kubectl.running(targets.cluster, names)
    there, problem = monitors.find(project, names)

    def planned(release: Release | str) -> Plan | str:
        if isinstance(release, str):
            return release
        facts = release.values.record
        head = heads.get(facts.branch)
        if checkout and not git.same_repository(checkout.repository, facts.repository):
            return f"it was deployed from {facts.repository}, and this is a checkout of {checkout.repository}"
        if branch_deleted and head:
            return f"branch {facts.branch} is there again, at {head[:12]}"
        monitors = tuple(monitor for monitor in there if monitor.slug in release.job_names)
        running = tuple(name for name, job in jobs.items() if kubectl.made_by(job, release.job_names))
        kept = (problem, keep_branch, keep_monitors)
        return Plan(targets.cluster, release, checkout, head, project, monitors, *kept, running)

    return {staged: planned(release) for staged, release in targets.releases.items()}


def run_many(found: Targets, flags: Sequence[str], token: str, say: Say, show: Say) -> None:
    """Clean up all of them, each in a process of its own, so that one cannot stop another; `show` gets their results.

    Raises `Unfinished` that names how many are not done. One that a newer push took over is no failure.
    """
    where = [f"--namespace={found.cluster.namespace}", *_context(found.cluster)]
    program = (sys.executable, "-m", "staging_cronjobs.cli", "cleanup", "--yes", *flags, *where)
    commands = [(*program, "--branch", staged.branch) for staged in found.releases]
    # The children ask Sentry themselves: the token goes by environment, never by command line. Annotations are ours.
    secret = {"GITHUB_ACTIONS": "", **({"SENTRY_AUTH_TOKEN": token} if token else {})}
    failed = 0
    for staged, result in zip(found.releases, shell.run_all(commands, at_once=AT_ONCE, env=secret), strict=True):
        failed += result.code not in (0, Superseded.exit_code)
        last = (result.stderr.strip().splitlines() or [""])[-1].removeprefix("error: ")
        say(f"{staged.branch}: {f'exit code {result.code}: {last}' if result.code else 'done'}")
        if result.stdout:
            show(result.stdout.rstrip())
    if failed:
        raise Unfinished(
            f"{failed} of {len(found.releases)} staged versions are not cleaned up: see above, and run this again"
        )


def _context(cluster: Cluster) -> list[str]:
    return [f"--kube-context={cluster.context}"] if cluster.context else []
