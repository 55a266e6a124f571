"""What people and programs read: tables at 100 columns, or JSON."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import github

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


def say(line: str) -> None:
    """A line for the person or log that watches; results go to stdout instead."""
    print(github.plain(line), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """What another run of this program printed as its result."""
    print(github.plain(text))


def shown(title: str, show: Callable[[], None]) -> None:
    """Print what a command did, and add it to the step's summary."""
    show()
    github.summarise_shown(title, show)


def releases(rows: list[dict[str, Any]], cluster: "Cluster", *, as_json: bool) -> None:
    """The staged versions of a namespace."""
    if as_json:
        return print(json.dumps(rows, indent=2))
    if not rows:
        return print(f"No staged versions in {cluster}.")
    cells = [
        (
            row["dataset_id"],
            row["version"],
            f"{row['status']}{', paused' if row['paused'] else ''}",
            str(row["revision"]),
            row["commit"][:8],
            "\n".join(
                f"{job['key']} {_schedule(job)}{' (suspended)' if job['suspend'] else ''}" for job in row["jobs"]
            ),
        )
        for row in rows
    ]
    table(("DATASET", "VERSION", "STATUS", "REV", "COMMIT", "JOBS"), cells)
    return None


def verdicts(found: Iterable["Verdict"], *, as_json: bool) -> None:
    """Which datasets can be staged, and why not."""
    if as_json:
        return print(json.dumps([asdict(v) for v in found], indent=2))
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
    record, paused = outcome.values.record, outcome.values.suspend
    jobs = {key: job.model_dump() for key, job in outcome.values.jobs.items()}
    if as_json:
        facts: dict[str, Any] = {"release": outcome.release, "installed": outcome.installed, "paused": paused}
        where = {"context": outcome.cluster.context, "namespace": outcome.cluster.namespace}
        names = [
            {"key": k, "name": j["name"], "schedule": j["spec"]["schedule"], "suspend": _suspended(j, paused)}
            for k, j in jobs.items()
        ]
        facts |= where | {"main_version": outcome.main_version, "changes": asdict(outcome.changes), "jobs": names}
        facts |= {"warnings": outcome.warnings, "notices": outcome.notices}
        return print(json.dumps(facts | {"record": record.model_dump()}, indent=2))
    done = "Installed" if outcome.installed else "Upgraded"
    print(f"{done} release {outcome.release} ({outcome.cluster}){', paused' if paused else ''}.")
    main = _main(outcome.main_version)
    print(github.plain(f"{record.dataset_id} v{record.version}, beside {main}, runs {record.image}"))
    cells = [(k, j["name"], _schedule(j["spec"]), "yes" if _suspended(j, paused) else "no") for k, j in jobs.items()]
    table(("KEY", "CRONJOB", "SCHEDULE", "SUSPENDED"), cells)
    for store in record.stores:
        print(github.plain(f"writes {store}"))
    target = f"--dataset-id {record.dataset_id} --version {record.version}"
    if paused:
        print("Paused: no job runs on its schedule. Next:")
        print(f"  1. backfill the stores above with the image {record.image}")
        print(f"  2. staging resume {target}")
    print(f"Take it away again: staging cleanup {target}")
    return None


def suspended(cluster: "Cluster", release: "Release", strayed: list[str], changed: bool, *, suspend: bool) -> None:
    """What pause or resume did."""
    state = "paused" if suspend else "running"
    print(f"Release {release.name} ({cluster}) is {state}{'' if changed else ' already'}.")
    if strayed:
        print(f"Not as its record said, and put right: {', '.join(strayed)}")
    if suspend and changed:
        print("Jobs that run now go on to their end; the next deploys keep it paused, until `staging resume`.")
    elif changed:
        print("A slot that was missed while paused fires at once.")
        own = [key for key, job in release.values.jobs.items() if job.spec.get("suspend")]
        if own:
            print(f"Still suspended by their own code: {', '.join(own)}.")


def started(cluster: "Cluster", name: str, job: "Job") -> None:
    """Which Job a run started, how to watch it, and when the schedule fires next beside it."""
    from ..model import schedules

    print(f"Job {name} is started ({cluster}). Its logs:")
    print(f"  kubectl logs job/{name} --all-containers --follow --namespace {cluster.namespace}")
    for fire in schedules.fires(job.spec["schedule"], job.spec.get("timeZone"), datetime.now(UTC)):
        print(f"The schedule fires next at {fire:%Y-%m-%d %H:%M} UTC, whether or not this Job has ended.")


