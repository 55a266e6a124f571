"""A release that another helm is at work on, or was killed at work on: wait for the living, take over from the dead."""

import time
from collections.abc import Callable

from ..errors import AGAIN, Outside, Superseded, Unfinished
from ..external import helm, helm_record, kubectl
from ..external.cluster import Cluster
from ..external.helm_record import Release
from . import Say

TIMEOUTS = 2  # a lock older than this many of Helm's own --timeout is dead
POLL = 2.0  # seconds


def settle(
    cluster: Cluster, release: Release, say: Say, meanwhile: Callable[[], object] = lambda: None
) -> Release | None:
    """The release once no living helm is at work on it: it may still be pending, and is dead then.

    Waits TIMEOUTS times Helm's --timeout at most, counted from the lock's own age, and does `meanwhile` now and then.
    """
    patience = TIMEOUTS * cluster.timeout_seconds
    current: Release | None = release
    if release.pending and release.age < patience:
        say(f"waiting for another helm: {release.name} has been {release.status} for {release.age:.0f} s")
    while current and current.pending and current.age < patience:
        time.sleep(max(min(POLL, patience - current.age), 0))
        meanwhile()
        current = helm_record.find(cluster, release.name)
    return current


def take_over(cluster: Cluster, release: Release, say: Say) -> None:
    """Free a release whose helm was killed: back to its last deployed revision, or away when it has none."""
    say(told(release))
    if release.before is not None:
        helm.rollback(cluster, release, release.before.number)
    else:
        clear(cluster, release)


def told(release: Release) -> str:
    """The sentence about a release that is taken over."""
    return f"taking over {release.name}: a helm was killed and left it {release.status}"


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


def purge(cluster: Cluster, name: str) -> None:
    """Delete the record of a release whose objects are gone. Raises `Superseded` when it was deployed again meanwhile.

    Not by Helm, which goes by the name alone: a deploy that lands just then would be lost.
    """
    if left := _undeployed(cluster, name):
        try:
            helm_record.forget(cluster, left)
        except Outside:
            if _undeployed(cluster, name):
                raise


def _undeployed(cluster: Cluster, name: str) -> Release | None:
    """What is left of a release's record."""
    left = helm_record.find(cluster, name)
    if left and left.live:
        raise Superseded(f"release {name} was deployed again meanwhile by a newer push, and was left alone")
    return left


def _uninstall(cluster: Cluster, release: Release) -> None:
    try:
        helm.uninstall(cluster, release)
    except Outside as error:
        # It may have been done by another run beside this one, or Helm's own wait was too short: the objects tell.
        now = helm_record.find(cluster, release.name)
        if now and now.status != "uninstalled":
            kubectl.delete_leftovers(cluster, release)  # kubectl says why, where Helm says only that it failed
            raise Unfinished(f"{error}; {AGAIN}") from None
        if "is forbidden" in str(error):
            raise Unfinished(f"{error}; {AGAIN}") from None
