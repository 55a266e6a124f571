"""When a schedule fires next, as Kubernetes reads it."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile

LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def fires(schedule: str, zone: str | None, now: datetime, count: int = 1) -> list[datetime]:
    """The next `count` times after `now`, in UTC. Without a zone the schedule is in UTC, as controllers mostly are.

    Empty for what cannot be told: an unknown zone, and `@every`, which counts from a CronJob's own last run.
    """
    upcoming = _upcoming(schedule, zone, now)
    return list(islice(upcoming, count)) if upcoming else []


def within(schedule: str, zone: str | None, now: datetime, end: datetime) -> list[datetime] | None:
    """The times after `now` and before `end`, as in `fires`; None for what cannot be told."""
    upcoming = _upcoming(schedule, zone, now)
    return list(takewhile(lambda fire: fire < end, upcoming)) if upcoming else None


def _upcoming(schedule: str, zone: str | None, now: datetime) -> Iterator[datetime] | None:
    from datetime import UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from cronsim import CronSim, CronSimError

    fields = MACROS.get(schedule.strip(), schedule).split()
    if len(fields) != len(LIMITS):
        return None
    try:
        plain = [_plain(field, *limits) for field, limits in zip(fields, LIMITS, strict=True)]
        local = now.astimezone(ZoneInfo(zone) if zone else UTC)
        # With a field for seconds: without it, what a change of the clocks skips is made up for, as Debian's cron does.
        found = CronSim(" ".join(["0", *plain]), local)
    except (CronSimError, ZoneInfoNotFoundError, ValueError):
        return None
    return (fire.astimezone(UTC) for fire in found)


def _plain(field: str, first: int, last: int) -> str:
    """The field without what implementations of cron read differently: `?`, and every `/`."""
    terms = field.replace("?", "*").split(",")
    if "*" in terms or "*/1" in terms:
        return "*"  # as Kubernetes has it, `*/2` restricts a day and `*/1` does not
    return ",".join(_steps(term.replace("*", f"{first}-{last}"), last) for term in terms)


def _steps(term: str, last: int) -> str:
    span, slash, step = term.partition("/")
    low, _, high = span.partition("-")
    high = high or str(last)
    if not slash:
        return term
    if low.isdecimal() and high.isdecimal():
        return ",".join(map(str, range(int(low), int(high) + 1, int(step))))
    return f"{low}-{high}/{step}"  # names of days or months
