"""A release that another helm is at work on, or was killed at work on: wait for the living, take over from the dead."""

import time
from collections.abc import Callable

from ..external import helm, helm_record, waits
from ..external.cluster import Cluster
from ..external.helm_record import Release
from . import Say, check_done, removal

TIMEOUTS = 2  # a lock older than this many of Helm's own --timeout is dead
POLL = 2.0  # seconds


@waits.on("another helm")
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
        check_done(removal.clear(cluster, [release]))


def told(release: Release) -> str:
    """The sentence about a release that is taken over."""
    return f"taking over {release.name}: a helm was killed and left it {release.status}"
