"""The monitors of a paused version: Sentry would report each of their runs as missed for as long as it is paused."""

from ..errors import StagingError
from ..external import sentry
from ..external.helm_record import Release
from ..external.sentry import Project


def set_monitors(project: Project, release: Release, *, enabled: bool) -> tuple[list[str], list[str]]:
    """Enable or disable the monitors of a release's jobs, found by their exact slugs.

    Gives the slugs of those that were changed, and why others were not: the jobs are paused or resumed all the same.
    A job that its own code suspends keeps its monitor as it is.
    """
    names = {job.name for job in release.values.jobs.values() if not job.spec.get("suspend")}
    done: list[str] = []
    try:
        for monitor in sentry.find(project, names):
            if ("disabled" in monitor.states) == enabled:
                sentry.set_enabled(project, monitor, enabled)
                done.append(monitor.slug)
    except StagingError as error:
        return done, [str(error)]
    return done, []
