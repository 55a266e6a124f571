"""The commands of an operator: what runs, pause and resume, and taking it away."""

from typing import Annotated

import typer

from . import actions, calls
from .options import (
    Branch,
    DatasetId,
    KeepMonitors,
    KubeContext,
    Namespace,
    Output,
    OutputOption,
    SentryToken,
    Version,
    Yes,
)

app = typer.Typer()


@app.command()
@calls.reported
def pause(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Suspend every job, also over the next deploys, until `staging resume`."""
    calls.set_suspend(calls.target(branch, dataset_id, version), calls.settings_for(namespace, kube_context), True)


@app.command()
@calls.reported
def resume(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Let a paused version run again. A slot missed meanwhile fires at once."""
    calls.set_suspend(calls.target(branch, dataset_id, version), calls.settings_for(namespace, kube_context), False)


@app.command()
@calls.reported
def run(
    key: Annotated[str, typer.Option(help="The job's key, such as update.")],
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Start a job of a staged version now, paused or not."""
    calls.run_job(calls.target(branch, dataset_id, version), calls.settings_for(namespace, kube_context), key)


@app.command(name="list")
@calls.reported
def list_command(
    namespace: Namespace = "", kube_context: KubeContext = "", output: OutputOption = Output.table
) -> None:
    """Show the staged versions in the namespace, from the cluster alone."""
    from . import cluster as clusters
    from . import display, overview

    cluster = clusters.connect(calls.settings_for(namespace, kube_context))
    display.releases(overview.rows(cluster), cluster, as_json=output is Output.json)


@app.command(name="cleanup")
@calls.reported
def cleanup_command(
    branch: Annotated[list[str] | None, typer.Option(help="A staged version's branch; may be repeated.")] = None,
    dataset_id: DatasetId = "",
    version: Version = "",
    all_versions: Annotated[bool, typer.Option("--all-versions", help="All staged versions of --dataset-id.")] = False,
    yes: Yes = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Pause, and wait for running Jobs instead of stopping them.")
    ] = False,
    drain_limit: Annotated[str, typer.Option(help="How long --drain waits, such as 90m.")] = "1h",
    keep_branch: Annotated[bool, typer.Option("--keep-branch", help="Leave the branch where it is.")] = False,
    branch_deleted: Annotated[
        bool, typer.Option("--branch-deleted", help="For the event: exit 6 if it is there again, or nothing is left.")
    ] = False,
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Take a staged version away, after asking: branch, release with Jobs and pods, Sentry monitors."""
    from .settings import seconds

    settings = calls.settings_for(namespace, kube_context)
    limit = seconds(drain_limit, "--drain-limit") if drain else 0
    if all_versions or len(branch or ()) > 1:
        from . import many

        targets = many.targets(settings, branch or [], dataset_id, version, all_versions)
        flags = [f"--drain-limit={drain_limit}"] if drain else []
        flags += [flag for flag, wanted in (("--drain", drain), ("--keep-branch", keep_branch)) if wanted]
        flags += ["--branch-deleted"] if branch_deleted else []
        flags += ["--keep-monitors"] if keep_monitors else []
        calls.say(f"Cleanup of {len(targets)} staged versions: {', '.join(t.branch for t in targets)}")
        calls.confirm(yes)
        return many.cleanup(
            targets, [*flags, *calls.flags_for(namespace, kube_context)], calls.token_from(sentry_token), calls.say
        )
    staged = calls.target((branch or [""])[0], dataset_id, version)
    calls.cleanup_version(settings, staged, yes, sentry_token, limit, keep_branch, keep_monitors, branch_deleted)
    return None


@app.command(name="sweep")
@calls.reported
def sweep_command(
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove what is provably ours and over; without it only report.")
    ] = False,
    limit: Annotated[int, typer.Option("--max", min=1, help="Remove this many in one run at most.")] = 5,
    grace: Annotated[str, typer.Option(help="Remove nothing that changed within this time.")] = "1h",
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Report what was forgotten; with --yes remove what is provably over."""
    from . import cluster as clusters
    from . import display, monitors, sweep
    from .settings import seconds

    settings, token = calls.settings_for(namespace, kube_context), calls.token_from(sentry_token)
    cluster = clusters.connect(settings)
    sentry = None if keep_monitors else monitors.connect(settings, token)
    found = sweep.look(settings, cluster, sentry, grace=seconds(grace, "--grace"))
    display.findings(found, cluster, as_json=output is Output.json)
    actions.summarise_shown("Sweep", lambda: display.findings(found, cluster, as_json=False))
    if yes:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            calls.say(line)

        def fail(line: str) -> None:
            said.append(f"error: {line}")
            actions.annotate("error", line)

        try:
            sweep.remove(settings, cluster, found, token, keep_monitors=keep_monitors, limit=limit, say=say, fail=fail)
        finally:
            actions.summarise_shown("What was removed", lambda: print("\n".join(said) or "nothing"))
    elif count := sum(finding.removable for finding in found):
        actions.annotate("warning", f"{count} can be removed: `staging sweep --yes` does it")
