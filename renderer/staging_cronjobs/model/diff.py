"""How two objects differ, and what a deploy changes: paths, and both values where showing them gives nothing away."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .marks import HELM_MARKS, LABEL
from .values import Values

PRIVATE = ("env[", "args", "command", "annotations[", "httpHeaders[", "volumeAttributes.")  # may hold secrets
MAPS = frozenset({"labels", "annotations", "nodeSelector", "matchLabels"})  # their keys have dots and slashes
LONGEST = 80  # characters of a value that are shown

Objects = Mapping[str, Mapping[str, Any]]
COMMON = re.compile(r"spec\.(jobTemplate\.spec\.(template\.spec\.)?)?")  # the beginning of nearly every path


@dataclass(frozen=True)
class Difference:
    """One path at which they differ; None is absent, as it is to Kubernetes."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        values = [value for value in (self.before, self.after) if value is not None]
        hidden = any(word in self.path for word in PRIVATE) or any(isinstance(v, Mapping | list) for v in values)
        shown = " → ".join(map(_short, values))
        if len(values) == 2:
            return self.path if hidden else f"{self.path} {shown}"
        what = f"{self.path} {'added' if self.before is None else 'removed'}"
        return what if hidden else f"{what} ({shown})"


def between(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Every difference, as deep as it lies; containers, variables and the like go by name, and their order counts."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        named = path.rpartition(".")[2] in MAPS
        for key in sorted({*before, *after}):
            inner = f"{path}[{key}]" if named else f"{path}.{key}" if path else key
            yield from between(before.get(key), after.get(key), inner)
    elif (old := _by_name(before)) is not None and (new := _by_name(after)) is not None:
        for name in sorted({*old, *new}):
            yield from between(old.get(name), new.get(name), f"{path}[{name}]")
        was, now = [name for name in old if name in new], [name for name in new if name in old]
        if was != now:  # a variable may refer only to those before it
            yield Difference(f"{path} order", was, now)
    elif before != after:
        yield Difference(path, before, after)


def _by_name(value: Any) -> dict[str, Any] | None:
    """A list of objects by their names; None when they have none, or share one."""
    if not isinstance(value, list) or not value or not all(isinstance(v, Mapping) for v in value):
        return None
    found = {v["name"]: v for v in value if isinstance(v.get("name"), str)}
    return found if len(found) == len(value) else None


def _short(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@dataclass(frozen=True)
class Changes:
    """Jobs by key, and for each the fields that differ, with both values where they may be shown."""

    first: bool  # nothing ran before
    added: list[str]
    changed: dict[str, list[str]]
    dropped: list[str]
    stopped: list[str]  # Jobs that ran, and went with a dropped job
    production: dict[str, list[str] | None]  # from its job to ours; None: it has no such job in the namespace


def since(before: Values | None, new: Values, stopped: list[str], production: dict[str, list[str] | None]) -> Changes:
    """What changes from the values that ran before to new ones."""
    old = {key: job.model_dump() for key, job in before.jobs.items()} if before else {}
    now = {key: job.model_dump() for key, job in new.jobs.items()}
    changed = {key: found for key in sorted(old.keys() & now.keys()) if (found := fields(old[key], now[key]))}
    added, dropped = sorted(now.keys() - old.keys()), sorted(old.keys() - now.keys())
    return Changes(before is None, added, changed, dropped, stopped, production)


def from_live(
    ran: Values | None,
    new: Values,
    live: Objects,
    wanted: Objects,
    stopped: list[str],
    production: dict[str, list[str] | None],
) -> Changes:
    """What would change of the CronJobs as they are now, by hand or not; both sides are given by name.

    Only the facts that the chart writes into annotations are left out: the commit, say, changes no job.
    """
    there = {key: job.name for key, job in new.jobs.items() if job.name in live}
    found = {key: fields(_whole(live[name]), _whole(wanted[name])) for key, name in there.items()}
    added = sorted(new.jobs.keys() - there.keys())
    dropped = sorted((ran.jobs.keys() if ran else set()) - new.jobs.keys())
    return Changes(ran is None, added, {key: f for key, f in found.items() if f}, dropped, stopped, production)


def from_production(new: Values, wanted: Objects, production: Objects) -> dict[str, list[str] | None]:
    """What differs from production's CronJobs, given by key, to ours as the server would have them, given by name.

    Names, CRON_JOB_NAME and our labels always do: they are left out.
    """
    return {
        key: fields(_bare(production[key]), _bare(wanted[job.name])) if key in production else None
        for key, job in new.jobs.items()
        if job.name in wanted
    }


def fields(before: Any, after: Any) -> list[str]:
    """Every difference as a person reads it, without the beginning that nearly every path has."""
    return [COMMON.sub("", str(difference), count=1) for difference in between(before, after)]


def _whole(cronjob: Mapping[str, Any]) -> dict[str, Any]:
    metadata = cronjob["metadata"]
    annotations = metadata.get("annotations") or {}
    kept = {mark: text for mark, text in annotations.items() if not mark.startswith((LABEL, *HELM_MARKS))}
    return {"labels": metadata.get("labels") or {}, "annotations": kept, "spec": cronjob["spec"]}


def _bare(cronjob: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": _stripped(cronjob["spec"])}


def _stripped(value: Any) -> Any:
    """A spec without our labels, CRON_JOB_NAME, and what that leaves empty."""
    if isinstance(value, Mapping):
        kept = {key: _stripped(inner) for key, inner in value.items() if not key.startswith(LABEL)}
        return {key: inner for key, inner in kept.items() if inner not in ({}, [])}
    if isinstance(value, list):
        return [_stripped(v) for v in value if not (isinstance(v, Mapping) and v.get("name") == "CRON_JOB_NAME")]
    return value
