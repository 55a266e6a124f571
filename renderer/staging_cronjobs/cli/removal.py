"""The commands that take staged versions away, or stop them for production: `cleanup`, `guard` and `sweep`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Refused, StagingError, Superseded, Unfinished, Usage, to_finish
from ..model.command_line import staging
from ..output import github
from ..output.github import shown
from ..output.printing import say, show, show_text
from .control import follow, warn_of
from .options import (
    DatasetId,
    KeepMonitors,
    KubeContext,
    Namespace,
    Output,
    OutputOption,
    SentryToken,
    Version,
    Yes,
    place_for,
    settings_for,
    target,
    token_from,
)
from .prompt import confirm
from .reporting import reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..external.cluster import Cluster
    from ..external.main_settings import Place
    from ..model.staged_version import StagedVersion
    from ..verbs.guard import Paused

app = typer.Typer()


@app.command(name="cleanup")
@reported
def cleanup_command(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Any names: branch, release, CronJob, Job or pod.", show_default=False),
    ] = None,
    branch: Annotated[list[str] | None, typer.Option(help="Branch of a staged version. Repeatable.")] = None,
    dataset_id: DatasetId = "",
    version: Version = "",
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Clean up all staged versions of --dataset-id.")
    ] = False,
    promoted: Annotated[
        bool, typer.Option("--promoted", help="Clean up every staged version that main has now.")
    ] = False,
    yes: Yes = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Suspend the jobs and wait for running Jobs to finish.")
    ] = False,
    drain_limit: Annotated[str, typer.Option(help="How long --drain waits, such as 90m.")] = "1h",
    keep_branch: Annotated[bool, typer.Option("--keep-branch", help="Do not delete the branch.")] = False,
    branch_deleted: Annotated[
        bool,
        typer.Option(
            "--branch-deleted",
            help="For branch-delete events: exit 6 if the branch exists again or no release remains.",
        ),
    ] = False,
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Delete a staged version: branch, Helm release, Sentry monitors. Shows a plan and asks first. Stores stay."""
    from ..external import cluster as clusters
    from ..model import names_given
    from ..model.settings import seconds
    from ..model.staged_version import StagedVersion
    from ..verbs import cleanup, lookup

    limit = seconds(drain_limit, "--drain-limit") if drain else 0
    checked, named = [names_given.checked(word) for word in name or ()], branch or []
    if checked and (dataset_id or version):
        raise Usage("NAME names staged versions already. Leave out --dataset-id, --version and --all-versions")
    if promoted and (checked or named or dataset_id or version or all_versions):
        raise Usage("--promoted finds the versions itself. Leave the other options that name some out.")
    if all_versions and (not dataset_id or version or named):
        raise Usage("--all-versions goes with --dataset-id alone")
    # What is no name ends it before anything is asked.
    wanted = [] if dataset_id or version else [StagedVersion.from_branch(one) for one in named]
    if not (wanted or checked or all_versions or promoted):
        wanted = [target("".join(named), dataset_id, version)]
    place = place_for(namespace, kube_context)
    cluster, problems = clusters.connect(place.settings), []
    if promoted:
        wanted, problems = cleanup.promoted(place, cluster, say)
    elif all_versions:
        wanted = cleanup.all_versions(cluster, dataset_id)
    elif checked:
        wanted += [staged for staged, _ in lookup.find(cluster, checked)]
    if not wanted:
        return show(f"{none_promoted(cluster, problems)} Nothing to clean up.")
    return clean_up(place, cluster, wanted, yes, sentry_token, limit, keep_branch, keep_monitors, branch_deleted)


