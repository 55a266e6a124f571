"""Whose a release and its CronJobs are: nothing is done to what is another's, or on its way out.

Helm changes and deletes by name, so whatever has a name of ours would go with the release.
"""

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import Refused
from ..external import git, kubectl
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model.values import Record


def check_identity(release: Release | None, record: Record) -> None:
    """An existing release of this name must be of the same staged version, or its jobs would be pruned."""
    if release is None:
        return
    theirs, ours = ((r.repository, r.dataset_id, r.version) for r in (release.values.record, record))
    if theirs[1:] != ours[1:] or not git.same_repository(theirs[0], ours[0]):
        renamed = f" {git.renamed(theirs[0])}" if theirs[1:] == ours[1:] else ""
        raise Refused(
            f"release {release.name} belongs to {theirs[1]} v{theirs[2]} of {theirs[0]}, "
            f"not to {ours[1]} v{ours[2]} of {ours[0]}. "
            f"Clean that one up first, or use another version or namespace.{renamed}"
        )


def check_free(foreign: Mapping[str, Mapping[str, Any]], release: str) -> None:
    """No CronJob of somebody else may have the name of a job: it would be overwritten."""
    if not foreign:
        return
    maker = kubectl.owner(foreign[name := min(foreign)])[0]
    raise Refused(
        f"CronJob {name} is there already and {f'belongs to release {maker}' if maker else 'is not from Helm'}. "
        f"Release {release} would overwrite it. Delete or rename it first"
    )


def check_own(cluster: Cluster, release: Release, names: Collection[str]) -> dict[str, kubectl.Object]:
    """Those of a release's CronJobs that exist. Raises `Refused` for one that somebody put in the place of ours."""
    live = kubectl.existing(cluster, names)
    check_ours(cluster, release, live)
    return live


def check_ours(cluster: Cluster, release: Release, live: Mapping[str, kubectl.Object]) -> None:
    """Raises `Refused` for one of these CronJobs, by name, that somebody put in the place of the release's."""
    if foreign := kubectl.foreign(cluster, live, release.name):
        raise Refused(
            f"CronJob {min(foreign)} has the name of a job of release {release.name} but does not belong to it. "
            "Nothing was touched. Rename or delete that CronJob first."
        )


def check_staying(cluster: Cluster, release: str, cronjobs: Mapping[str, kubectl.Object]) -> None:
    """Raises `Refused` for a release's CronJob that is being deleted: an upgrade changes it, and then it vanishes."""
    if going := sorted(name for name, cronjob in cronjobs.items() if "deletionTimestamp" in cronjob["metadata"]):
        shown = kubectl.line(cluster, "get", "cronjob", going[0], "-o", "yaml")
        raise Refused(
            f"CronJob {going[0]} of release {release} is being deleted. Nothing was touched. Run this again when it is "
            f"gone. If it stays, look at its finalizers: {shown}"
        )
