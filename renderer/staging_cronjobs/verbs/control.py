"""`staging pause`, `resume` and `run`: what an operator does to a release that is there."""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from string import ascii_lowercase
from typing import Any, TypeVar

from ..checks import isolation, ownership
from ..errors import Outside, Refused, Unfinished, suggestion, to_finish
from ..external import helm, helm_record, kubectl, waits
from ..external.cluster import Cluster, plain
from ..external.helm_record import Release
from ..external.main_settings import Place
from ..model import diff
from ..model.command_line import staging
from ..model.staged_version import StagedVersion
from ..model.values import Values
from . import Say, origin, recovery

POLL = 5.0  # seconds
TRIES = 5  # to suspend what others change at the same time
Switched = tuple[Release, dict[str, list[str]], bool]  # how its CronJobs differed, by name; whether it was changed
Jobs = TypeVar("Jobs", bound=Collection[str])


def pause(
    cluster: Cluster, staged: StagedVersion, say: Say, *, keys: Collection[str] = (), stop: bool = False
) -> Switched:
    """Pause a release, or its jobs of these keys alone: all other values stay as they are.

    It does not wait for a helm that holds the release: the CronJobs are suspended at once, and with `stop` their Jobs
    deleted.
    """
    release = _find(cluster, staged, "pause")
    if release.pending:
        return _pause_pending(cluster, release, keys, say, stop=stop), {}, True
    return _switch(cluster, release, _switched(release, True, keys), _did(True, keys))


def resume(place: Place, cluster: Cluster, staged: StagedVersion, say: Say, *, keys: Collection[str] = ()) -> Switched:
    """Resume a release, or its jobs of these keys alone. Raises `Refused` when others write its stores by now."""
    release = settled(cluster, staged, "resume", say)
    new = _switched(release, False, keys)
    isolation.check_going(cluster, place, new)
    return _switch(cluster, release, new, _did(False, keys))


def _switch(cluster: Cluster, release: Release, new: Values, description: str) -> Switched:
    found = _differing(cluster, release)
    if new == release.values and not found:
        return release, {}, False
    upgrade(cluster, release, new, description)
    return release, found, True


def _switched(release: Release, suspend: bool, keys: Collection[str]) -> Values:
    """The release's values with the one switch for all jobs set, or with the switches of these keys.

    Raises `Refused` for a key that is none, and for one to resume while all jobs are paused.
    """
    values, branch = release.values, release.values.record.branch
    if not keys:
        return values.model_copy(update={"suspend": suspend})
    for key in {*keys} - ({*values.paused_keys} if not suspend else set()):  # a job may have been dropped since
        check_key(release, key)
    if values.suspend and not suspend:
        raise Refused(
            f"release {release.name} is paused as a whole, so none of its jobs can be resumed alone. "
            f"`{staging('resume', branch)}` resumes it. To keep one of its jobs paused, pause that with --key first"
        )
    alone = {*values.paused_keys} | {*keys} if suspend else {*values.paused_keys} - {*keys}
    return values.model_copy(update={"paused_keys": sorted(alone)})


def _did(suspend: bool, keys: Collection[str]) -> str:
    """What Helm's history says of it."""
    return origin.signed(" ".join(("paused" if suspend else "resumed", *sorted(keys))))


def settled(cluster: Cluster, staged: StagedVersion, verb: str, say: Say) -> Release:
    """The live release of this staged version, once no helm is at work on it.

    Raises `Refused` when there is none, `Outside` when a helm was killed at work on it.
    """
    release = _find(cluster, staged, verb)
    if release.pending:
        recovery.settle(cluster, release, say)
        release = _find(cluster, staged, verb)  # what that helm has made of it
    if release.pending:
        raise Outside(
            f"release {release.name} is {release.status}, left by a helm that was killed. Deploy it again. Or run "
            f"`{staging('pause', release.values.record.branch)}`: it pauses what ran before"
        )
    return release


