"""`staging timeline`: when the jobs of production and of staged versions fire, from the namespace's CronJobs alone."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..errors import Refused, StagingError, suggestion
from ..external import kubectl
from ..external.cluster import Cluster
from ..model import timeline
from ..model.marks import LABEL
from ..model.settings import Settings
from ..model.staged_version import StagedVersion, check_dataset_id
from ..model.timeline import Job, Timeline


def look(cluster: Cluster, settings: Settings, dataset_id: str, now: datetime) -> Timeline:
    """The timeline of all CronJobs in the namespace, or of those of one dataset. One listing, no user code.

    Raises `Refused`, with close matches, when no job is that dataset's.
    """
    if dataset_id:
        check_dataset_id(dataset_id)
    cronjobs = cluster.get("cronjobs", "")
    if not cronjobs:
        cluster.require_namespace()
    jobs = list(_jobs(cronjobs, cluster, settings, dataset_id))
    ours = [job for job in jobs if job.dataset_id == dataset_id] if dataset_id else jobs
    if dataset_id and not ours:
        known = suggestion(dataset_id, {job.dataset_id for job in jobs if job.dataset_id})
        raise Refused(f"no CronJob of dataset {dataset_id} is in {cluster}{known}")
    return timeline.of(ours, now)


def _jobs(cronjobs: list[kubectl.Object], cluster: Cluster, settings: Settings, dataset_id: str) -> Iterator[Job]:
    labelled = [cronjob for cronjob in cronjobs if kubectl.release_of(cronjob)]
    owned = {cronjob["metadata"]["name"] for cronjob in kubectl.owned(cluster, labelled)}
    staged = [_staged(cronjob, proven=cronjob["metadata"]["name"] in owned) for cronjob in labelled]
    # Production's CronJobs carry no id: their names begin with it, or with the prefix that is set for it.
    starts = {prefix: of for of, prefix in settings.job_prefixes.items()}
    starts |= {job.dataset_id: job.dataset_id for job in staged if job.dataset_id} | {dataset_id: dataset_id}
    others = {cronjob["metadata"]["name"]: cronjob for cronjob in cronjobs if not kubectl.release_of(cronjob)}
    staged_too = {f"{start}-{job.key}" for start, of in starts.items() for job in staged if job.dataset_id == of}
    yield from staged
    for name, cronjob in others.items():
        start = _start(name, starts, staged_too, others)
        yield _job(cronjob, "production", starts.get(start, ""), "", name.removeprefix(f"{start}-") if start else "")


def _start(name: str, starts: Collection[str], staged: Collection[str], others: Collection[str]) -> str:
    """Which of `starts` begins the name of a production job; empty for none. The longest wins.

    `a-forecast-update` beside `a-update` is the job of a dataset `a-forecast`, unless a version of `a` has that job.
    """
    for start in sorted(filter(None, starts), key=len, reverse=True):
        words = name.removeprefix(f"{start}-").split("-")
        shorter = {"-".join((start, *words[n:])) for n in range(1, len(words))}
        if name.startswith(f"{start}-") and (name in staged or not shorter & {*staged, *others}):
            return start
    return ""


def _staged(cronjob: Mapping[str, Any], *, proven: bool) -> Job:
    """A CronJob with our labels. What they say counts only as far as its name follows from it."""
    metadata = cronjob["metadata"]
    name, facts = metadata["name"], [metadata["labels"].get(f"{LABEL}dataset-{fact}", "") for fact in ("id", "version")]
    key = (metadata.get("annotations") or {}).get(f"{LABEL}key", "")
    try:
        proven = proven and StagedVersion(*facts).could_be_named(key, name)
    except StagingError:
        proven = False
    return _job(cronjob, "staged", *facts, key) if proven else _job(cronjob, "unproven", "", "", "")


def _job(cronjob: Mapping[str, Any], kind: str, dataset_id: str, version: str, key: str) -> Job:
    spec = cronjob["spec"]
    suspended = bool(spec.get("suspend"))
    when = spec["schedule"], spec.get("timeZone"), suspended
    paused = suspended and kind == "staged" and cronjob["metadata"]["annotations"].get(f"{LABEL}paused") == "true"
    return Job(kind, dataset_id, version, key, cronjob["metadata"]["name"], *when, paused)
