"""When jobs fire in the next hours, and which of them fire at the same minute."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import schedules

LENGTH = timedelta(hours=24)


@dataclass(frozen=True)
class Job:
    """One CronJob of the namespace, as far as a timeline goes."""

    kind: str  # production, staged, or unproven: it has our labels, and no release that owns it
    dataset_id: str  # empty: not known
    version: str  # empty for production
    key: str  # empty: not known
    name: str  # of the CronJob
    schedule: str
    time_zone: str | None
    suspended: bool
    paused: bool = False  # suspended with all of its release


@dataclass(frozen=True)
class Row:
    """A job and when it fires; a suspended one would fire then if it were not suspended."""

    job: Job
    fires: tuple[datetime, ...]
    shared: frozenset[datetime]  # those of its fires that are another job's too; none of a suspended one
    known: bool  # False: its schedule, or zone, cannot be told here


@dataclass(frozen=True)
class Timeline:
    """The rows between two times."""

    start: datetime
    end: datetime
    rows: tuple[Row, ...]


def of(jobs: Iterable[Job], now: datetime) -> Timeline:
    """The timeline of jobs from `now` on: by dataset, production first, then versions in their order."""
    end, ordered = now + LENGTH, sorted(jobs, key=_place)
    pairs = {(job.schedule, job.time_zone) for job in ordered}
    found = {pair: schedules.within(*pair, now, end) for pair in pairs}
    times = [(job, found[job.schedule, job.time_zone]) for job in ordered]
    firing = Counter(at for job, fires in times if not job.suspended for at in fires or ())
    rows = (
        Row(
            job,
            tuple(fires or ()),
            frozenset(at for at in fires or () if not job.suspended and firing[at] > 1),
            fires is not None,
        )
        for job, fires in times
    )
    return Timeline(now, end, tuple(rows))


def _place(job: Job) -> tuple[bool, str, bool, tuple[int, ...], str]:
    from .staged_version import numbers

    return not job.dataset_id, job.dataset_id, bool(job.version), numbers(job.version), job.key or job.name