def plan(found: "Plan", say: Callable[[str], None]) -> None:
    """What a cleanup would do."""
    record, release = found.release.values.record, found.release
    say(f"Cleanup of {record.dataset_id} v{record.version} ({found.cluster}):")
    say(f"  release  {release.name}, {release.status}, revision {release.revision}: deleted, with its Jobs and pods")
    for name in sorted(release.job_names):
        say(f"  cronjob  {name}: deleted")
    if found.keep_branch:
        say(f"  branch   {record.branch}: not touched, --keep-branch was given")
    elif found.checkout is None:
        say(f"  branch   {record.branch}: not touched, this is no checkout of {record.repository}")
        say(f"           git push <remote> --delete {record.branch}")
    elif found.head is None:
        say(f"  branch   {record.branch}: already gone")
    else:
        say(f"  branch   {record.branch} at {found.head[:12]}: deleted")
    if found.sentry_problem:
        say(f"  monitors cannot be asked for now: {found.sentry_problem}")
    for slug in sorted(release.job_names):
        if found.project is None:
            why = "--keep-monitors was given" if found.keep_monitors else "Sentry is not set up"
            say(f"  monitor  {slug}: not touched, {why}")
        elif not found.sentry_problem:
            there = any(m.slug == slug for m in found.found)
            say(f"  monitor  {slug}: {'deleted' if there else 'not there'}")
    for store in record.stores:
        say(f"  store    {store}: stays")


def plan_of_many(found: "Targets", say: Callable[[str], None]) -> None:
    """What a cleanup of several would take away, and what it would leave."""
    say(f"Cleanup of {len(found.stores)} staged versions ({found.cluster}):")
    for staged, stores in found.stores.items():
        say(f"  {staged.branch}")
        for store in stores:
            say(f"    store {store}: stays")


def cleaned(found: "Plan") -> None:
    """What is gone, how to bring the branch back, and the stores that stay."""
    record = found.release.values.record
    print(f"Release {found.release.name} is gone, with its CronJobs, Jobs and pods.")
    if found.project:
        print(f"Monitors of {found.project} are gone: {', '.join(sorted(found.release.job_names))}")
    if found.checkout and found.head:
        print(f"Branch {record.branch} is deleted. It was at {found.head}; to restore it:")
        print(f"  git push {found.checkout.remote} {found.head}:refs/heads/{record.branch}")
    if record.stores:
        print("These stores were not deleted:")
        for store in record.stores:
            print(github.plain(f"  {store}"))
    if commands := [f"aws s3 rm --recursive {shlex.quote(s)}" for s in record.stores if s.startswith("s3://")]:
        print("To delete them as well, unless main has this version by now:")
        for command in commands:
            print(github.plain(f"  {command}"))


def findings(found: list["Finding"], cluster: "Cluster", *, as_json: bool) -> None:
    """What a sweep found."""
    if as_json:
        facts = [{"kind": f.kind, "name": f.name, "detail": f.detail, "removable": f.removable} for f in found]
        return print(json.dumps(facts, indent=2))
    if not found:
        return print(f"Nothing was forgotten in {cluster}.")
    cells = [(f.kind, f.name, f.detail, "yes" if f.removable else "no") for f in found]
    return table(("KIND", "NAME", "DETAIL", "REMOVABLE"), cells)


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Columns with two spaces between them; colour only where a person watches and NO_COLOR is unset."""
    from rich.console import Console
    from rich.table import Table

    plain = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in header:
        plain.add_column(title, overflow="fold", no_wrap=title not in WORDS)
    for row in rows:
        plain.add_row(*row)
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    terminal = False if os.environ.get("NO_COLOR") else None  # None: whatever stdout is; rich would still print bold
    console = Console(width=width, force_terminal=terminal, markup=False, highlight=False, emoji=False)
    with console.capture() as lines:
        console.print(plain)
    print(github.plain("\n".join(line.rstrip() for line in lines.get().splitlines())))


def _schedule(spec: dict[str, Any]) -> str:
    zone = spec.get("timeZone") or spec.get("time_zone")
    return f"{spec['schedule']}{f' {zone}' if zone else ''}"


def _suspended(job: dict[str, Any], paused: bool) -> bool:
    return paused or bool(job["spec"].get("suspend"))


def _main(version: str | None) -> str:
    return f"v{version} of main" if version else "nothing on main (a new dataset)"
