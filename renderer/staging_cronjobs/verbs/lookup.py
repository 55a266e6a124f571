"""Which staged version a name means: a branch, or the name of a release, a CronJob, a Job or a pod."""

from collections.abc import Sequence

from ..errors import Refused, suggestion
from ..external import helm_record
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model.command_line import staging
from ..model.names_given import meant_by
from ..model.staged_version import StagedVersion

Found = tuple[StagedVersion, str]  # the key is empty where the name is not one job's
Unproven = dict[str, str]  # why a release cannot be read, by its name


def find(cluster: Cluster, names: Sequence[str]) -> list[Found]:
    """The staged version of each checked name, and the key of its job. One listing for all of them.

    Raises `Refused`, with close matches, for a name that no release in the namespace has.
    """
    return among(cluster, *helm_record.listing(cluster), names)


def among(cluster: Cluster, releases: Sequence[Release], unproven: Unproven, names: Sequence[str]) -> list[Found]:
    """The same among releases that were listed before."""
    known = {release.values.record.staged_version: _jobs(release) for release in releases}
    found = []
    for name in names:
        if not (meant := meant_by(name, known)):
            raise _unknown(cluster, name, known, unproven)
        found.append(meant)
    return found


def _jobs(release: Release) -> dict[str, str]:
    """The names of its jobs, with their keys; the key of one that was dropped no longer matters."""
    jobs = release.values.jobs
    return dict.fromkeys(release.job_names, "") | {job.name: key for key, job in jobs.items()}


def _unknown(cluster: Cluster, name: str, known: dict[StagedVersion, dict[str, str]], unproven: Unproven) -> Refused:
    for release, why in unproven.items():
        if f"{name}-".startswith(f"{release}-"):
            return Refused(f"{name} is of release {release}, which cannot be read: {why}")
    names = {name for staged, jobs in known.items() for name in (staged.branch, staged.release, *jobs)}
    near = suggestion(name, names) or f". `{staging('list')}` shows what is staged"
    return Refused(f"nothing that is staged in {cluster} has the name {name!r}{near}")
