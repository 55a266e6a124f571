"""Taking releases away: their objects first, and the proof that they are gone, then their records.

Several at once, each step for all of them, so that no step starts a program for each.
"""

import time
from collections.abc import Collection, Sequence

from ..errors import Refused, Superseded, Unfinished, to_finish
from ..external import helm, helm_record, kubectl, waits
from ..external.cluster import Cluster
from ..external.helm_record import Release
from . import Problems

SOON, LATER = 0.1, 0.8  # seconds between two looks at what remains: at first, and in the end
STARTS = 4  # of helm, side by side: each takes one release after the other


def clear(cluster: Cluster, releases: Collection[Release]) -> Problems:
    """Delete the releases' objects and see that they are gone; their records stay, as `uninstalled`.

    Gives `Unfinished` when objects outlive the cluster's timeout: only kubectl's word counts, Helm says `uninstalled`
    while objects live.
    """
    # --keep-history on `uninstalled` fails, on both majors.
    failed = _uninstall(cluster, [release for release in releases if release.status != "uninstalled"], STARTS)
    left = [release for release in releases if release.name not in failed]
    failed |= kubectl.delete_leftovers(cluster, left)
    left = [release for release in left if release.name not in failed]
    deadline, pause = time.monotonic() + cluster.timeout_seconds, SOON
    with waits.on("Jobs and pods to go"):
        while (remains := kubectl.remains(cluster, left)) and time.monotonic() <= deadline:
            time.sleep(pause)
            pause = min(2 * pause, LATER)
    for name, things in remains.items():
        shown = ", ".join(things[:5]) + (f" and {len(things) - 5} more" if len(things) > 5 else "")
        told = f"{shown} still there after {cluster.timeout_seconds:.0f} s (a lost node, or a finalizer?)"
        failed[name] = Unfinished(to_finish(f"{cluster}: {told}"))
    return failed


def purge(cluster: Cluster, names: Collection[str]) -> Problems:
    """Delete the records of releases whose objects are gone. Gives `Superseded` for one that was deployed meanwhile.

    Not by Helm, which goes by the name alone: a deploy that lands just then would be lost.
    """
    left, failed = _undeployed(cluster, names)
    kept = helm_record.forget(cluster, left)
    still, deployed = _undeployed(cluster, kept)
    return failed | deployed | {release.name: kept[release.name] for release in still}


def _undeployed(cluster: Cluster, names: Collection[str]) -> tuple[list[Release], Problems]:
    """What is left of the records of these releases, and why others are left alone."""
    found, unproven = helm_record.histories(cluster, names)
    again = "was deployed again meanwhile by a newer push, and was left alone"
    deployed: Problems = {r.name: Superseded(f"release {r.name} {again}") for r in found if r.live}
    refused: Problems = {name: Refused(why) for name, why in unproven.items()}
    return [release for release in found if not release.live], deployed | refused


def _uninstall(cluster: Cluster, releases: Sequence[Release], starts: int) -> Problems:
    """Have Helm delete the objects. What it says of several counts for none: then each gets a start of its own."""
    failed: Problems = {}
    for release in releases:
        try:
            helm_record.check(release)
        except Refused as error:
            failed[release.name] = error
    told = helm.uninstall(cluster, [r.name for r in releases if r.name not in failed], starts)
    # It may have been done by another run beside this one: the record tells.
    now, unproven = helm_record.histories(cluster, told)
    failed |= {name: Refused(why) for name, why in unproven.items()}
    undone = [release for release in now if release.status != "uninstalled"]
    if undone and len(releases) > starts:
        return failed | _uninstall(cluster, undone, len(undone))
    why = told | kubectl.delete_leftovers(cluster, undone)  # kubectl says why, where Helm says only that it failed
    stuck = {release.name for release in undone} | {name for name in told if "is forbidden" in str(told[name])}
    return failed | {name: Unfinished(to_finish(why[name])) for name in stuck}
