"""`staging list`: the staged versions, from the cluster alone."""

from typing import Any

from ..external import kubectl, record
from ..external.cluster import Cluster
from ..external.record import Release

FACTS = ("dataset_id", "version", "repository", "branch", "commit", "image")


def rows(cluster: Cluster) -> list[dict[str, Any]]:
    """One object a release, unfinished cleanups and failed deploys included, sorted by release.

    Who a release is comes from Helm's record. One that cannot be read has the status `unproven` and its reason.
    """
    cronjobs: dict[str, list[dict[str, Any]]] = {}
    for cronjob in kubectl.owned(cluster, kubectl.labelled(cluster)):
        cronjobs.setdefault(kubectl.release_of(cronjob), []).append(cronjob)
    releases, unproven = record.listing(cluster)
    found = [_row(cluster, release, cronjobs.get(release.name, [])) for release in releases]
    found += [_unproven(cluster, name, why) for name, why in unproven.items()]
    return sorted(found, key=lambda row: row["release"])


def _row(cluster: Cluster, release: Release, cronjobs: list[dict[str, Any]]) -> dict[str, Any]:
    keys = {job.name: key for key, job in release.values.jobs.items()}
    ours = [c for c in cronjobs if c["metadata"]["name"] in keys]
    return {name: getattr(release.values.record, name) for name in FACTS} | {
        "release": release.name,
        "namespace": cluster.namespace,
        "status": release.status,
        "problem": "",
        "paused": bool(ours) and release.values.suspend,
        "revision": release.revision,
        "updated": release.newest.made,
        "jobs": sorted((_job(keys[c["metadata"]["name"]], c) for c in ours), key=lambda job: job["key"]),
    }


def _unproven(cluster: Cluster, release: str, why: str) -> dict[str, Any]:
    facts = dict.fromkeys(FACTS, "") | {"release": release, "namespace": cluster.namespace, "status": "unproven"}
    return facts | {"problem": why, "paused": False, "revision": 0, "updated": "", "jobs": []}


def _job(key: str, cronjob: dict[str, Any]) -> dict[str, Any]:
    spec = cronjob["spec"]
    return {
        "key": key,
        "name": cronjob["metadata"]["name"],
        "schedule": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspend": spec.get("suspend", False),
        "last_success": cronjob.get("status", {}).get("lastSuccessfulTime"),
    }
