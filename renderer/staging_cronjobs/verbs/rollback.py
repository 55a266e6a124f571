"""`staging rollback`: a staged version goes back to the last other commit that was deployed, paused or not as it is."""

from dataclasses import dataclass

from ..checks import isolation
from ..errors import Refused
from ..external.cluster import Cluster
from ..external.helm_record import Release, Revision
from ..external.main_settings import Place
from ..model.staged_version import StagedVersion
from ..model.values import Values
from . import Say, control, origin


@dataclass(frozen=True)
class Rollback:
    """What was done."""

    release: Release  # as it was before
    to: Revision
    values: Values  # that run now

    @property
    def dropped(self) -> list[str]:
        """The CronJobs that the older commit does not have; their running Jobs were stopped with them."""
        return sorted(self.release.newest.names - {job.name for job in self.values.jobs.values()})


def roll_back(place: Place, cluster: Cluster, staged: StagedVersion, say: Say) -> Rollback:
    """Deploy the older values again, paused as it is now. Helm's own rollback would undo that.

    Raises `Refused` when no other commit was deployed, or its stores have another writer by now.
    """
    release = control.settled(cluster, staged, "roll back", say)
    older = [r for r in release.revisions if r.status in ("superseded", "deployed")]
    other = [r for r in older if r.values.record.commit != release.values.record.commit]
    if not other:
        raise Refused(
            f"release {release.name} has no other commit to go back to: Helm keeps its last 10 revisions, and all of "
            f"them are at {release.values.record.commit[:12]}"
        )
    new = other[-1].values.paused_as(release.values)
    isolation.check_going(cluster, place, new)
    control.upgrade(cluster, release, new, origin.signed(f"rolled back to {new.record.commit[:12]}"))
    return Rollback(release, other[-1], new)
