"""The commands that show what is staged, and how it stands."""

from typing import Annotated

import typer

from ..errors import Outside, Refused
from ..output import github
from ..output.printing import say, show, show_text
from .options import (
    Branch,
    DatasetId,
    KubeContext,
    ListOutput,
    Name,
    Namespace,
    Output,
    OutputOption,
    SentryToken,
    StatusOutput,
    Version,
    cluster_of_main,
    meant,
    meant_name,
    place_for,
    settings_for,
    token_from,
)
from .reporting import reported

app = typer.Typer()
CHECK = "Exit 3 when something is wrong or unknown. The branch and main of another repository's release do not count."


@app.command(name="list")
@reported
def list_command(
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="In all namespaces, whatever --namespace says.")
    ] = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: Annotated[
        ListOutput,
        typer.Option("--output", "-o", help="Print a table; wide, with release, repository and image; or JSON."),
    ] = ListOutput.table,
) -> None:
    """List the jobs of the staged versions in the namespace, with their last and next runs."""
    from dataclasses import replace
    from datetime import UTC, datetime
    from functools import partial

    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import listing

    cluster = replace(clusters.connect(settings_for(namespace, kube_context)), everywhere=everywhere)
    wide, as_json = output is ListOutput.wide, output is ListOutput.json
    rows = listing.rows(cluster)
    show_rows = partial(terminal.releases, rows, cluster, datetime.now(UTC), wide=wide, as_json=as_json)
    if as_json:
        return show_rows()

    def summary() -> None:
        show_rows()
        terminal.beside(rows, show)

    show_rows()
    terminal.beside(rows, say)
    return github.summarise_shown("Staged versions", summary)


@app.command(name="status")
@reported
def status_command(
    name: Name = "",
    check: Annotated[bool, typer.Option("--check", help=CHECK)] = False,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: Annotated[
        StatusOutput, typer.Option("--output", "-o", help="Print for a terminal, as JSON, or as Markdown.")
    ] = StatusOutput.table,
) -> None:
    """Show how each staged version and its jobs stand, what is wrong, and the commands that mend it."""
    from datetime import UTC, datetime

    from ..external import cluster as clusters
    from ..external import sentry
    from ..output import status as shown_status
    from ..verbs import status

    wanted, token = meant_name(name, branch, dataset_id, version), token_from(sentry_token)
    place = place_for(namespace, kube_context)
    project = sentry.connect(place.settings, token) if token else None
    found = status.look(place, clusters.connect(place.settings), project, datetime.now(UTC), wanted)
    if output is StatusOutput.json:
        shown_status.as_json(found)
    elif output is StatusOutput.markdown:
        show_text(shown_status.as_markdown(found))
    else:
        shown_status.as_table(found)
    github.summarise(lambda: shown_status.as_markdown(found))
    if check and found.wrong:
        raise Refused("something is wrong or unknown: see above")


@app.command(name="logs")
@reported
def logs_command(
    name: Name = "",
    key: Annotated[str, typer.Option(help="Key of the job, such as update. Needless if NAME is a job's.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="The last Job that failed, or does not start.")] = False,
    tail: Annotated[int, typer.Option(min=1, help="How many lines of the log.")] = 50,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Show the end of the log of the last Job, and why it failed."""
    from datetime import UTC, datetime

    from ..external import cluster as clusters
    from ..model import names_given
    from ..output import terminal
    from ..verbs import logs

    find = meant(name, branch, dataset_id, version)
    cluster, now = clusters.connect(cluster_of_main(namespace, kube_context)), datetime.now(UTC)
    staged, named = find(cluster)
    one = names_given.checked(name) if name else ""
    found = logs.last(cluster, staged, key or named, one, now, failed=failed, tail=tail)
    terminal.log(found, cluster, now, say)
    if found.problem:
        raise Outside(f"{cluster}: kubectl could not read the log of pod {found.pod}: {found.problem}")


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
