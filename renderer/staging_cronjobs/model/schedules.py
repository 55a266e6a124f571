"""When a schedule fires next, as Kubernetes reads it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import islice, takewhile

LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
LAST = LIMITS[0][1]  # minute of an hour
MINUTES = re.compile(r"(?!.*[0-9]{3})[0-9*?/,-]+")  # what a minute field can be made of
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
    return [*_fires(schedule, zone, now, count)]


@lru_cache(1000)
def _fires(schedule: str, zone: str | None, now: datetime, count: int) -> tuple[datetime, ...]:
    """The same, remembered: the jobs of many versions share a few schedules."""
    upcoming = _upcoming(schedule, zone, now)
    return tuple(islice(upcoming, count)) if upcoming else ()


def within(schedule: str, zone: str | None, now: datetime, end: datetime) -> list[datetime] | None:
    """The times after `now` and before `end`, as in `fires`; None for what cannot be told."""
    upcoming = _upcoming(schedule, zone, now)
    return list(takewhile(lambda fire: fire < end, upcoming)) if upcoming else None


def moved(own: Mapping[str, str], by: int) -> tuple[dict[str, str], dict[str, str]]:
    """The schedules, by key, of which every fire can be `by` minutes later, and why each of the others stays.

    Jobs keep their order: one that would no longer be before a job that stays, stays too.
    """
    new = {key: found for key, schedule in own.items() if (found := later(schedule, by))}
    why = {
        key: f"{by} min later would be in the next hour" if minutes(own[key]) else "it cannot be moved"
        for key in own.keys() - new.keys()
    }
    while passing := next(
        ((key, k) for key in sorted(new) for k in sorted(why) if _passes(own[key], own[k], by)), None
    ):
        key, other = passing
        del new[key]
        why[key] = f"{by} min later it would no longer be before {other}"
    return new, why


def _passes(first: str, second: str, by: int) -> bool:
    """Whether a job, moved, would no longer be before one that stays; jobs of several fires an hour have no order."""
    one, other = minutes(first), minutes(second)
    return len(one) == len(other) == 1 and one[0] < other[0] <= one[0] + by


def later(schedule: str, by: int) -> str | None:
    """The schedule whose every fire is exactly `by` minutes later; None where one would be in the next hour."""
    found = minutes(schedule)
    if not found or found[-1] + by > LAST:
        return None
    return " ".join([",".join(str(minute + by) for minute in found), *_fields(schedule)[1:]])


def minutes(schedule: str) -> list[int]:
    """The minutes of the hour at which a schedule can fire; empty for what cannot be told."""
    fields = _fields(schedule)
    if len(fields) != len(LIMITS) or not MINUTES.fullmatch(fields[0]):
        return []
    try:
        spans = [_plain(term, 0, LAST).replace("*", f"0-{LAST}") for term in fields[0].split(",")]
        ends = [span.split("-") for term in spans for span in term.split(",")]
        found = {minute for low, *high in ends for minute in range(int(low), int(high[0] if high else low) + 1)}
    except ValueError:
        return []
    return sorted(found) if found and max(found) <= LAST else []


def _fields(schedule: str) -> list[str]:
    return MACROS.get(schedule.strip(), schedule).split()


def _upcoming(schedule: str, zone: str | None, now: datetime) -> Iterator[datetime] | None:
    from datetime import UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from cronsim import CronSim, CronSimError

    fields = _fields(schedule)
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
