"""What a deploy changes: against what ran before, against production, and what it could not change."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .differences import between
from .values import LABEL, Values

Objects = Mapping[str, Mapping[str, Any]]
MARKS = (LABEL, "meta.helm.sh/", "kubectl.kubernetes.io/", "app.kubernetes.io/managed-by")  # nobody's own change
COMMON = re.compile(r"spec\.(jobTemplate\.spec\.(template\.spec\.)?)?")  # the beginning of nearly every path


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
    changed = {key: found for key in sorted(old.keys() & now.keys()) if (found := _fields(old[key], now[key]))}
    added, dropped = sorted(now.keys() - old.keys()), sorted(old.keys() - now.keys())
    return Changes(before is None, added, changed, dropped, stopped, production)


def from_production(new: Values, wanted: Objects, production: Objects) -> dict[str, list[str] | None]:
    """What differs from production's CronJobs, given by key, to ours as the server would have them, given by name.

    Names, CRON_JOB_NAME and our labels always do: they are left out.
    """
    return {
        key: _fields(_bare(production[key]), _bare(wanted[job.name])) if key in production else None
        for key, job in new.jobs.items()
        if job.name in wanted
    }


def left(new: Values, wanted: Objects, live: Objects) -> list[str]:
    """One sentence for each CronJob that an upgrade did not make what it should be: fields that a person added stay."""
    found = []
    for job in new.jobs.values():
        if job.name not in live:
            found.append(f"CronJob {job.name} is gone already: somebody deleted it after the upgrade")
        elif job.name in wanted:
            # What was asked of the server before was not paused yet.
            ours = _whole(wanted[job.name], suspend=new.suspend or bool(job.spec.get("suspend")))
            if lines := [str(d) for d in between(ours, _whole(live[job.name]))]:
                found.append(f"CronJob {job.name} still differs, changed by someone else: {'; '.join(lines)}")
    return found


def _fields(before: Any, after: Any) -> list[str]:
    return [COMMON.sub("", str(difference), count=1) for difference in between(before, after)]


def _whole(cronjob: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    marks = {
        field: {k: v for k, v in cronjob["metadata"].get(field, {}).items() if not k.startswith(MARKS)}
        for field in ("labels", "annotations")
    }
    return {"metadata": marks, "spec": {**cronjob["spec"], **spec}}


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
