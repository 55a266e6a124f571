"""The commands of an operator: what runs, pause and resume, and taking it away."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Usage
from ..output import github
from ..output.github import shown
from ..output.printing import say, show_text
from .exits import reported
from .options import (
    Branch,
    DatasetId,
    KeepMonitors,
    KubeContext,
    Name,
    Namespace,
    Output,
    OutputOption,
    SentryToken,
    Version,
    Yes,
    cluster_of_main,
    meant,
    settings_for,
    settings_of_main,
    target,
    token_from,
)
from .prompt import confirm

if TYPE_CHECKING:
    from ..model.settings import Settings
    from ..model.staged_version import StagedVersion
    from .options import Find

app = typer.Typer()


@app.command(name="list")
@reported
def list_command(
    namespace: Namespace = "", kube_context: KubeContext = "", output: OutputOption = Output.table
) -> None:
    """List the staged versions in the namespace."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import inventory

    cluster = clusters.connect(settings_for(namespace, kube_context))
    terminal.releases(inventory.rows(cluster), cluster, as_json=output is Output.json)


@app.command(name="timeline")
@reported
def timeline_command(
    dataset_id: Annotated[str, typer.Option(help="Only the jobs of this dataset.")] = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Show when the jobs of production and of staged versions fire in the next 24 hours."""
    from datetime import UTC, datetime

    from ..external import cluster as clusters
    from ..output.timeline import timeline as show_timeline
    from ..verbs import timeline

    settings = settings_for(namespace, kube_context)
    cluster = clusters.connect(settings)
    found = timeline.look(cluster, settings, dataset_id, datetime.now(UTC))
    show_timeline(found, cluster, as_json=output is Output.json)


@app.command()
@reported
def pause(
    name: Name = "",
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Suspend the jobs of a staged version until `staging resume`. Later deploys keep them suspended."""
    set_suspend(meant(name, branch, dataset_id, version), cluster_of_main(namespace, kube_context), True)


@app.command()
@reported
def resume(
    name: Name = "",
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Let the jobs of a paused version run again. A run that was missed starts at once."""
    set_suspend(meant(name, branch, dataset_id, version), cluster_of_main(namespace, kube_context), False)


@app.command()
@reported
def run(
    name: Name = "",
    key: Annotated[str, typer.Option(help="Key of the job, such as update. Needless if NAME is a job's.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Run it even while another Job of it runs.")] = False,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Start one job of a staged version now. It runs even while the version is paused."""
    run_job(meant(name, branch, dataset_id, version), cluster_of_main(namespace, kube_context), key, anyway)


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
    from ..model.settings import seconds
    from ..model.staged_version import checked_name
    from ..verbs import naming

    limit = seconds(drain_limit, "--drain-limit") if drain else 0
    checked, named = [checked_name(word) for word in name or ()], branch or []
    if checked and (dataset_id or version):
        raise Usage("NAME names staged versions already. Leave out --dataset-id, --version and --all-versions")
    if not (checked or all_versions or len(named) > 1):
        target("".join(named), dataset_id, version)  # what is no name ends it before anything is asked
    settings = settings_of_main(namespace, kube_context)
    if checked:
        found = naming.find(clusters.connect(settings), checked)
        named = [*dict.fromkeys((*named, *(staged.branch for staged, _ in found)))]
    if all_versions or len(named) > 1:
        from ..output import terminal
        from ..verbs import cleanup

        found = cleanup.targets(settings, named, dataset_id, version, all_versions)
        flags = [f"--drain-limit={drain_limit}"] if drain else []
        flags += [flag for flag, wanted in (("--drain", drain), ("--keep-branch", keep_branch)) if wanted]
        flags += ["--branch-deleted"] if branch_deleted else []
        flags += ["--keep-monitors"] if keep_monitors else []
        terminal.plan_of_many(found, say)
        confirm(yes)
        return cleanup.run_many(found, flags, token_from(sentry_token), say, show_text)
    staged = target("".join(named), dataset_id, version)
    cleanup_version(settings, staged, yes, sentry_token, limit, keep_branch, keep_monitors, branch_deleted)
    return None


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

    settings, token = settings_of_main(namespace, kube_context), token_from(sentry_token)
    cluster = clusters.connect(settings)
    project = None if keep_monitors else sentry.connect(settings, token)
    found = sweep.look(settings, cluster, project, grace=seconds(grace, "--grace"))
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
            sweep.remove(settings, cluster, found, token, keep_monitors=keep_monitors, limit=limit, say=tell, fail=fail)
        finally:
            github.summarise_shown("What was removed", lambda: show_text("\n".join(said) or "nothing"))
    elif count := sum(finding.removable for finding in found):
        github.annotate("warning", f"{count} can be deleted. Run `staging sweep --yes`")


def set_suspend(find: "Find", settings: "Settings", suspend: bool) -> None:
    """Pause or resume, and show what was done."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import control

    cluster = clusters.connect(settings)
    release, strayed, changed = control.set_suspend(cluster, find(cluster)[0], suspend, say)
    shown(
        "Pause" if suspend else "Resume",
        lambda: terminal.suspended(cluster, release, strayed, changed, suspend=suspend),
    )


def run_job(find: "Find", settings: "Settings", key: str, anyway: bool) -> None:
    """Start a Job now, and show which. Raises `Usage` when no job is named, or two are."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import control

    cluster = clusters.connect(settings)
    staged, named = find(cluster)
    if not (key or named):
        raise Usage("name the job: give its --key, or the name of its CronJob, Job or pod")
    if key and named and key != named:
        raise Usage(f"the name is one of job {named!r}, and --key is {key!r}. Give one of them")
    name, job = control.run_job(cluster, staged, key or named, anyway=anyway)
    shown("Run", lambda: terminal.started(cluster, name, job))


def cleanup_version(
    settings: "Settings",
    staged: "StagedVersion",
    yes: bool,
    sentry_token: str = "",
    drain: float = 0,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> None:
    """Show the plan of a cleanup, ask, carry it out, and show what is gone."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import cleanup

    kept = {"keep_branch": keep_branch, "keep_monitors": keep_monitors, "branch_deleted": branch_deleted}
    plan = cleanup.plan(settings, clusters.connect(settings), staged, token_from(sentry_token), **kept)
    terminal.plan(plan, say)
    confirm(yes)
    cleanup.run(plan, say, drain=drain)
    shown("Cleanup", lambda: terminal.cleaned(plan))
