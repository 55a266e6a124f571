"""`staging cleanup`: everything of one staged version goes, from the release's own record; its stores stay."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from . import branches
from .errors import Outside, Refused, Unfinished
from .releases import Cluster, Release
from .settings import Settings
from .staged_version import StagedVersion

GONE_TIMEOUT = 60  # seconds that objects may take to go after Helm has said so
POLL = 0.5


@dataclass(frozen=True)
class Plan:
    """What a cleanup would do."""

    cluster: Cluster
    release: Release
    checkout: branches.Checkout | None  # None: not run in a checkout of the release's repository
    head: str | None  # the commit that the branch is at; None when it is gone or unknown


def plan(settings: Settings, cluster: Cluster, staged: StagedVersion) -> Plan:
    """Find out what there is to clean up. Nothing is touched. Raises `Refused` when there is no such release."""
    release = cluster.find(staged.release)
    if release is None:
        raise Refused(
            f"there is no release {staged.release} in {cluster}: nothing was touched. Is this the right cluster? "
            f"To delete just the branch: git push {settings.remote} --delete {staged.branch}"
        )
    record = release.values.record
    if record.staged_version != staged:
        raise Refused(f"release {release.name} belongs to {record.dataset_id} v{record.version}: nothing was touched")
    checkout = _checkout(settings)
    if checkout and checkout.repository != record.repository:
        raise Refused(
            f"release {release.name} was deployed from {record.repository}, this is a checkout of "
            f"{checkout.repository}: nothing was touched; run this in the right one"
        )
    return Plan(cluster, release, checkout, checkout.remote_head(record.branch) if checkout else None)


def run(plan: Plan, say: Callable[[str], None]) -> None:
    """Carry the plan out: the branch first, which closes the door to new pushes, then jobs and record."""
    record = plan.release.values.record
    if plan.checkout and plan.head:
        say(f"deleting branch {record.branch}")
        plan.checkout.delete_branch(record.branch, plan.head)
    say(f"deleting release {plan.release.name}, its Jobs and pods")
    remove(plan.cluster, plan.release)


def remove(cluster: Cluster, release: Release) -> None:
    """Delete the release's objects, see that they are gone, then purge its record.

    Until the purge the release is `uninstalling` or `uninstalled` in `helm list`, and a rerun finishes it. Raises
    `Unfinished` when objects outlive the wait.
    """
    if release.status != "uninstalled":  # --keep-history on `uninstalled` fails, on both majors
        try:
            cluster.uninstall(release.name, keep_history=True)
        except Outside as error:
            raise Unfinished(f"{error}; run the same command again to finish") from None
    wait_gone(cluster, release)
    cluster.uninstall(release.name, keep_history=False)


def wait_gone(cluster: Cluster, release: Release) -> None:
    """Only kubectl's word counts: Helm may say `uninstalled` while objects live."""
    deadline = time.monotonic() + GONE_TIMEOUT
    while remains := cluster.remains(release):
        if time.monotonic() > deadline:
            shown = ", ".join(remains[:5]) + (f" and {len(remains) - 5} more" if len(remains) > 5 else "")
            raise Unfinished(
                f"{cluster}: {shown} still exist {GONE_TIMEOUT} s after the release was uninstalled (a lost node or a "
                "finalizer?); run the same command again to finish"
            )
        time.sleep(POLL)


def _checkout(settings: Settings) -> branches.Checkout | None:
    try:
        return branches.checkout(settings)
    except Outside:
        return None
