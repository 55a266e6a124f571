"""The verbs inside a user's own Typer app, given its dataset objects."""

import functools
from collections.abc import Callable, Iterable

import typer

from ..model import command_line
from . import project, removal
from .options import (
    AllowDirty,
    DatasetId,
    DryRun,
    Image,
    KubeContext,
    Namespace,
    Output,
    Paused,
    SentryToken,
    SkipJob,
    Version,
    Yes,
    place_for,
    settings_for,
    target,
)
from .reporting import reported


def mount(user_app: typer.Typer, datasets: Iterable[object]) -> None:
    """Add `deploy-staging` and `cleanup-staging` to a user's own Typer app, given its dataset objects.

    Raises ValueError when the app has a command of one of these names: nothing is shadowed.
    """
    taken = {c.name or getattr(c.callback, "__name__", "").replace("_", "-") for c in user_app.registered_commands}
    taken |= {group.name or "" for group in user_app.registered_groups}
    if both := taken & {command_line.DEPLOY, command_line.CLEANUP}:
        raise ValueError(f"the app already has a command {min(both)!r}. Rename it, then call mount")
    user_app.command(name=command_line.DEPLOY)(_mounted_deploy(datasets))
    user_app.command(name=command_line.CLEANUP)(mounted_cleanup)


def _mounted_deploy(datasets: Iterable[object]) -> Callable[..., None]:
    @reported
    def deploy_staging(
        context: typer.Context,
        dataset_id: DatasetId,
        version: Version,
        docker_image: Image,
        skip_job: SkipJob = None,
        paused: Paused = False,
        allow_dirty: AllowDirty = False,
        dry_run: DryRun = False,
        namespace: Namespace = "",
        kube_context: KubeContext = "",
    ) -> None:
        """Deploy one version of a dataset beside production, as a Helm release."""
        from ..external import user_code

        staged, settings = target("", dataset_id, version), settings_for(namespace, kube_context)
        load = functools.partial(user_code.from_objects, datasets, docker_image)
        asked = (paused, skip_job, allow_dirty, dry_run)
        with command_line.within(_program(context)):
            project.deploy_version(settings, staged, docker_image, load, *asked, Output.table)

    return deploy_staging


@reported
def mounted_cleanup(
    context: typer.Context,
    dataset_id: DatasetId,
    version: Version,
    yes: Yes = False,
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Delete a staged version: its branch, its release with Jobs and pods, and its Sentry monitors."""
    from ..external import cluster as clusters

    staged = target("", dataset_id, version)
    with command_line.within(_program(context)):
        place = place_for(namespace, kube_context)
        removal.clean_up(place, clusters.connect(place.settings), [staged], yes, sentry_token)


def _program(context: typer.Context) -> str:
    """How the user's own program was called, up to its command."""
    return context.parent.command_path if context.parent else ""
