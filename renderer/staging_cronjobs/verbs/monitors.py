"""The monitors of a version: disabled while it is paused, as each run would be reported as missed; deleted with it."""

from collections.abc import Collection

from ..errors import Outside, StagingError, Unfinished
from ..external import sentry
from ..external.helm_record import Release
from ..external.sentry import Monitor, Project
from . import Say


def find(project: Project | None, slugs: Collection[str]) -> tuple[list[Monitor], str]:
    """The monitors that there are, and why Sentry could not be asked: the jobs can go all the same."""
    if project is None:
        return [], ""
    try:
        return sentry.find(project, slugs), ""
    except Outside as error:
        return [], str(error)


def set_enabled(
    project: Project, release: Release, *, enabled: bool, keys: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Enable or disable the monitors of a release's jobs, or of those with these keys, found by their exact slugs.

    Gives the slugs of those that were changed, and why others were not: the jobs are paused or resumed all the same.
    A job that its own code suspends keeps its monitor as it is, and so does one that stays paused alone.
    """
    alone = {*release.values.paused_keys} if enabled and not keys else set[str]()
    jobs = {key: job for key, job in release.values.jobs.items() if key not in alone and (not keys or key in keys)}
    names = {job.name for job in jobs.values() if not job.spec.get("suspend")}
    done: list[str] = []
    try:
        for monitor in sentry.find(project, names):
            if ("disabled" in monitor.states) == enabled:
                sentry.set_enabled(project, monitor, enabled)
                done.append(monitor.slug)
    except StagingError as error:
        return done, [str(error)]
    return done, []


def delete(project: Project, slugs: frozenset[str], say: Say) -> None:
    """Delete, then list again: Sentry answers before it has deleted, and a check-in may have made one again."""
    found = sentry.find(project, slugs)
    for monitor in found:
        say(f"deleting monitor {monitor.slug}")
        sentry.delete(project, monitor)
    if late := sentry.find(project, slugs, seen=bool(found)):
        for monitor in late:
            say(f"a late check-in has made monitor {monitor.slug}: deleting that too")
            sentry.delete(project, monitor)
        if left := sentry.find(project, slugs, seen=True):
            raise Unfinished(
                f"{project}: monitor {left[0].slug} comes back after it is deleted, so something still checks in. "
                "Find it, then run the same command again."
            )