def _pause_pending(cluster: Cluster, release: Release, keys: Collection[str], say: Say, *, stop: bool) -> Release:
    """Suspend a release that a helm holds, without Helm; then wait for that helm, and put Helm's record right.

    Raises `Unfinished` when the CronJobs are suspended, but the record cannot be put right.
    """
    _switched(release, True, keys)  # a key that is none ends it before anything is touched
    suspend_now(cluster, release, keys, say)
    if stop and (stopped := running(cluster, release, keys, stop=True)):
        say(f"stopped, with their pods: {', '.join(stopped)}")
    if (left := recovery.TIMEOUTS * cluster.timeout_seconds - release.age) > 0:
        by = datetime.now(UTC) + timedelta(seconds=left)
        say(
            f"{'these' if keys else 'all'} CronJobs are suspended now, and are kept so until Helm's record says so "
            f"too: when that helm has ended, by {by:%H:%M} UTC at the latest"
        )
    # That helm may write its CronJobs as they were before.
    recovery.settle(cluster, release, say, lambda: suspend_now(cluster, release, keys, say))
    now = _find(cluster, release.values.record.staged_version, "pause")
    new = _switched(now, True, keys)
    try:
        if now.pending:
            say(recovery.told(now))
            new = now.before.values.paused_as(new) if now.before else new
            helm_record.give_up(cluster, now)
            now = _find(cluster, release.values.record.staged_version, "pause")
        upgrade(cluster, now, new, _did(True, keys))
    except (Outside, Refused) as error:
        raise Unfinished(
            to_finish(f"The CronJobs of {release.name} are suspended, but Helm's record does not say so yet. {error}")
        ) from None
    return now


def suspend_now(cluster: Cluster, release: Release, keys: Collection[str], say: Say) -> None:
    """Suspend the CronJobs of a release without Helm, also those that a killed helm has left or just made."""
    for _ in range(TRIES):
        live = ownership.check_own(cluster, release, _names(release, keys))
        firing = {name: c for name, c in live.items() if not c["spec"].get("suspend")}
        if not firing:
            return
        if done := [name for name in sorted(firing) if kubectl.suspend(cluster, firing[name])]:
            say(f"suspended {', '.join(done)}")
    raise Outside(f"{cluster}: somebody changes CronJob {min(firing)} again and again, and it is not suspended")


def _names(release: Release, keys: Collection[str]) -> frozenset[str]:
    """The CronJobs that the keys have, or had; without keys, all there ever were."""
    if not keys:
        return release.job_names
    jobs = [revision.values.jobs for revision in release.revisions]
    return frozenset(there[key].name for there in jobs for key in keys if key in there)


def _differing(cluster: Cluster, release: Release) -> dict[str, list[str]]:
    """The CronJobs that are not as the release's record has them, by name, and how."""
    live = _live(cluster, release, release.newest.names)
    wanted = helm.recorded(cluster, release, live)
    found = {name: _how(wanted.get(name), live.get(name)) for name in sorted(release.newest.names)}
    return {name: fields for name, fields in found.items() if fields}


def _how(recorded: Mapping[str, Any] | None, live: Mapping[str, Any] | None) -> list[str]:
    """How a CronJob differs from its record. Labels and annotations that others added are none of the record's."""
    if live is None:
        return ["deleted"]
    if recorded is None:
        return ["could not be compared"]
    ours = {part: recorded["metadata"].get(part, {}) for part in ("labels", "annotations")}
    now = {part: {k: live["metadata"].get(part, {}).get(k) for k in marks} for part, marks in ours.items()}
    return diff.fields({**ours, "spec": recorded["spec"]}, {**now, "spec": live["spec"]})


def upgrade(cluster: Cluster, release: Release, new: Values, description: str) -> None:
    """Upgrade a release to new values. Raises `Unfinished` when that replaced what somebody made meanwhile."""
    if others := helm.upgrade(cluster, release.name, new, release, description):
        raise Unfinished(f"{cluster}: {helm.replaced(release.name, others)}")


