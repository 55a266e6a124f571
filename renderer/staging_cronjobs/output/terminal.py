"""What commands show to people and programs: sentences and tables, or JSON."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import StagingError
from ..model import command_line
from .printing import show, show_json, show_text
from .screen import age, clock, table

if TYPE_CHECKING:
    from ..external.cluster import Cluster
    from ..external.helm_record import Release
    from ..model.diff import Changes
    from ..verbs.check import Verdict
    from ..verbs.cleanup import Plan, Plans
    from ..verbs.deploy import Outcome
    from ..verbs.logs import Log
    from ..verbs.monitors import Followed
    from ..verbs.rollback import Rollback
    from ..verbs.sweep import Finding


def releases(
    rows: list[dict[str, Any]], cluster: "Cluster", now: datetime, *, wide: bool = False, as_json: bool = False
) -> None:
    """The staged versions, a line for each job: no line depends on another one."""
    if as_json:
        return show_json(rows)
    if not rows:
        return show(f"No staged versions in {cluster}.")
    header = ("DATASET", "VERSION", "STATUS", "AGE", "COMMIT", "JOB", "SCHEDULE", "LAST RUN", "NEXT RUN")
    before = ("NAMESPACE",) if cluster.everywhere else ()
    after = ("REV", "RELEASE", "REPOSITORY", "IMAGE") if wide else ()
    cells = []
    for row in rows:
        # Nothing is known of an unproven one but its name.
        facts = (row["dataset_id"] or row["release"], row["version"], _state(row), _since(row["created"], now))
        where = (row["namespace"],) if cluster.everywhere else ()
        more = (str(row["revision"]), row["release"], row["repository"], row["image"]) if wide else ()
        jobs = [_runs(job, now) for job in row["jobs"]] or [("",) * 4]
        cells += [(*where, *facts, row["commit"][:8], *job, *more) for job in jobs]
    return table((*before, *header, *after), [tuple(cell or "-" for cell in line) for line in cells])


def beside(rows: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    """What a table cannot hold: why a release cannot be read, and the commands for the logs of runs that failed."""
    for row in rows:
        if row["problem"]:
            say(f"{row['release']} is {row['status']}: {row['problem']}")
        for job in row["jobs"]:
            if job["log"]:
                say(f"{job['name']} failed. Its log:")
                say(f"  {job['log']}")


def _state(row: Mapping[str, Any]) -> str:
    """Helm's word, and all that speaks against it: what is missing or failed, or fires in a paused release."""
    words, jobs = [row["status"]], row["jobs"]
    plain = [job for job in jobs if row["status"] == "deployed" and not (row["paused"] or job["paused"])]
    if row["paused"]:
        fire = ", ".join(job["key"] for job in jobs if not (job["missing"] or job["suspend"]))
        words.append(f"paused except {fire}" if fire else "paused")
    for word, keys in (
        ("paused", [job["key"] for job in jobs if job["paused"] and job["suspend"] and not row["paused"]]),
        ("fires, though paused", [job["key"] for job in jobs if job["paused"] and job["suspend"] is False]),
        ("suspended", [job["key"] for job in plain if job["suspend"] and not job["code_suspends"]]),
        (
            "fires, though its code suspends it",
            [j["key"] for j in plain if j["code_suspends"] and j["suspend"] is False],
        ),
        ("missing", [job["key"] for job in jobs if job["missing"]]),
        ("failed", [job["key"] for job in jobs if job["last_run"] == "failed"]),
    ):
        words += [f"{keys[0] if len(keys) == 1 else f'{len(keys)} jobs'} {word}"] if keys else []
    return ", ".join(words)


