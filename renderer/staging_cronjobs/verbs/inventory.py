"""`staging list`: the staged versions, from the cluster alone."""

from typing import Any

from ..errors import StagingError
from ..external import helm, kubectl
from ..external.cluster import Cluster
from ..model.values import LABEL


def rows(cluster: Cluster) -> list[dict[str, Any]]:
    """One object a release, unfinished cleanups and failed deploys included, sorted by release."""
    cronjobs: dict[str, list[dict[str, Any]]] = {}
    for cronjob in kubectl.owned(cluster, kubectl.labelled(cluster)):
        cronjobs.setdefault(kubectl.release_of(cronjob), []).append(cronjob)
    listing = sorted(helm.listing(cluster), key=lambda row: row["name"])
    return [_row(cluster, item, cronjobs.get(item["name"], [])) for item in listing]


def _row(cluster: Cluster, item: dict[str, Any], cronjobs: list[dict[str, Any]]) -> dict[str, Any]:
    identity = _from_cronjob(cronjobs[0]) if cronjobs else _from_values(cluster, item["name"])
    return identity | {
        "release": item["name"],
        "namespace": item["namespace"],
        "status": item["status"],
        "paused": bool(cronjobs) and _annotation(cronjobs[0], "paused") == "true",
        "revision": int(item["revision"]),
        "updated": item["updated"],
        "jobs": sorted((_job(c) for c in cronjobs), key=lambda job: job["key"]),
    }


def _from_cronjob(cronjob: dict[str, Any]) -> dict[str, Any]:
    labels = cronjob["metadata"]["labels"]
    facts = {"dataset_id": labels[f"{LABEL}dataset-id"], "version": labels[f"{LABEL}dataset-version"]}
    return facts | {name: _annotation(cronjob, name) for name in ("repository", "branch", "commit", "image")}


def _from_values(cluster: Cluster, release: str) -> dict[str, Any]:
    """For a release without jobs (an unfinished cleanup, a failed first deploy): its values tell."""
    names = ("dataset_id", "version", "repository", "branch", "commit", "image")
    try:
        record = helm.values_of(cluster, release).record
    except StagingError:
        return dict.fromkeys(names, "")
    return {name: getattr(record, name) for name in names}


def _job(cronjob: dict[str, Any]) -> dict[str, Any]:
    spec, metadata = cronjob["spec"], cronjob["metadata"]
    return {
        "key": _annotation(cronjob, "key"),
        "name": metadata["name"],
        "schedule": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspend": spec.get("suspend", False),
        "last_success": cronjob.get("status", {}).get("lastSuccessfulTime"),
    }


def _annotation(cronjob: dict[str, Any], name: str) -> str:
    return cronjob["metadata"].get("annotations", {}).get(f"{LABEL}{name}", "")
