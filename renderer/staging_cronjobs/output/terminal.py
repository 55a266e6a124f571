"""What people and programs read: tables at 100 columns, or JSON."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..model import commands
from .printing import encodable, inert, no_command, show, show_json, write

if TYPE_CHECKING:
    from ..external.cluster import Cluster
    from ..external.record import Release
    from ..model.values import Job
    from ..verbs.cleanup import Plan, Targets
    from ..verbs.deploy import Outcome
    from ..verbs.proof import Verdict
    from ..verbs.sweep import Finding

WIDTH = 100  # columns where no terminal says otherwise
WORDS = frozenset({"JOBS", "VERDICT", "DETAIL"})  # columns of words may be broken; ids and names are for copying
Cell = str | list[str]  # a list: one under another


def releases(rows: list[dict[str, Any]], cluster: "Cluster", *, as_json: bool) -> None:
    """The staged versions of a namespace."""
    if as_json:
        return show_json(rows)
    if not rows:
        return show(f"No staged versions in {cluster}.")
    cells = [
        (
            row["dataset_id"],
            row["version"],
            f"{row['status']}{', paused' if row['paused'] else ''}",
            str(row["revision"]),
            row["commit"][:8],
            [f"{job['key']} {schedule(job)}{' (suspended)' if job['suspend'] else ''}" for job in row["jobs"]],
        )
        for row in rows
    ]
    table(("DATASET", "VERSION", "STATUS", "REV", "COMMIT", "JOBS"), cells)
    return None


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
        where = {"context": outcome.cluster.context, "namespace": outcome.cluster.namespace}
        names = [
            {"key": k, "name": j.name, "schedule": j.spec["schedule"], "suspend": suspended_now(outcome, k)}
            for k, j in jobs.items()
        ]
        facts |= where | {"main_version": outcome.main_version, "changes": asdict(outcome.changes), "jobs": names}
        facts |= {"warnings": outcome.warnings, "notices": outcome.notices, "backfill": outcome.backfill or None}
        return show_json(facts | {"record": record.model_dump()})
    done = "Installed" if outcome.installed else "Upgraded"
    show(f"{done} release {outcome.release} ({outcome.cluster}){', paused' if paused else ''}.")
    main = f"v{outcome.main_version}" if outcome.main_version else "no such dataset"
    show(f"{record.dataset_id} v{record.version} runs {record.image}; main has {main}.")
    cells = [(k, j.name, schedule(j.spec), "yes" if suspended_now(outcome, k) else "no") for k, j in jobs.items()]
    table(("KEY", "CRONJOB", "SCHEDULE", "SUSPENDED"), cells)
    for store in record.stores:
        show(f"writes {store}")
    target = ("--dataset-id", record.dataset_id, "--version", record.version)
    if paused:
        show("Paused: no job runs on its schedule. Next:")
        how = f": {outcome.backfill}" if outcome.backfill else f" with the image {record.image}"
        show(f"  1. backfill the stores above{how}")
        show(f"  2. {shlex.join(('staging', 'resume', *target))}")
    show(f"To remove it: {commands.cleanup(record.dataset_id, record.version, *target)}")
    return None


def suspended(cluster: "Cluster", release: "Release", strayed: list[str], changed: bool, *, suspend: bool) -> None:
    """What pause or resume did."""
    state = "paused" if suspend else "running"
    show(f"Release {release.name} ({cluster}) is {state}{'' if changed else ' already'}.")
    if strayed:
        show(f"These CronJobs were changed by hand and are put right: {', '.join(strayed)}")
    if suspend and changed:
        show("Running Jobs continue. Later deploys keep it paused, until `staging resume`.")
    elif changed:
        show("A run that was missed while paused starts at once.")
        own = [key for key, job in release.values.jobs.items() if job.spec.get("suspend")]
        if own:
            show(f"Still suspended by their own code: {', '.join(own)}.")


def started(cluster: "Cluster", name: str, job: "Job") -> None:
    """Which Job a run started, how to watch it, and when the schedule fires next beside it."""
    from ..model import schedules

    logs = ("kubectl", "logs", f"job/{name}", "--all-containers", "--follow", "--namespace", cluster.namespace)
    show(f"Started Job {name} ({cluster}). To follow its logs:")
    show(f"  {shlex.join(logs)}")
    for fire in schedules.fires(job.spec["schedule"], job.spec.get("timeZone"), datetime.now(UTC)):
        show(f"The schedule fires next at {fire:%Y-%m-%d %H:%M} UTC, whether or not this Job has ended.")


def plan(found: "Plan", say: Callable[[str], None]) -> None:
    """What a cleanup would do."""
    record, release = found.release.values.record, found.release
    say(f"Cleanup of {record.dataset_id} v{record.version} ({found.cluster}):")
    say(f"  release  {release.name}, {release.status}, revision {release.revision}: deleted, with its Jobs and pods")
    for name in sorted(release.job_names):
        say(f"  cronjob  {name}: deleted")
    say(f"  branch   {record.branch}{_fate_of_branch(found)}")
    if found.checkout is None and not found.keep_branch:
        say(f"           git push <remote> --delete {shlex.quote(record.branch)}")
    if found.sentry_problem:
        say(f"  monitors cannot be listed now: {found.sentry_problem}")
    for slug in [] if found.sentry_problem else sorted(release.job_names):
        say(f"  monitor  {slug}: {_fate_of_monitor(found, slug)}")
    for store in record.stores:
        say(f"  store    {store}: stays")


def plan_of_many(found: "Targets", say: Callable[[str], None]) -> None:
    """What a cleanup of several would take away, and what it would leave."""
    say(f"Cleanup of {len(found.stores)} staged versions ({found.cluster}):")
    for staged, stores in found.stores.items():
        say(f"  {staged.branch}")
        for store in stores:
            say(f"    store {store}: stays")


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


def cleaned(found: "Plan") -> None:
    """What is gone, how to bring the branch back, and the stores that stay."""
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
    if on_s3 := [store for store in record.stores if store.startswith("s3://")]:
        show("To delete them too, unless main has this version by now:")
        for store in on_s3:
            show(f"  {shlex.join(('aws', 's3', 'rm', '--recursive', store))}")


def findings(found: list["Finding"], cluster: "Cluster", *, as_json: bool) -> None:
    """What a sweep found."""
    if as_json:
        facts = [{"kind": f.kind, "name": f.name, "detail": f.detail, "removable": f.removable} for f in found]
        return show_json(facts)
    if not found:
        return show(f"Nothing was left behind in {cluster}.")
    cells = [(f.kind, f.name, f.detail, "yes" if f.removable else "no") for f in found]
    return table(("KIND", "NAME", "DETAIL", "REMOVABLE"), cells)


def table(header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> None:
    """Columns with two spaces between them; colour only where a person watches and NO_COLOR is unset."""
    from rich.console import Console
    from rich.table import Table

    plain = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in header:
        plain.add_column(_cell(title), overflow="fold", no_wrap=title not in WORDS)
    for row in rows:
        plain.add_row(*map(_cell, row))
    watched = sys.stdout is not None and sys.stdout.isatty()
    width = None if watched or "COLUMNS" in os.environ else WIDTH
    colour = False if os.environ.get("NO_COLOR") else None  # None: where a person watches; rich would still print bold
    console = Console(width=width, force_terminal=colour, markup=False, highlight=False, emoji=False)
    with console.capture() as lines:
        console.print(plain)
    write(no_command("\n".join(line.rstrip() for line in lines.get().splitlines())), sys.stdout)


def schedule(spec: Mapping[str, Any]) -> str:
    """A schedule and its zone; the fields of a schedule may have tabs between them."""
    return " ".join((*spec["schedule"].split(), spec.get("timeZone") or spec.get("time_zone") or "")).rstrip()


def suspended_now(outcome: "Outcome", key: str) -> bool:
    """Whether a job is suspended: by the cluster's word, else by what was asked for."""
    asked_for = outcome.values.suspend or bool(outcome.values.jobs[key].spec.get("suspend"))
    return outcome.suspended.get(key, asked_for)


def _cell(cell: Cell) -> str:
    """Made harmless before it is measured, or columns would not stand under each other."""
    return "\n".join(encodable(inert(line), sys.stdout) for line in ([cell] if isinstance(cell, str) else cell))