@app.command(name="guard")
@reported
def guard_command(
    pause: Annotated[
        bool, typer.Option("--pause", help="Suspend the jobs that would write too, and wait for running Jobs.")
    ] = False,
    warn: Annotated[bool, typer.Option("--warn", help="Only warn: exit 0.")] = False,
    wait: Annotated[str, typer.Option(help="How long --pause waits for running Jobs, such as 90m.")] = "30m",
    stop: Annotated[bool, typer.Option("--stop", help="After that time, delete the Jobs that still run.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail also when the check itself fails. Without it, that is a warning.")
    ] = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Check that no staged version still writes what production will write. Run it before production's deploy."""
    from ..external import cluster as clusters
    from ..model.settings import seconds
    from ..output import terminal
    from ..verbs import guard

    limit = seconds(wait, "--wait")
    if (warn and pause) or (stop and not pause):
        raise Usage("--warn and --pause exclude each other, and --stop needs --pause. Choose one way.")
    try:
        settings = settings_for(namespace, kube_context)
        cluster = clusters.connect(settings)
        found = guard.look(settings, cluster)
        if found.problems and strict:
            raise Refused(f"{found.problems[0].removesuffix('.')}. Nothing was changed.")
    except StagingError as error:
        if strict:
            raise
        return github.annotate("warning", f"The guard did not work, so two writers are possible. {error}")
    for problem in found.problems:
        github.annotate("warning", problem)
    if pause and found.active:
        paused = guard.pause(cluster, found.active, limit, say, stop=stop)
        if paused.releases:
            followed = follow(settings, "", [release.values for release in paused.releases], enabled=False)
            terminal.monitors(followed)
            warn_of(followed)
        stop_writers(paused, wait, strict=strict, stop=stop)
    if found.active and not (warn or pause):
        raise Refused(
            f"{'; '.join(map(str, found.active))}. Two writers would damage {', '.join(found.stores)}. Run "
            f"`{staging('guard', '--pause')}` or `{staging('cleanup', '--promoted')}` before production is deployed."
        )
    for conflict in found.conflicts:
        kind = "warning" if warn and conflict.active else "notice"
        done = ". It is paused now" if pause and conflict.active else ""
        github.annotate(kind, f"{conflict}{done}. To remove it: {staging('cleanup', '--promoted')}")
    if not found.conflicts:
        show(none_promoted(cluster, found.problems))
    return None


def stop_writers(paused: "Paused", wait: str, *, strict: bool, stop: bool) -> None:
    """Say what a guard's pause could not do. Raises `Unfinished` for what may still write."""
    for problem in paused.unrecorded:
        github.annotate("warning", problem)
    if paused.failed:
        raise Unfinished(
            f"{'; '.join(paused.failed)}. Do not deploy production before that is mended: two writers would damage the "
            f"stores. Then run the same command again."
        )
    if paused.running:
        more = "They are being deleted. Run the same command again" if stop else "Run it again, or pass --stop"
        raise Unfinished(
            f"The staged jobs are suspended, but {', '.join(paused.running)} still run after {wait}, and write the "
            f"stores that production would write. {more}."
        )
    if paused.unrecorded and strict:
        raise Unfinished(to_finish(paused.unrecorded[0]))


def none_promoted(cluster: "Cluster", problems: "Sequence[str]") -> str:
    """That main has no staged version, as far as that could be found out."""
    if problems:
        return f"None of the staged versions that can be compared has a version that main has too, in {cluster}."
    return f"No staged version in {cluster} has a version that main has too."


@app.command(name="sweep")
@reported
def sweep_command(
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is safe to delete. Without it, only report.")] = False,
    limit: Annotated[int, typer.Option("--max", min=1, help="Delete at most this many in one run.")] = 5,
    grace: Annotated[str, typer.Option(help="Keep what changed within this time, such as 90m.")] = "1h",
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Find staged versions that were not cleaned up. With --yes, delete what is safe to delete."""
    from ..external import cluster as clusters
    from ..external import sentry
    from ..model.settings import seconds
    from ..output import terminal
    from ..verbs import sweep

    place, token = place_for(namespace, kube_context), token_from(sentry_token)
    cluster = clusters.connect(place.settings)
    project = None if keep_monitors else sentry.connect(place.settings, token)
    found = sweep.look(place, cluster, project, grace=seconds(grace, "--grace"))
    terminal.findings(found, cluster, as_json=output is Output.json)
    github.summarise_shown("Sweep", lambda: terminal.findings(found, cluster, as_json=False))
    if yes:
        said: list[str] = []

        def tell(line: str) -> None:
            said.append(line)
            say(line)

        def fail(line: str) -> None:
            said.append(f"error: {line}")
            github.annotate("error", line)

        try:
            sweep.remove(place, cluster, found, token, keep_monitors=keep_monitors, limit=limit, say=tell, fail=fail)
        finally:
            github.summarise_shown("What was removed", lambda: show_text("\n".join(said) or "nothing"))
    elif count := sum(finding.removable for finding in found):
        github.annotate("warning", f"{count} can be deleted. Run `{staging('sweep', '--yes')}`")


def clean_up(
    place: "Place",
    cluster: "Cluster",
    wanted: "Sequence[StagedVersion]",
    yes: bool,
    sentry_token: str = "",
    drain: float = 0,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> None:
    """Show the plan of a cleanup, ask, carry it out, and show what is gone.

    Raises what is in the way of one version; of several `Unfinished`, and a newer push of one is no failure.
    """
    from ..output import terminal
    from ..verbs import cleanup

    kept = {"keep_branch": keep_branch, "keep_monitors": keep_monitors, "branch_deleted": branch_deleted}
    plans = cleanup.plan(place, cluster, [*dict.fromkeys(wanted)], token_from(sentry_token), **kept)
    failed = {staged.release: plan for staged, plan in plans.items() if isinstance(plan, StagingError)}
    if len(plans) > 1 or not failed:
        terminal.plans(plans, cluster, say, drain=bool(drain))
        confirm(yes)
        failed |= cleanup.run([plan for plan in plans.values() if isinstance(plan, cleanup.Plan)], say, drain=drain)
    if len(plans) == 1 and failed:
        raise next(iter(failed.values()))
    if len(plans) > 1:
        for staged in plans:
            problem = failed.get(staged.release)
            say(f"{staged.branch}: {f'exit code {problem.exit_code}: {problem}' if problem else 'done'}")
    gone = [plan for plan in plans.values() if isinstance(plan, cleanup.Plan) and plan.release.name not in failed]
    if gone:
        against = cleanup.against_deleting(place, gone)
        shown("Cleanup", lambda: terminal.cleaned(gone, against))
    if count := sum(not isinstance(problem, Superseded) for problem in failed.values()):
        raise Unfinished(f"{count} of {len(plans)} staged versions are not cleaned up: see above, and run this again")
