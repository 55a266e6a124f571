"""Taking a release away: its objects first, and the proof that they are gone, then its record."""

import time

from ..errors import Outside, Superseded, Unfinished, to_finish
from ..external import helm, helm_record, kubectl
from ..external.cluster import Cluster
from ..external.helm_record import Release

POLL = 0.5  # seconds


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
            told = f"{shown} still there after {cluster.gone_seconds:.0f} s (a lost node, or a finalizer?)"
            raise Unfinished(to_finish(f"{cluster}: {told}"))
        time.sleep(POLL)


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
            raise Unfinished(to_finish(error)) from None
        if "is forbidden" in str(error):
            raise Unfinished(to_finish(error)) from None
