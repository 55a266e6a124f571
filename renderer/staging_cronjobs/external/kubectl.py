"""The CronJobs, Jobs and pods of staged releases, through kubectl.

Ours means three marks at once: our label, Helm's mark of the same release, and a name that the record has.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import Outside
from ..model import runs
from ..model.marks import LABEL
from . import shell
from .cluster import Cluster, one_of
from .helm_record import Release

FEW = 10  # names that are asked for one by one; of more, the namespace is listed
Object = dict[str, Any]


def labelled(cluster: Cluster) -> list[Object]:
    """All CronJobs that carry our label, copies that are not ours included."""
    return cluster.get("cronjobs", f"{LABEL}release")


def selector_of(releases: Collection[str]) -> str:
    """The label by which what these releases made is listed."""
    return one_of(f"{LABEL}release", releases)


def owned(cluster: Cluster, cronjobs: Collection[Object]) -> list[Object]:
    """Those of labelled CronJobs that the release of their label owns."""
    return [c for c in cronjobs if owner(c) == (release_of(c), cluster.namespace)]


def by_release(cronjobs: Iterable[Object]) -> dict[str, list[Object]]:
    """Labelled CronJobs by the release that their label names."""
    found: dict[str, list[Object]] = {}
    for cronjob in cronjobs:
        found.setdefault(release_of(cronjob), []).append(cronjob)
    return found


def release_of(cronjob: Mapping[str, Any]) -> str:
    """The release that a CronJob's label names."""
    return (cronjob["metadata"].get("labels") or {}).get(f"{LABEL}release", "")


