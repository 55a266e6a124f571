"""The commands that change a staged version that stays: `pause`, `resume`, `run` and `rollback`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Usage
from ..output import github
from ..output.github import shown
from ..output.printing import say
from .options import (
    Branch,
    DatasetId,
    KeepMonitors,
    Keys,
    KubeContext,
    Name,
    Namespace,
    SentryToken,
    Version,
    cluster_of_main,
    confirmed,
    meant,
    place_of_main,
    token_from,
)
from .reporting import reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..external.main_settings import Place
    from ..model.settings import Settings
    from ..model.values import Values
    from ..verbs.monitors import Followed
    from .options import Find

app = typer.Typer()


@app.command()
@reported
def pause(
    name: Name = "",
    key: Keys = None,
    stop_running: Annotated[
        bool, typer.Option("--stop-running", help="Also delete the Jobs that run, with their pods.")
    ] = False,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Suspend the jobs of a staged version until `staging resume`. Later deploys keep them suspended."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import control

    find = meant(name, branch, dataset_id, version)
    settings = cluster_of_main(namespace, kube_context)
    cluster, keys = clusters.connect(settings), [*dict.fromkeys(key or ())]
    release, differed, changed = control.pause(cluster, find(cluster)[0], say, keys=keys, stop=stop_running)
    jobs = control.running(cluster, release, keys, stop=stop_running)
    followed = follow(settings, sentry_token, [release.values], keys, enabled=False) if not keep_monitors else None

    def tell() -> None:
        terminal.suspended(cluster, release, differed, changed, suspend=True, keys=keys)
        terminal.still_running(release, jobs, stopped=stop_running, keys=keys)
        terminal.monitors(followed)

    shown("Pause", tell)
    warn_of(followed)


@app.command()
@reported
def resume(
    name: Name = "",
    key: Keys = None,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    keep_monitors: KeepMonitors = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Let the jobs of a paused version run again. A run that was missed starts at once."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import control

    find, place = meant(name, branch, dataset_id, version), place_of_main(namespace, kube_context)
    cluster, keys = clusters.connect(place.settings), [*dict.fromkeys(key or ())]
    release, differed, changed = control.resume(place, cluster, find(cluster)[0], say, keys=keys)
    followed = follow(place.settings, sentry_token, [release.values], keys, enabled=True) if not keep_monitors else None

    def tell() -> None:
        terminal.suspended(cluster, release, differed, changed, suspend=False, keys=keys)
        terminal.monitors(followed)

    shown("Resume", tell)
    warn_of(followed)


@app.command()
@reported
def run(
    name: Name = "",
    key: Annotated[str, typer.Option(help="Key of the job, such as update. Needless if NAME is a job's.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Run it even if another Job of it is running.")] = False,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Start one job of a staged version now. It runs even while the version is paused."""
    run_job(meant(name, branch, dataset_id, version), place_of_main(namespace, kube_context), key, anyway)


@app.command(name="rollback")
@reported
def rollback_command(
    name: Name = "",
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Go back to the last other commit that was deployed. What is paused stays paused."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import rollback

    find, place = meant(name, branch, dataset_id, version), place_of_main(namespace, kube_context)
    cluster = clusters.connect(place.settings)
    found = rollback.roll_back(place, cluster, find(cluster)[0], say)
    shown("Rollback", lambda: terminal.rolled_back(found, cluster))


def follow(
    settings: "Settings", sentry_token: str, releases: "Sequence[Values]", keys: "Sequence[str]" = (), *, enabled: bool
) -> "Followed":
    """Disable the monitors of what was paused, or enable those of what was resumed, as far as Sentry lets us.

    Last, because nothing of Sentry's may be in the way of a pause.
    """
    from ..verbs import monitors

    token = token_from(sentry_token)
    return monitors.follow(confirmed(settings) if token else settings, token, releases, enabled=enabled, keys=keys)


def warn_of(followed: "Followed | None") -> None:
    """Say why monitors are as they were."""
    if followed and followed.problem:
        github.annotate(followed.kind, followed.problem)


def run_job(find: "Find", place: "Place", key: str, anyway: bool) -> None:
    """Start a Job now, and show which. Raises `Usage` when no job is named, or two are."""
    from ..external import cluster as clusters
    from ..output import terminal
    from ..verbs import control

    cluster = clusters.connect(place.settings)
    staged, named = find(cluster)
    if not (key or named):
        raise Usage("name the job: give its --key, or the name of its CronJob, Job or pod")
    if key and named and key != named:
        raise Usage(f"the name is one of job {named!r}, and --key is {key!r}. Give one of them")
    name, cronjob = control.run_job(place, cluster, staged, key or named, anyway=anyway)
    shown("Run", lambda: terminal.started(cluster, name, cronjob))
