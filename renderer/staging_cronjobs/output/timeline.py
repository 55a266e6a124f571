"""The timeline of `staging timeline`: a row for each job, a column for each interval. It can be read without colour."""

import sys
from collections import Counter
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .printing import encodable, inert, show_json
from .screen import console, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from ..external.cluster import Cluster
    from ..model.timeline import Row, Timeline

STEPS = {15: 120, 30: 180, 60: 360, 120: 720}  # minutes a column, and between two times in the header
LAST = len("  next 00:00")
STYLES = {"production": "green", "staged": "cyan", "unproven": "yellow"}
NOTHING, ONCE, SHARED, SUSPENDED, MANY = ".", "o", "X", "-", "+"
LEGEND = f"{ONCE} once, 2-9 so often, {MANY} more, {SHARED} at the same minute as another job, {SUSPENDED} suspended"


def timeline(found: "Timeline", cluster: "Cluster", *, as_json: bool) -> None:
    """When each job fires, and which of them at the same minute."""
    if as_json:
        where = {"context": cluster.context, "namespace": cluster.namespace}
        return show_json({"from": _iso(found.start), "to": _iso(found.end), **where, "jobs": _facts(found)})
    written(list(_lines(found, cluster, console().width)), wrap=False)
    return None


def _facts(found: "Timeline") -> list[dict[str, Any]]:
    return [
        {
            "kind": row.job.kind,
            "dataset_id": row.job.dataset_id,
            "version": row.job.version,
            "key": row.job.key,
            "name": row.job.name,
            "schedule": row.job.schedule,
            "time_zone": row.job.time_zone,
            "suspend": row.job.suspended,
            "paused": row.job.paused,
            "known": row.known,
            "fires": [_iso(at) for at in row.fires],
            "shared": [_iso(at) for at in row.fires if at in row.shared],
        }
        for row in found.rows
    ]


def _lines(found: "Timeline", cluster: "Cluster", room: int) -> "Iterator[Text]":
    from rich.text import Text

    labels = _labels(found)
    width = max(map(len, labels), default=0) + 2
    minutes = next((m for m in STEPS if width + _count(found, m) + LAST <= room), max(STEPS))
    yield Text(_plain(str(cluster)))
    yield Text(f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC; a column is {minutes} minutes")
    if not found.rows:
        yield Text("No CronJob is there.")
        return
    yield Text(f"{'':<{width}}{_header(found, minutes)}".rstrip(), style="bold")
    for dataset_id, rows in groupby(zip(found.rows, labels, strict=True), key=lambda pair: pair[0].job.dataset_id):
        yield Text(_plain(dataset_id) or "of no dataset that is staged", style="bold")
        for row, label in rows:
            name, cells = (f"{label:<{width}}", STYLES[row.job.kind]), list(_cells(row, found, minutes))
            runs = (("".join(t for t, _ in run), style) for style, run in groupby(cells, key=lambda cell: cell[1]))
            yield Text.assemble(name, *runs, _last(row))
    yield Text(LEGEND, style="dim")
    if not any(row.job.kind == "production" for row in found.rows):
        yield Text(_plain(f"No production job is in namespace {cluster.namespace}."))
    if sharing := sum(bool(row.shared) for row in found.rows):
        yield Text(f"{sharing} jobs fire at the same minute as another one.")
    if any(row.shared for row in found.rows if row.job.kind == "staged"):
        yield Text("The setting `stagger` moves the schedules of new versions.")


def _labels(found: "Timeline") -> list[str]:
    """What stands before each row: version and key, or the whole name where these are not known."""
    versions = [_plain(f"v{row.job.version}") if row.job.version else row.job.kind for row in found.rows]
    width = max((len(version) for version in versions), default=0)
    return [
        f"  {version:<{width}}  {_plain(row.job.key)}" if row.job.key else f"  {_plain(row.job.name)}"
        for row, version in zip(found.rows, versions, strict=True)
    ]


def _cells(row: "Row", found: "Timeline", minutes: int) -> "Iterator[tuple[str, str]]":
    """The columns of a row, each with its style."""
    if not row.known:
        text = _plain(f"cannot be told: {' '.join(row.job.schedule.split())} {row.job.time_zone or ''}".rstrip())
        yield f"{text:<{_count(found, minutes)}}", "yellow"
        return
    counts = Counter(_column(at, found, minutes) for at in row.fires)
    shared = {_column(at, found, minutes) for at in row.shared}
    for column in range(_count(found, minutes)):
        count = counts[column]
        if row.job.suspended:
            yield (SUSPENDED if count else NOTHING), "dim"
        elif column in shared:
            yield SHARED, "bold red"
        else:
            yield (
                (NOTHING, ONCE)[count] if count < 2 else str(count) if count < 10 else MANY,
                "dim" if not count else "",
            )


def _last(row: "Row") -> tuple[str, str]:
    if row.job.suspended:
        return f"  {'paused' if row.job.paused else 'suspended'}", "dim"
    return (f"  next {row.fires[0]:%H:%M}" if row.fires else ""), ""


def _header(found: "Timeline", minutes: int) -> str:
    """The time above every few columns."""
    line = ""
    for column in range(_count(found, minutes)):
        at = _first(found, minutes) + column * timedelta(minutes=minutes)
        line = f"{line:<{column}}"
        if (at.hour * 60 + at.minute) % STEPS[minutes] == 0 and len(line) == column:
            line += f"{at:%H:%M}"
    return line


def _first(found: "Timeline", minutes: int) -> datetime:
    """When the first column begins: `now` is somewhere in it."""
    midnight = found.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (found.start - midnight) // timedelta(minutes=minutes) * timedelta(minutes=minutes)


def _column(at: datetime, found: "Timeline", minutes: int) -> int:
    return (at - _first(found, minutes)) // timedelta(minutes=minutes)


def _count(found: "Timeline", minutes: int) -> int:
    return _column(found.end - timedelta(microseconds=1), found, minutes) + 1


def _plain(text: str) -> str:
    return encodable(inert(text), sys.stdout)


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