def _runs(job: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    """Key, schedule, last run and next run of a job."""
    if job["missing"]:
        return job["key"], schedule(job), "missing", "missing"
    began, ended = _since(job["last_schedule"], now), _since(job["last_success"], now)
    last = {"running": f"running for {began}", "failed": f"failed {began} ago", "succeeded": f"succeeded {ended} ago"}
    at = datetime.fromisoformat(job["next_fire"]) if job["next_fire"] else None
    return job["key"], schedule(job), last.get(job["last_run"], ""), "suspended" if job["suspend"] else clock(at, now)


def _since(stamp: str | None, now: datetime) -> str:
    return age(stamp, now) if stamp else ""


def verdicts(found: Iterable["Verdict"], *, as_json: bool) -> None:
    """Which datasets can be staged, and why not."""
    if as_json:
        return show_json([asdict(v) for v in found])
    cells = [
        (
            v.dataset_id,
            v.version or "-",
            ", ".join(v.jobs),
            f"REFUSED: {v.problem}" if v.problem else f"not staged: {v.absent}" if v.absent else "ok",
        )
        for v in found
    ]
    return table(("DATASET", "VERSION", "JOBS", "VERDICT"), cells)


def deployed(outcome: "Outcome", *, as_json: bool) -> None:
    """What a deploy did, and what to do next."""
    record, paused, jobs = outcome.values.record, outcome.values.suspend, outcome.values.jobs
    if as_json:
        facts: dict[str, Any] = {"release": outcome.release, "installed": outcome.installed, "paused": paused}
        facts |= {"dry_run": outcome.dry_run, "refused": outcome.refusal.message if outcome.refusal else ""}
        where = {"context": outcome.cluster.context, "namespace": outcome.cluster.namespace}
        names = [
            {"key": k, "name": j.name, "schedule": j.spec["schedule"], "suspend": suspended_now(outcome, k)}
            for k, j in jobs.items()
        ]
        facts |= where | {"main_version": outcome.main_version, "changes": asdict(outcome.changes), "jobs": names}
        command = None if outcome.legacy else outcome.backfill or None
        facts |= {"warnings": outcome.warnings, "notices": outcome.notices, "backfill": command}
        return show_json(facts | {"record": record.model_dump()})
    done, state = "installed" if outcome.installed else "upgraded", ", paused" if paused else ""
    if outcome.dry_run:
        show(f"Nothing was changed. Release {outcome.release} ({outcome.cluster}) would be {done}{state}.")
    else:
        show(f"{done.capitalize()} release {outcome.release} ({outcome.cluster}){state}.")
    main = f"v{outcome.main_version}" if outcome.main_version else "no such dataset"
    runs = "would run" if outcome.dry_run else "runs"
    show(f"{record.dataset_id} v{record.version} {runs} {record.image}; main has {main}.")
    cells = [(k, j.name, schedule(j.spec), "yes" if suspended_now(outcome, k) else "no") for k, j in jobs.items()]
    table(("KEY", "CRONJOB", "SCHEDULE", "SUSPENDED"), cells)
    for key in outcome.values.jobs.keys() & {*outcome.values.paused_keys}:
        show(f"{key} is paused alone, until: {command_line.staging('resume', record.branch, '--key', key)}")
    if record.stagger:
        show(f"Staggered: its schedules are {record.stagger} min later than in the dataset's code.")
    for store in record.stores:
        show(f"writes {store}")
    if outcome.dry_run:
        return changes(outcome.changes)
    target = ("--dataset-id", record.dataset_id, "--version", record.version)
    if paused and outcome.legacy:
        show(f"Paused: no job runs on its schedule. Main is at v{outcome.main_version}, so its data exists. Next:")
        show(f"  {command_line.staging('resume', *target)}")
    elif paused:
        show("Paused: no job runs on its schedule. Next:")
        how = f": {outcome.backfill}" if outcome.backfill else f" with the image {record.image}"
        show(f"  1. backfill the stores above{how}")
        show(f"  2. {command_line.staging('resume', *target)}")
    show(f"To remove it: {command_line.cleanup(record.dataset_id, record.version, *target)}")
    return None


def changes(found: "Changes") -> None:
    """The whole difference that a deploy would make, a line for each field."""
    if not found.first:
        lines = [f"{key}  {field}" for key, fields in found.changed.items() for field in fields]
        lines += [f"{key}  added" for key in found.added] + [f"{key}  dropped" for key in found.dropped]
        lines += [f"Job {job} runs now and would be stopped" for job in found.stopped]
        _listed("From what runs", lines)
    there = {key: fields for key, fields in found.production.items() if fields is not None}
    lines = [f"{key}  {field}" for key, fields in there.items() for field in fields]
    lines += [f"{key}  production has no such job" for key in found.production if key not in there]
    _listed("From production", lines if there else ["production has no job of this dataset in this namespace"])


def _listed(title: str, lines: list[str]) -> None:
    show(f"{title}:")
    for line in lines or ["nothing changes"]:
        show(f"  {line}")


def suspended(
    cluster: "Cluster",
    release: "Release",
    differed: Mapping[str, list[str]],
    changed: bool,
    *,
    suspend: bool,
    keys: Sequence[str] = (),
) -> None:
    """What pause or resume did."""
    jobs, several = release.values.jobs, len(keys) > 1
    which = f"{', '.join(keys)} of release" if keys else "Release"
    state = f"{'are' if several else 'is'} {'paused' if suspend else 'running'}{'' if changed else ' already'}"
    show(f"{which} {release.name} ({cluster}) {state}.")
    if differed:
        show("CronJobs that differed from the release's record (recorded → found) were replaced:")
    for name, how in differed.items():
        show(f"  {name}: {'; '.join(how)}")
    if suspend and changed:
        them = "them" if several else "it"
        show(f"Later deploys keep {them} paused. To let {them} run again: {_again('resume', release, keys)}")
    elif changed:
        show("A run that was missed while paused starts at once.")
    if suspend:
        return
    own = [key for key in keys or jobs if key in jobs and jobs[key].spec.get("suspend")]
    if changed and own:
        show(f"Still suspended by their own code: {', '.join(own)}.")
    for key in [] if keys else [key for key in release.values.paused_keys if key in jobs]:
        show(f"{key} is still paused alone, until: {_again('resume', release, [key])}")


def still_running(release: "Release", jobs: Iterable[str], *, stopped: bool, keys: Sequence[str] = ()) -> None:
    """The Jobs that go on although the version, or the job, is paused, or that were stopped."""
    if not (names := ", ".join(jobs)):
        return show(f"No Job of {'them' if len(keys) > 1 else 'it'} runs.")
    if stopped:
        return show(f"Stopped, with their pods: {names}")
    show(f"These Jobs still run: {names}. To stop them:")
    return show(f"  {_again('pause', release, keys, '--stop-running')}")


def _again(verb: str, release: "Release", keys: Sequence[str], *more: str) -> str:
    named = (word for key in keys for word in ("--key", key))
    return command_line.staging(verb, release.values.record.branch, *named, *more)


def monitors(found: "Followed | None") -> None:
    """The monitors that pause has disabled, or resume enabled."""
    if found and found.changed:
        show(f"Sentry monitors {'enabled' if found.enabled else 'disabled'}: {', '.join(sorted(found.changed))}")


def rolled_back(found: "Rollback", cluster: "Cluster") -> None:
    """What a rollback did, and how long it lasts."""
    record, paused = found.values.record, found.values.suspend
    show(
        f"Release {found.release.name} ({cluster}) is back at {record.commit[:12]}, as it was deployed at "
        f"{found.to.made}{', and still paused' if paused else ''}. It was at {found.release.values.record.commit[:12]}."
    )
    show(f"It runs {record.image}.")
    if found.dropped:
        show(f"That commit does not have these CronJobs: {', '.join(found.dropped)}. They and their Jobs are deleted.")
    show(f"The next push to {record.branch} deploys the head of the branch again. To stay here, push a revert.")


def started(cluster: "Cluster", name: str, cronjob: Mapping[str, Any]) -> None:
    """Which Job a run started, how to watch it, and when its CronJob starts the next one beside it."""
    from ..external import kubectl
    from ..model import schedules

    show(f"Started Job {name} ({cluster}). To follow its logs:")
    show(f"  {kubectl.log_of(cluster, name, '--follow')}")
    spec = cronjob["spec"]
    if spec.get("suspend"):
        return show("The CronJob is suspended, so its schedule starts no other Job.")
    for fire in schedules.fires(spec["schedule"], spec.get("timeZone"), datetime.now(UTC)):
        show(f"The schedule fires next at {fire:%Y-%m-%d %H:%M} UTC, whether or not this Job has ended.")
    return None


def log(found: "Log", cluster: "Cluster", now: datetime, say: Callable[[str], None]) -> None:
    """The end of a log, and beside it which Job's it is and what to do next."""
    from ..external import kubectl

    run = found.run
    if found.gone:
        say(found.gone)
    when = f"{age(run.ended, now)} ago" if run.ended else f"for {age(run.began, now)}"
    say(f"Job {run.name} ({cluster}): {run.state} {when}{f', {run.reason}' if run.reason else ''}")
    if found.text.strip():
        show_text(found.text.rstrip("\n"))
    if found.pod and not found.problem:
        say(f"All of it: {kubectl.log_of(cluster, run.name)}")
        return
    if not found.pod:
        say("Its pods are gone, and their logs with them. If you collect logs elsewhere, look there.")
    kind, name = ("pod", found.pod) if found.pod else ("job", run.name)
    say("What the cluster still knows of it, and how to run it again:")
    say(f"  {kubectl.description_of(cluster, kind, name)}")
    say(f"  {command_line.staging('run', found.cronjob)}")


def plans(found: "Plans", cluster: "Cluster", say: Callable[[str], None], *, drain: bool = False) -> None:
    """What a cleanup would take away, and what it would leave."""
    whose = [f"{staged.dataset_id} v{staged.version}" for staged in found]
    say(f"Cleanup of {whose[0] if len(found) == 1 else f'{len(found)} staged versions'} ({cluster}):")
    for name, plan in zip(whose, found.values(), strict=True):
        if len(found) > 1:
            say(f"{name}:")
        if isinstance(plan, StagingError):
            say(f"  nothing is deleted, because {plan}")
        else:
            _planned(plan, say, drain=drain)


def _planned(found: "Plan", say: Callable[[str], None], *, drain: bool) -> None:
    record, release = found.release.values.record, found.release
    say(f"  release  {release.name}, {release.status}, revision {release.revision}: deleted, with its Jobs and pods")
    for name in sorted(release.job_names):
        say(f"  cronjob  {name}: deleted")
    for name in found.running:
        say(f"  job      {name} runs now: {'waited for' if drain else 'stopped'}")
    say(f"  branch   {record.branch}{_fate_of_branch(found)}")
    if found.checkout is None and not found.keep_branch:
        say(f"           {_push_delete(found)}")
    if found.sentry_problem:
        say(f"  monitors cannot be listed now: {found.sentry_problem}")
    for slug in [] if found.sentry_problem else sorted(release.job_names):
        say(f"  monitor  {slug}: {_fate_of_monitor(found, slug)}")
    for store in record.stores:
        say(f"  store    {store}: stays")


def _push_delete(found: "Plan") -> str:
    return f"git push <remote> --delete {shlex.quote(found.release.values.record.branch)}"


def _fate_of_branch(found: "Plan") -> str:
    if found.keep_branch:
        return ": stays (--keep-branch)"
    if found.checkout is None:
        return f": stays, this folder is no checkout of {found.release.values.record.repository}. To delete it:"
    return f" at {found.head[:12]}: deleted" if found.head else ": already deleted"


def _fate_of_monitor(found: "Plan", slug: str) -> str:
    if found.project is None:
        return f"stays ({'--keep-monitors' if found.keep_monitors else 'Sentry is not set up'})"
    return "deleted" if any(monitor.slug == slug for monitor in found.found) else "does not exist"


def cleaned(found: "Sequence[Plan]", against: Sequence[str]) -> None:
    """What is gone, how to bring branches back, and the stores that stay; `against` speaks against deleting them."""
    for plan, why in zip(found, against, strict=True):
        _cleaned(plan, why)


def _cleaned(found: "Plan", against: str) -> None:
    record = found.release.values.record
    show(f"Release {found.release.name} is gone, with its CronJobs, Jobs and pods.")
    if found.project:
        show(f"Monitors of {found.project} are gone: {', '.join(sorted(found.release.job_names))}")
    if found.checkout and found.head:
        show(f"Branch {record.branch} is deleted. It was at {found.head}; to restore it:")
        show(f"  {shlex.join(('git', 'push', found.checkout.remote, f'{found.head}:refs/heads/{record.branch}'))}")
    if record.stores:
        show("These stores were not deleted:")
        for store in record.stores:
            show(f"  {store}")
    on_s3 = [store for store in record.stores if store.startswith("s3://")]
    if against:
        show(against)
    elif on_s3:
        show("Main does not have this version. To delete the stores too:")
        for store in on_s3:
            show(f"  {shlex.join(('aws', 's3', 'rm', '--recursive', store))}")
    if found.checkout is None:  # last, because it is what is still to be done
        again = f"Branch {record.branch} was not deleted, and a push to it deploys this version again."
        show(again if found.keep_branch else f"{again} To delete it: {_push_delete(found)}")


def findings(found: list["Finding"], cluster: "Cluster", *, as_json: bool) -> None:
    """What a sweep found."""
    if as_json:
        facts = [{"kind": f.kind, "name": f.name, "detail": f.detail, "removable": f.removable} for f in found]
        return show_json(facts)
    if not found:
        return show(f"Nothing was left behind in {cluster}.")
    cells = [(f.kind, f.name, f.detail, "yes" if f.removable else "no") for f in found]
    return table(("KIND", "NAME", "DETAIL", "REMOVABLE"), cells)


def schedule(spec: Mapping[str, Any]) -> str:
    """A schedule and its zone; the fields of a schedule may have tabs between them."""
    return " ".join((*spec["schedule"].split(), spec.get("timeZone") or spec.get("time_zone") or "")).rstrip()


def suspended_now(outcome: "Outcome", key: str) -> bool:
    """Whether a job is suspended: by the cluster's word, else by what was asked for."""
    return outcome.suspended.get(key, outcome.values.suspends(key))