@waits.on("running Jobs")
def wait_for_jobs(find: Callable[[], Jobs], limit: float, say: Say) -> Jobs:
    """Wait `limit` seconds for Jobs to end by themselves; gives those that still run, as `find` does."""
    deadline = time.monotonic() + limit
    shown: list[str] = []
    while jobs := find():
        if [*jobs] != shown:
            shown = [*jobs]
            say(f"waiting for {len(jobs)} running Jobs: {', '.join(jobs)}")
        if time.monotonic() > deadline:
            break
        time.sleep(min(POLL, limit / 10))
    return jobs


def running(cluster: Cluster, release: Release, keys: Collection[str] = (), *, stop: bool) -> list[str]:
    """The Jobs of a paused release, or of these keys, that run, by name; with `stop` they are deleted, with their pods.

    Raises `Unfinished` when they cannot be.
    """
    jobs = kubectl.running(cluster, _names(release, keys))
    try:
        if stop:
            kubectl.stop(cluster, jobs)
    except Outside as error:
        raise Unfinished(
            to_finish(f"release {release.name} is paused, but not all its Jobs are stopped. {error}")
        ) from None
    return [*jobs]


def run_job(
    place: Place, cluster: Cluster, staged: StagedVersion, key: str, *, anyway: bool = False
) -> tuple[str, kubectl.Object]:
    """Start a Job now from the CronJob of a key, paused or not; gives the Job's name, and the CronJob.

    Raises `Refused` while a Job of that CronJob runs, unless `anyway`: two would write one store at once, and the
    CronJob's concurrencyPolicy does not see a Job that was made by hand. Also when others write its stores by now.
    """
    release = _find(cluster, staged, "run")
    jobs = release.values.jobs
    check_key(release, key)
    cronjob = jobs[key].name
    live = _live(cluster, release, [cronjob])
    if not live:
        again = staging("pause" if release.values.suspend else "resume", release.values.record.branch)
        raise Refused(f"CronJob {cronjob} of release {release.name} was deleted. `{again}` makes it again.")
    if (running := kubectl.active_jobs(cluster, release, [cronjob])) and not anyway:
        raise Refused(
            f"Job {running[0]} of {cronjob} runs now, and a second one would write the same stores. Wait for its end, "
            "or pass --anyway."
        )
    isolation.check_going(cluster, place, release.values)
    return _create(cluster, cronjob), live[cronjob]


def check_key(release: Release, key: str) -> None:
    """Raises `Refused`, with close matches, for what is no key of the release."""
    if key not in (jobs := release.values.jobs):
        raise Refused(f"release {release.name} has no job {key!r}, only {', '.join(jobs)}{suggestion(key, jobs)}")


def _create(cluster: Cluster, cronjob: str) -> str:
    """A Job of a CronJob, named after the time of day; of several in one second each gets a letter more.

    As long as the names that the schedule makes, which always fit: eight characters.
    """
    for more in ("", *ascii_lowercase):
        name = f"{cronjob}-{datetime.now(UTC):%H%M%S}{more}"
        made = cluster.kubectl("create", "job", name, f"--from=cronjob/{cronjob}", check=False)  # `--` begins a command
        if made.code == 0:
            return name
        if "already exists" not in made.stderr:
            break
    raise Outside(f"{cluster}: kubectl could not start a Job of {cronjob}: {plain(made)}")


def _live(cluster: Cluster, release: Release, names: Collection[str]) -> dict[str, kubectl.Object]:
    """Those of a release's CronJobs that exist. Raises `Refused` for one that is another's, or on its way out."""
    live = ownership.check_own(cluster, release, names)
    ownership.check_staying(cluster, release.name, live)
    return live


def _find(cluster: Cluster, staged: StagedVersion, verb: str) -> Release:
    """The live release of this staged version. Raises `Refused` when there is none, or it is another's."""
    cluster.require_helm()
    release = helm_record.own(cluster, staged)
    if release is None or not release.live:
        state = f"is {release.status}" if release else "does not exist"
        raise Refused(f"release {staged.release} {state} in {cluster}: there is nothing to {verb}")
    return release