def owner(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The Helm release and its namespace that a resource carries the marks of; empty strings without."""
    annotations = resource["metadata"].get("annotations") or {}
    return annotations.get("meta.helm.sh/release-name", ""), annotations.get("meta.helm.sh/release-namespace", "")


def everything(cluster: Cluster) -> dict[str, Object]:
    """All CronJobs of the namespace by name, whoever made them."""
    return {c["metadata"]["name"]: c for c in cluster.get("cronjobs", "")}


def existing(cluster: Cluster, names: Collection[str]) -> dict[str, Object]:
    """Those of the CronJobs `names` that exist, whoever made them."""
    if len(names) > FEW:
        return {name: cronjob for name, cronjob in everything(cluster).items() if name in names}
    found = shell.together([partial(cluster.get_one, "cronjobs", name) for name in sorted(names)])
    return {cronjob["metadata"]["name"]: cronjob for cronjob in found if cronjob}


def foreign(cluster: Cluster, found: Mapping[str, Object], release: str) -> dict[str, Object]:
    """Those of the CronJobs `found`, by name, that are not the release's own."""
    return {name: c for name, c in found.items() if owner(c) != (release, cluster.namespace)}


def active_jobs(cluster: Cluster, release: Release, cronjobs: Collection[str] | None = None) -> list[str]:
    """Jobs of the release that run now, or of these of its CronJobs alone."""
    names = release.job_names if cronjobs is None else cronjobs
    return [*running(cluster, names, selector_of([release.name]))]


def running(cluster: Cluster, cronjobs: Collection[str], selector: str = f"{LABEL}release") -> dict[str, Object]:
    """The Jobs of these CronJobs that run now, by name, whatever their releases."""
    jobs = {j["metadata"]["name"]: j for j in cluster.get("jobs", selector) if not _over(j)}
    return {name: jobs[name] for name in sorted(jobs) if made_by(jobs[name], cronjobs)}


def made(cluster: Cluster, plural: str) -> dict[str, list[Object]]:
    """All Jobs of staged CronJobs by the CronJob's name, or all pods of those by the Job's."""
    maker, found = {"jobs": "CronJob", "pods": "Job"}[plural], dict[str, list[Object]]()
    for thing in cluster.get(plural, f"{LABEL}release"):
        for name in _makers(thing, maker):
            found.setdefault(name, []).append(thing)
    return found


def line(cluster: Cluster, *words: str) -> str:
    """A command of kubectl in this namespace of this cluster, for a shell."""
    where = ("--namespace", cluster.namespace, *(("--context", cluster.context) if cluster.context else ()))
    return shlex.join(("kubectl", *words, *where))


def log_of(cluster: Cluster, job: str, *flags: str) -> str:
    """The command line for the log of a Job, to copy."""
    return line(cluster, "logs", f"job/{job}", "--all-containers", *flags)


def description_of(cluster: Cluster, kind: str, name: str) -> str:
    """The command line for what the cluster knows of an object, its events included, to copy."""
    return line(cluster, "describe", kind, name)


def made_by(job: Mapping[str, Any], cronjobs: Collection[str]) -> bool:
    """Whether one of these CronJobs made the Job, or a person from it."""
    return bool(_makers(job, "CronJob") & {*cronjobs})


def suspend(cluster: Cluster, cronjob: Object) -> bool:
    """Suspend a CronJob without Helm, if it still is as it was read; whether it was."""
    return cluster.put("cronjobs", {**cronjob, "spec": {**cronjob["spec"], "suspend": True}})


def stop(cluster: Cluster, jobs: Mapping[str, Object]) -> None:
    """Delete Jobs, given by name, and their pods."""
    for name, job in jobs.items():
        cluster.delete("jobs", name, uid=job["metadata"]["uid"])


def remains(cluster: Cluster, releases: Sequence[Release]) -> dict[str, list[str]]:
    """What still exists of releases: their CronJobs, the Jobs and the pods of those, as kind/name, by release."""
    found = cluster.get_all(("cronjobs", "jobs", "pods"), selector_of([r.name for r in releases])) if releases else []
    left = {release.name: _left(release, found) for release in releases}
    return {name: things for name, things in left.items() if things}


def _left(release: Release, found: Collection[Object]) -> list[str]:
    cronjobs = {c["metadata"]["name"] for c in found if c["kind"] == "CronJob" and owner(c)[0] == release.name}
    jobs = {j["metadata"]["name"] for j in found if j["kind"] == "Job" and _makers(j, "CronJob") & release.job_names}
    pods = [p for p in found if p["kind"] == "Pod"]
    ours = {p["metadata"]["name"] for p in pods if any(_is_ours(m, jobs, release) for m in _makers(p, "Job"))}
    kinds = {"cronjob": cronjobs & release.job_names, "job": jobs, "pod": ours}
    return [f"{kind}/{name}" for kind, found in kinds.items() for name in sorted(found)]


def delete_leftovers(cluster: Cluster, releases: Collection[Release]) -> dict[str, Outside]:
    """Delete CronJobs that Helm left behind (a `helm.sh/resource-policy: keep`), if they are their release's own.

    Gives what was in the way, by release.
    """
    failed: dict[str, Outside] = {}
    live = existing(cluster, {name for release in releases for name in release.job_names})
    for release in releases:
        for name in sorted(live.keys() & release.job_names):
            going = "deletionTimestamp" in live[name]["metadata"]
            if owner(live[name]) == (release.name, cluster.namespace) and not going:
                try:
                    cluster.delete("cronjobs", name, uid=live[name]["metadata"]["uid"])
                except Outside as error:
                    failed[release.name] = error
    return failed


def _over(job: Mapping[str, Any]) -> bool:
    """Whether a Job has ended."""
    return bool(runs.condition(job))


def _is_ours(job: str, jobs: Collection[str], release: Release) -> bool:
    # A pod may outlive its Job: then the Job's name, which begins with its CronJob's, is all there is.
    return job in jobs or any(job.startswith(f"{name}-") for name in release.job_names)


def _makers(resource: Mapping[str, Any], kind: str) -> set[str]:
    return {o["name"] for o in resource["metadata"].get("ownerReferences", []) if o["kind"] == kind}
