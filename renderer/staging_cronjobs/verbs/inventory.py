"""`staging list`: the staged versions, from the cluster alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ..external import helm_record, kubectl, shell
from ..external.cluster import Cluster
from ..external.helm_record import Label, Release
from ..model import origin, schedules
from ..model.cronjob import unprintable
from ..model.values import LABEL, Job

FACTS = ("dataset_id", "version", "repository", "branch", "commit", "image", *origin.LONGEST)
MARKS = ("repository", "branch", "commit", "image", "paused")  # annotations of a CronJob
Object = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """What is in the namespace, by labels alone where they tell the whole."""

    labelled: Mapping[str, Label]  # by release
    rows: Mapping[str, Object]  # by release: those of `labelled` that labels and CronJobs tell the whole of
    unclear: frozenset[str]  # releases whose record must be read
    cronjobs: Sequence[Object]  # all that carry our label, whoever owns them
    owned: Mapping[str, Sequence[Object]]  # those that their release owns, by release


def look(cluster: Cluster) -> Inventory:
    """What is in one namespace."""
    return _looked(cluster)[cluster.namespace]


def _looked(cluster: Cluster) -> dict[str, Inventory]:
    """By namespace. Two questions to the API server, side by side, however much there is."""
    with shell.ahead():
        asked = shell.begin(lambda: kubectl.labelled(cluster))
        labels = helm_record.labelled(cluster)
        cronjobs = asked()
    there: dict[str, list[Object]] = {}
    for cronjob in cronjobs:
        there.setdefault(cronjob["metadata"]["namespace"], []).append(cronjob)
    return {
        name: _joined(replace(cluster, namespace=name, everywhere=False), *told, there.get(name, []))
        for name, told in labels.items()
    }


def _joined(
    cluster: Cluster, labels: Collection[Label], unclear: Collection[str], cronjobs: Sequence[Object]
) -> Inventory:
    owned: dict[str, list[Object]] = {}
    for cronjob in kubectl.owned(cluster, cronjobs):
        owned.setdefault(kubectl.release_of(cronjob), []).append(cronjob)
    told = {label.release: _labelled(label, owned.get(label.release, [])) for label in labels}
    rows = {name: row for name, row in told.items() if row}
    labelled = {label.release: label for label in labels}
    return Inventory(labelled, rows, frozenset({*unclear} | told.keys() - rows.keys()), cronjobs, owned)


def rows(cluster: Cluster) -> list[Object]:
    """One object a release, unfinished cleanups and failed deploys included, sorted by namespace and release.

    Where the labels of Helm's record and the release's own CronJobs tell the whole, they are what is shown. Else the
    record is read; one that cannot be read has the status `unproven` and its reason. Raises `Outside` when there is
    no such namespace.
    """
    there = _looked(cluster)
    read = helm_record.listings(cluster, {name: found.unclear for name, found in there.items() if found.unclear})
    rows = [
        {**row, "namespace": name} for name, found in there.items() for row in _rows(found, *read.get(name, ([], {})))
    ]
    if not rows:
        cluster.require_namespace()
    return sorted(rows, key=lambda row: (row["namespace"], row["release"]))


def _rows(there: Inventory, releases: Collection[Release], unproven: Mapping[str, str]) -> Iterator[Object]:
    """One object a release of a namespace."""
    yield from there.rows.values()
    yield from (_recorded(release, there.owned.get(release.name, [])) for release in releases)
    for name, why in unproven.items():
        yield _row(name, dict.fromkeys(FACTS, ""), status="unproven", problem=why)


def _labelled(label: Label, cronjobs: Collection[Object]) -> Object | None:
    """The row as labels and CronJobs tell it; None where they do not, as for a failed deploy."""
    ours = {name: c for c in cronjobs if (name := c["metadata"]["name"]) in label.keys}
    told = [
        {mark: c["metadata"]["annotations"].get(f"{LABEL}{mark}", "") for mark in (*MARKS, *origin.LONGEST)}
        for c in ours.values()
    ]
    if label.status != "deployed" or not told or any(one != told[0] for one in told):
        return None
    if len(ours) < len(label.keys):  # a job was dropped, or its CronJob is missing: only the record tells which
        return None
    if told[0]["branch"] != label.staged.branch or any(map(unprintable, told[0].values())):
        return None
    if not all(told[0][mark] for mark in MARKS) or [*origin.problems({f: told[0][f] for f in origin.LONGEST})]:
        return None
    facts = {"dataset_id": label.staged.dataset_id, "version": label.staged.version, **told[0]}
    state = {"paused": facts.pop("paused") == "true", "revision": label.revision, "updated": label.updated}
    jobs = [_job(key, ours[name]) for name, key in label.keys.items()]
    return _row(label.release, facts, status=label.status, **state, jobs=jobs)


def _recorded(release: Release, cronjobs: Collection[Object]) -> Object:
    there = {cronjob["metadata"]["name"]: cronjob for cronjob in cronjobs}
    settled = release.live and not release.pending  # else what is not there is still to come, or meant to be gone
    jobs = [
        _job(key, there[job.name]) if job.name in there else _missing(key, job)
        for key, job in release.values.jobs.items()
        if settled or job.name in there
    ]
    facts = {name: getattr(release.values.record, name) for name in FACTS}
    state = {"paused": bool(jobs) and release.values.suspend, "revision": release.revision}
    return _row(release.name, facts, status=release.status, **state, updated=release.newest.made, jobs=jobs)


def _row(release: str, facts: Object, *, jobs: Collection[Object] = (), updated: str = "", **state: Any) -> Object:
    made = [job["created"] for job in jobs if not job["missing"]]
    times = {"created": min(made, default=updated), "updated": updated}
    empty = {"problem": "", "paused": False, "revision": 0}
    return {**facts, "release": release, **empty, **state, **times, "jobs": sorted(jobs, key=lambda job: job["key"])}


def _job(key: str, cronjob: Mapping[str, Any]) -> Object:
    spec, status = cronjob["spec"], cronjob.get("status", {})
    when = (spec["schedule"], spec.get("timeZone"))
    return {
        "key": key,
        "name": cronjob["metadata"]["name"],
        "missing": False,
        "schedule": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspend": spec.get("suspend", False),
        "last_success": status.get("lastSuccessfulTime"),
        "last_schedule": status.get("lastScheduleTime"),
        "last_run": _last_run(status),
        "next_fire": None if spec.get("suspend") else _next_fire(*when, f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"),
        "created": cronjob["metadata"]["creationTimestamp"],
    }


def _missing(key: str, job: Job) -> Object:
    """A job on record without a CronJob."""
    facts: Object = {"key": key, "name": job.name, "missing": True}
    facts |= {"schedule": job.spec["schedule"], "time_zone": job.spec.get("timeZone"), "last_run": ""}
    return facts | dict.fromkeys(("suspend", "last_success", "last_schedule", "next_fire", "created"))


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
