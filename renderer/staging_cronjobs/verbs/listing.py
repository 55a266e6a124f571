"""`staging list`: the staged versions, from the cluster alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..external import helm_record, kubectl, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release
from ..model import origin, schedules

if TYPE_CHECKING:
    from ..model.values import Job

FACTS = ("dataset_id", "version", "repository", "branch", "commit", "image", *origin.LONGEST)
Object = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """What is in the namespace."""

    releases: Sequence[Release]  # by name, each with its newest revision alone
    unproven: Mapping[str, str]  # why others cannot be read, by name
    cluster: Cluster  # this namespace of it
    cronjobs: Sequence[Object]  # all that carry our label, whoever owns them


def look(cluster: Cluster) -> Inventory:
    """What is in one namespace."""
    return _looked(cluster)[cluster.namespace]


def _looked(cluster: Cluster) -> dict[str, Inventory]:
    """By namespace. Two questions to the API server, side by side, however much there is."""
    with shell.ahead():
        asked = shell.begin(lambda: kubectl.labelled(cluster))
        listed = helm_record.listings(cluster)
        cronjobs = asked()
    there: dict[str, list[Object]] = {}
    for cronjob in cronjobs:
        there.setdefault(cronjob["metadata"]["namespace"], []).append(cronjob)
    return {
        name: Inventory(*found, replace(cluster, namespace=name, everywhere=False), there.get(name, []))
        for name, found in listed.items()
    }


def rows(cluster: Cluster) -> list[Object]:
    """One object a release, unfinished cleanups and failed deploys included, sorted by namespace and release.

    One whose record cannot be read has the status `unproven` and its reason. Raises `Outside` when there is no such
    namespace.
    """
    there = _looked(cluster)
    rows = [{**row, "namespace": name} for name, found in there.items() for row in _rows(found)]
    return sorted(rows, key=lambda row: (row["namespace"], row["release"]))


def _rows(there: Inventory) -> Iterator[Object]:
    """One object a release of a namespace."""
    owned = kubectl.by_release(kubectl.owned(there.cluster, there.cronjobs))
    yield from (_recorded(release, owned.get(release.name, []), there.cluster) for release in there.releases)
    for name, why in there.unproven.items():
        yield _row(name, dict.fromkeys(FACTS, ""), status="unproven", problem=why)


def _recorded(release: Release, cronjobs: Collection[Object], cluster: Cluster) -> Object:
    there = {cronjob["metadata"]["name"]: cronjob for cronjob in cronjobs}
    settled = release.live and not release.pending  # else what is not there is still to come, or meant to be gone
    jobs = [
        (_job(key, there[job.name], cluster) if job.name in there else _missing(key, job))
        | {"paused": key in release.values.paused_keys, "code_suspends": bool(job.spec.get("suspend"))}
        for key, job in release.values.jobs.items()
        if settled or job.name in there
    ]
    facts = {name: getattr(release.values.record, name) for name in (*FACTS, "stagger")}
    state = {"paused": bool(jobs) and release.values.suspend, "revision": release.revision}
    return _row(release.name, facts, status=release.status, **state, updated=release.newest.made, jobs=jobs)


def _row(release: str, facts: Object, *, jobs: Collection[Object] = (), updated: str = "", **state: Any) -> Object:
    made = [job["created"] for job in jobs if not job["missing"]]
    times = {"created": min(made, default=updated), "updated": updated}
    empty = {"problem": "", "paused": False, "revision": 0, "stagger": 0}
    return {**empty, **facts, "release": release, **state, **times, "jobs": sorted(jobs, key=lambda job: job["key"])}


def _job(key: str, cronjob: Mapping[str, Any], cluster: Cluster) -> Object:
    name, spec, status = cronjob["metadata"]["name"], cronjob["spec"], cronjob.get("status", {})
    last_run = _last_run(status)
    when = (spec["schedule"], spec.get("timeZone"))
    return {
        "key": key,
        "name": name,
        "missing": False,
        "schedule": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspend": spec.get("suspend", False),
        "last_success": status.get("lastSuccessfulTime"),
        "last_schedule": status.get("lastScheduleTime"),
        "last_run": last_run,
        "log": kubectl.log_of(cluster, _scheduled(name, status)) if last_run == "failed" else "",
        "next_fire": None if spec.get("suspend") else _next_fire(*when),
        "created": cronjob["metadata"]["creationTimestamp"],
    }


def _missing(key: str, job: "Job") -> Object:
    """A job on record without a CronJob."""
    facts: Object = {"key": key, "name": job.name, "missing": True}
    facts |= {"schedule": job.spec["schedule"], "time_zone": job.spec.get("timeZone"), "last_run": "", "log": ""}
    return facts | dict.fromkeys(("suspend", "last_success", "last_schedule", "next_fire", "created"))


def _scheduled(cronjob: str, status: Mapping[str, Any]) -> str:
    """The last Job by schedule: the controller names it by the minutes since 1970 of the time it was due."""
    return f"{cronjob}-{int(datetime.fromisoformat(status['lastScheduleTime']).timestamp()) // 60}"


def _last_run(status: Mapping[str, Any]) -> str:
    """How the last run by schedule ended, from its CronJob alone; empty when none began yet."""
    last, succeeded = status.get("lastScheduleTime") or "", status.get("lastSuccessfulTime") or ""
    if status.get("active"):
        return "running"
    return "succeeded" if succeeded and succeeded >= last else "failed" if last else ""


def _next_fire(schedule: str, zone: str | None) -> str | None:
    """When a job fires next."""
    found = schedules.fires(schedule, zone, datetime.now(UTC).replace(second=0, microsecond=0))
    return f"{found[0]:%Y-%m-%dT%H:%M:%SZ}" if found else None
