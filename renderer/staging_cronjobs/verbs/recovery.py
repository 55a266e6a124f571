"""A release that another helm is at work on, or was killed at work on: wait for the living, take over from the dead."""

import time
from collections.abc import Collection, Mapping

from ..errors import AGAIN, Outside, Refused, Unfinished
from ..external import helm, kubectl, record
from ..external.cluster import Cluster
from ..external.record import Release
from . import Say

TIMEOUTS = 2  # a lock older than this many of Helm's own --timeout is dead
POLL = 2.0  # seconds


def settle(cluster: Cluster, release: Release, say: Say) -> Release | None:
    """The release once no living helm is at work on it: it may still be pending, and is dead then.

    Waits TIMEOUTS times Helm's --timeout at most, counted from the lock's own age.
    """
    patience = TIMEOUTS * cluster.timeout_seconds
    current: Release | None = release
    if release.pending and release.age < patience:
        say(f"waiting for another helm: {release.name} has been {release.status} for {release.age:.0f} s")
    while current and current.pending and current.age < patience:
        time.sleep(min(POLL, patience - current.age))
        current = record.find(cluster, release.name)
    return current


def check_own(cluster: Cluster, release: Release, names: Collection[str]) -> dict[str, kubectl.Object]:
    """Those of a release's CronJobs that exist. Raises `Refused` for one that somebody put in the place of ours.

    Helm changes and deletes by name, so that one would go with the release.
    """
    live = kubectl.existing(cluster, names)
    if foreign := kubectl.foreign(cluster, live, release.name):
        raise Refused(
            f"CronJob {min(foreign)} has the name of a job of release {release.name} but is not its. Nothing was "
            "touched. Rename or delete that CronJob first."
        )
    return live


def check_staying(cluster: Cluster, release: str, cronjobs: Mapping[str, kubectl.Object]) -> None:
    """Raises `Refused` for a release's CronJob that is being deleted: an upgrade changes it, and then it vanishes."""
    if going := sorted(name for name, cronjob in cronjobs.items() if "deletionTimestamp" in cronjob["metadata"]):
        raise Refused(
            f"CronJob {going[0]} of release {release} is being deleted. Nothing was touched. Run this again when it is "
            f"gone. If it stays, look at its finalizers: kubectl get cronjob {going[0]} --namespace "
            f"{cluster.namespace} -o yaml"
        )


def take_over(cluster: Cluster, release: Release, say: Say) -> None:
    """Free a release whose helm was killed: back to its last deployed revision, or away when it has none."""
    say(f"taking over {release.name}: a helm was killed and left it {release.status}")
    if release.before is not None:
        helm.rollback(cluster, release, release.before.number)
    else:
        clear(cluster, release)


def clear(cluster: Cluster, release: Release) -> None:
    """Delete the release's objects and see that they are gone; its record stays, as `uninstalled`.

    Raises `Unfinished` when objects outlive the wait: only kubectl's word counts, Helm may say `uninstalled` while
    objects live.
    """
    if release.status != "uninstalled":  # --keep-history on `uninstalled` fails, on both majors
        _uninstall(cluster, release)
    kubectl.delete_leftovers(cluster, release)
    deadline = time.monotonic() + cluster.gone_seconds
    while remains := kubectl.remains(cluster, release):
        if time.monotonic() > deadline:
            shown = ", ".join(remains[:5]) + (f" and {len(remains) - 5} more" if len(remains) > 5 else "")
            raise Unfinished(
                f"{cluster}: {shown} still there after {cluster.gone_seconds:.0f} s (a lost node, or a finalizer?): "
                f"{AGAIN}"
            )
        time.sleep(POLL / 4)


def _uninstall(cluster: Cluster, release: Release) -> None:
    try:
        helm.uninstall(cluster, release, keep_history=True)
    except Outside as error:
        # It may have been done by another run beside this one, or Helm's own wait was too short: the objects tell.
        now = record.find(cluster, release.name)
        if now and now.status != "uninstalled":
            kubectl.delete_leftovers(cluster, release)  # kubectl says why, where Helm says only that it failed
            raise Unfinished(f"{error}; {AGAIN}") from None
        if "is forbidden" in str(error):
            raise Unfinished(f"{error}; {AGAIN}") from None
