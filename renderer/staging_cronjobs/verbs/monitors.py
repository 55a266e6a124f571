"""The monitors of a version: disabled while it is paused, as each run would be reported as missed; deleted with it."""

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import Outside, StagingError, Unfinished
from ..external import sentry
from ..external.sentry import Monitor, Project
from ..model.settings import Settings
from ..model.values import Values
from . import Say


def find(project: Project | None, slugs: Collection[str]) -> tuple[list[Monitor], str]:
    """The monitors that there are, and why Sentry could not be asked: the jobs can go all the same."""
    if project is None:
        return [], ""
    try:
        return sentry.find(project, slugs), ""
    except Outside as error:
        return [], str(error)


@dataclass(frozen=True)
class Followed:
    """What became of the monitors of jobs that were paused or resumed."""

    enabled: bool
    changed: tuple[str, ...] = ()  # slugs
    kind: str = "warning"  # of the problem: warning or notice
    problem: str = ""  # why others are as they were; the jobs are paused or resumed all the same


def follow(
    settings: Settings, token: str, releases: Collection[Values], *, enabled: bool, keys: Collection[str] = ()
) -> Followed:
    """Enable or disable the monitors of releases' jobs, or of those with these keys, found by their exact slugs.

    A job that its own code suspends keeps its monitor as it is, and so does one that stays paused alone.
    """
    done = "enabled" if enabled else "disabled"
    if not token:
        what = "Monitors that pause disabled stay so" if enabled else "Sentry will report every run as missed"
        problem = f"{what}: the monitors are {done} only where SENTRY_AUTH_TOKEN is set"
        return Followed(enabled, (), "notice", problem if settings.sentry_org else "")
    names = {
        job.name
        for values in releases
        for key, job in values.jobs.items()
        if (key in keys if keys else not (enabled and key in values.paused_keys)) and not job.spec.get("suspend")
    }
    changed: list[str] = []
    try:
        if (project := sentry.connect(settings, token)) is None:
            return Followed(enabled)
        for monitor in sentry.find(project, names):
            if ("disabled" in monitor.states) == enabled:
                sentry.set_enabled(project, monitor, enabled)
                changed.append(monitor.slug)
    except StagingError as error:
        return Followed(enabled, tuple(changed), "warning", f"not all monitors are {done}. {error}")
    return Followed(enabled, tuple(changed))


def delete(project: Project, slugs: Collection[str], say: Say) -> dict[str, Unfinished]:
    """Delete, then list again: Sentry answers before it has deleted, and a check-in may have made one again.

    Gives, by slug, those that come back again and again. Raises `Outside` when Sentry does not do it.
    """
    found = sentry.find(project, slugs)
    for monitor in found:
        say(f"deleting monitor {monitor.slug}")
        sentry.delete(project, monitor)
    late = sentry.find(project, slugs, seen=bool(found))
    for monitor in late:
        say(f"a late check-in has made monitor {monitor.slug}: deleting that too")
        sentry.delete(project, monitor)
    return {
        monitor.slug: Unfinished(
            f"{project}: monitor {monitor.slug} comes back after it is deleted, so something still checks in. "
            "Find it, then run the same command again."
        )
        for monitor in (sentry.find(project, slugs, seen=True) if late else ())
    }
