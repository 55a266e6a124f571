"""`staging list`: the staged versions, from the cluster alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ..external import helm_record, kubectl, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model import schedules

FACTS = ("dataset_id", "version", "repository", "branch", "commit", "image")
Object = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """What is in the namespace."""

    releases: Sequence[Release]  # by name, each with its newest revision alone
    unproven: Mapping[str, str]  # why others cannot be read, by name
    cronjobs: Sequence[Object]  # all that carry our label, whoever owns them
    owned: Mapping[str, Sequence[Object]]  # those that their release owns, by release


def look(cluster: Cluster) -> Inventory:
    """Two questions to the API server, side by side, however much there is."""
    with shell.ahead():
        asked = shell.begin(lambda: kubectl.labelled(cluster))
        releases, unproven = helm_record.listing(cluster)
        cronjobs = asked()
    owned: dict[str, list[Object]] = {}
    for cronjob in kubectl.owned(cluster, cronjobs):
        owned.setdefault(kubectl.release_of(cronjob), []).append(cronjob)
    return Inventory(releases, unproven, cronjobs, owned)


def rows(cluster: Cluster) -> list[Object]:
    """One object a release, unfinished cleanups and failed deploys included, sorted by release.

    One whose record cannot be read has the status `unproven` and its reason.
    """
    there = look(cluster)
    found = [_recorded(release, there.owned.get(release.name, [])) for release in there.releases]
    unread = there.unproven.items()
    found += [_row(name, dict.fromkeys(FACTS, ""), status="unproven", problem=why) for name, why in unread]
    return sorted(({**row, "namespace": cluster.namespace} for row in found), key=lambda row: row["release"])


def _recorded(release: Release, cronjobs: Collection[Object]) -> Object:
    keys = {job.name: key for key, job in release.values.jobs.items()}
    jobs = _jobs(keys, [c for c in cronjobs if c["metadata"]["name"] in keys])
    facts = {name: getattr(release.values.record, name) for name in FACTS}
    state = {"paused": bool(jobs) and release.values.suspend, "revision": release.revision}
    return _row(release.name, facts, status=release.status, **state, updated=release.newest.made, jobs=jobs)


def _row(release: str, facts: Object, **state: Any) -> Object:
    return {
        **facts,
        "release": release,
        "problem": "",
        "paused": False,
        "revision": 0,
        "updated": "",
        "jobs": [],
    } | state


def _jobs(keys: Mapping[str, str], cronjobs: Collection[Object]) -> list[Object]:
    return sorted((_job(keys[c["metadata"]["name"]], c) for c in cronjobs), key=lambda job: job["key"])


def _job(key: str, cronjob: Mapping[str, Any]) -> Object:
    spec, status = cronjob["spec"], cronjob.get("status", {})
    when = (spec["schedule"], spec.get("timeZone"))
    return {
        "key": key,
        "name": cronjob["metadata"]["name"],
        "schedule": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspend": spec.get("suspend", False),
        "last_success": status.get("lastSuccessfulTime"),
        "last_run": _last_run(status),
        "next_fire": None if spec.get("suspend") else _next_fire(*when, f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"),
        "created": cronjob["metadata"]["creationTimestamp"],
    }


def _last_run(status: Mapping[str, Any]) -> str:
    """How the last run by schedule ended, from its CronJob alone; empty when none began yet."""
    last, succeeded = status.get("lastScheduleTime") or "", status.get("lastSuccessfulTime") or ""
    if status.get("active"):
        return "running"
    return "succeeded" if succeeded and succeeded >= last else "failed" if last else ""


@cache
def _next_fire(schedule: str, zone: str | None, minute: str) -> str | None:
    """When a job fires next: the jobs of many versions share a few schedules."""
    found = schedules.fires(schedule, zone, datetime.fromisoformat(minute))
    return f"{found[0]:%Y-%m-%dT%H:%M:%SZ}" if found else None
