"""`staging sweep`: what was forgotten. Only what is provably ours and over is ever removed.

A failed, partial or empty listing of anything is an error, never "all gone".
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from ..errors import StagingError, Unfinished
from ..external import dataset_versions, git, helm_record, kubectl, sentry, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..external.main_settings import Place
from ..external.sentry import Monitor
from ..model.staged_version import StagedVersion, numbers
from . import Say, check_done, cleanup, listing, recovery


@dataclass(frozen=True)
class Finding:
    """One thing that was forgotten, or that a person should look at."""

    kind: str  # no-branch, unfinished, dropped-monitor: removable; the others are only reported
    name: str
    detail: str
    removable: bool = False
    staged: StagedVersion | None = None
    monitor: Monitor | None = None


def look(place: Place, cluster: Cluster, project: sentry.Project | None, *, grace: float) -> list[Finding]:
    """Compare the cluster, the remote and Sentry. Nothing younger than `grace` seconds counts as forgotten."""
    checkout = place.fetched()
    with shell.ahead():
        asked = shell.begin(lambda: listing.look(cluster))
        branches = checkout.stage_branches()
        there = sentry.listed(project) if project else []
        names = asked()
    recorded = [release.values.record for release in names.releases]
    main = dataset_versions.on_main(checkout, {facts.template for facts in recorded})
    staged: set[str] = set()
    found: dict[str, list[Finding]] = {}
    job_names: set[str] = set()
    # Helm loses our labels in a rollback: then only older revisions know the jobs that were dropped.
    bare, unproven = helm_record.histories(cluster, {r.name for r in names.releases if not r.labels})
    for release in [*(r for r in names.releases if r.labels), *bare]:
        job_names |= release.job_names
        facts = release.values.record
        if not git.same_repository(facts.repository, checkout.repository):
            detail = f"deployed from {facts.repository}: skipped. {git.renamed(facts.repository)}"
            found[release.name] = [Finding("other-repository", release.name, detail)]
            continue
        staged.add(facts.branch)
        told = [*_of_release(release, facts.branch in branches, grace), *_of_lock(cluster, release)]
        told += _of_main(release, main[facts.template])
        found[release.name] = [*_as_one(told), *_of_monitors(release, there, grace)]
    unproven |= names.unproven
    every = [finding for name in sorted(found) for finding in found[name]]
    every += [Finding("unproven", name, why) for name, why in sorted(unproven.items())]
    every += [_without_release(branch) for branch in sorted(branches.keys() - staged)]
    return [*every, *_unproven_cronjobs(cluster, names.cronjobs), *_unproven_monitors(there, job_names)]


def remove(
    place: Place,
    cluster: Cluster,
    found: list[Finding],
    token: str,
    *,
    keep_monitors: bool,
    limit: int,
    say: Say,
    fail: Say,
) -> None:
    """Remove what can be, `limit` at most; `fail` is told what failed. Raises `Unfinished` when some of it did."""
    removable = [f for f in found if f.removable]
    failed = 0
    for finding in removable[:limit]:
        say(f"removing {finding.kind} {finding.name}")
        try:
            _remove(place, cluster, finding, token, keep_monitors, say)
        except StagingError as error:
            failed += 1
            fail(f"{finding.name}: {error}")
    if left := len(removable[limit:]):
        say(f"{left} more are left for the next run (--max {limit})")
    if failed:
        raise Unfinished(f"{failed} of {len(removable[:limit])} could not be removed: see above, and run this again")


def _remove(place: Place, cluster: Cluster, finding: Finding, token: str, keep_monitors: bool, say: Say) -> None:
    """Asked again just before: what was pushed or deployed meanwhile is not forgotten."""
    if finding.staged is None:
        return
    if finding.monitor:
        release = helm_record.find(cluster, finding.staged.release)
        project = sentry.connect(place.settings, token)
        if project and release and finding.monitor.slug in release.dropped:
            sentry.delete(project, finding.monitor)
        return
    # A branch that is there beside an unfinished cleanup was pushed after it: its own deploy follows.
    unfinished = finding.kind == "unfinished"
    kept = {"keep_branch": unfinished, "keep_monitors": keep_monitors}
    plan = cleanup.plan(place, cluster, [finding.staged], token, **kept)[finding.staged]
    if isinstance(plan, StagingError):
        raise plan
    if plan.head is not None:
        say(f"{finding.staged.branch} is there again: left alone")
        return
    if unfinished and plan.release.live:
        say(f"release {plan.release.name} is {plan.release.status} again: left alone")
        return
    if plan.project is None and not keep_monitors:
        say(f"monitors are not touched, Sentry is not set up: {', '.join(sorted(plan.release.job_names))}")
    check_done(cleanup.run([plan], say))
    if stores := plan.release.values.record.stores:
        say(f"stores that stay: {', '.join(stores)}")
        for against in filter(None, cleanup.against_deleting(place, [plan])):
            say(against)


def _of_release(release: Release, has_branch: bool, grace: float) -> list[Finding]:
    staged = release.values.record.staged_version
    old = release.age >= grace
    young = "" if old else f", changed {release.age:.0f} s ago: too young to remove"
    if not release.live:
        detail = f"its cleanup is unfinished ({release.status}){young}"
        return [Finding("unfinished", release.name, detail, old, staged)]
    if not has_branch:
        return [Finding("no-branch", release.name, f"branch {staged.branch} is gone{young}", old, staged)]
    return []


def _of_lock(cluster: Cluster, release: Release) -> list[Finding]:
    if not release.pending:
        return []
    dead = release.age >= recovery.TIMEOUTS * cluster.timeout_seconds
    state = "was killed. The next deploy takes it over" if dead else "is at work, or was killed"
    return [Finding("pending", release.name, f"{release.status} for {release.age:.0f} s: its helm {state}")]


def _as_one(found: list[Finding]) -> list[Finding]:
    """One line for a release, of the kind that comes first: only that may be removable."""
    return [replace(found[0], detail="; ".join(f.detail for f in found))] if found else []


def _of_main(release: Release, there: dataset_versions.OnMain) -> list[Finding]:
    facts = release.values.record
    if there.problem:
        return [Finding("unproven", release.name, f"it cannot be compared with main: {there.problem}")]
    if not (release.live and there.versions):
        return []
    if facts.version in there.versions:
        return [Finding("on-main", release.name, f"main has version {facts.version} too: two writers, clean this up")]
    if numbers(oldest := min(there.versions, key=numbers)) > numbers(facts.version):
        return [
            Finding("overtaken", release.name, f"main is at {oldest}: a legacy version, kept until you clean it up")
        ]
    return []


def _of_monitors(release: Release, there: list[Monitor], grace: float) -> list[Finding]:
    detail, staged = f"its job was dropped from {release.name}", release.values.record.staged_version
    old = release.age >= grace
    return [Finding("dropped-monitor", m.slug, detail, old, staged, m) for m in there if m.slug in release.dropped]


def _without_release(branch: str) -> Finding:
    return Finding("no-release", branch, "a branch without a release in this namespace: never deployed, or another's")


def _unproven_cronjobs(cluster: Cluster, everything: Collection[dict[str, Any]]) -> list[Finding]:
    """CronJobs that carry our label without Helm's mark of the same release: copies, say."""
    ours = {c["metadata"]["name"] for c in kubectl.owned(cluster, everything)}
    others = [c for c in everything if c["metadata"]["name"] not in ours]
    detail = "CronJob with our labels that release {} does not own"
    return [Finding("unproven", c["metadata"]["name"], detail.format(kubectl.release_of(c))) for c in others]


def _unproven_monitors(there: list[Monitor], recorded: set[str]) -> list[Finding]:
    detail = "monitor named like a staged job that no release here has on record"
    return [
        Finding("unproven", m.slug, detail) for m in there if m.slug.startswith("staging-") and m.slug not in recorded
    ]
