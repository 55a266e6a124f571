"""The options that commands share."""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import StagingError, Usage
from ..output.printing import say

if TYPE_CHECKING:
    from ..external.cluster import Cluster
    from ..external.main_settings import Place
    from ..model.catalogue import Dataset
    from ..model.settings import Settings
    from ..model.staged_version import StagedVersion

    Find = Callable[[Cluster], tuple[StagedVersion, str]]  # the key is empty where the name is not one job's


class Output(StrEnum):
    """What `-o` takes."""

    table = "table"
    json = "json"


class ListOutput(StrEnum):
    """What `-o` of `staging list` takes."""

    table = "table"
    wide = "wide"
    json = "json"


class StatusOutput(StrEnum):
    """What `-o` of `staging status` takes."""

    table = "table"
    json = "json"
    markdown = "markdown"


Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Any name of it: branch, release, CronJob, Job or pod.", show_default=False),
]
Branch = Annotated[str, typer.Option(help="Branch of the staged version: stage/<dataset id>/v<version>.")]
DatasetId = Annotated[str, typer.Option(help="Id of the dataset. Goes with --version.")]
Version = Annotated[str, typer.Option(help="Version of the dataset, such as 0.3.0.")]
Image = Annotated[str, typer.Option(help="Image that the jobs run, with its tag.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="Key of a job, such as update, to pause or resume it alone. Repeatable."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(help="package.module:ATTRIBUTE, a catalogue file, or - for stdin. Repeatable. Default: the setting."),
]
SkipJob = Annotated[list[str] | None, typer.Option(help="Key of a job to leave out. Repeatable.")]
Paused = Annotated[bool, typer.Option("--paused", help="Suspend all jobs until somebody resumes them.")]
AllowDirty = Annotated[
    bool, typer.Option("--allow-dirty", help="Deploy changes that are not committed. The release records `-dirty`.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Make every check and show what would change. Change nothing.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Default: the setting, else as in the kubeconfig.")]
KubeContext = Annotated[
    str, typer.Option("--kube-context", "--context", help="Default: the setting, else the current one.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Print a table, or JSON for programs.")]
SentryToken = Annotated[
    str, typer.Option(help="Prefer the variable SENTRY_AUTH_TOKEN: other users of this machine can see a command line.")
]
Yes = Annotated[bool, typer.Option("--yes", "--force", help="Do not ask. Required when not run in a terminal.")]
KeepMonitors = Annotated[bool, typer.Option("--keep-monitors", help="Do not touch the Sentry monitors.")]


def target(branch: str, dataset_id: str, version: str) -> "StagedVersion":
    """The staged version that the options name. Raises `Usage` when they name none, or two."""
    from ..model.staged_version import StagedVersion

    if branch and not (dataset_id or version):
        return StagedVersion.from_branch(branch)
    if dataset_id and version and not branch:
        return StagedVersion(dataset_id, version)
    raise Usage("name one staged version. Pass --branch stage/<id>/v<version>, or --dataset-id with --version")


def meant(name: str, branch: str, dataset_id: str, version: str) -> "Find":
    """Who finds, in a cluster, the staged version that is named in any way, and the key of the job if it is a job's.

    Raises `Usage` at once for what cannot be a name, or when several ways are used.
    """
    from ..verbs import lookup

    if not (name or branch or dataset_id or version):
        raise Usage(
            "name one staged version: any name of it (branch, release, CronJob, Job or pod), --branch, or --dataset-id "
            "with --version"
        )
    if not name:
        staged = target(branch, dataset_id, version)
        return lambda _: (staged, "")
    checked = meant_name(name, branch, dataset_id, version)
    return lambda cluster: lookup.find(cluster, [checked])[0]


def meant_name(name: str, branch: str, dataset_id: str, version: str) -> str:
    """One checked name of the staged version that is named in any way; empty when none is."""
    from ..model import names_given

    if name and (branch or dataset_id or version):
        raise Usage(f"{name!r} names the staged version already. Leave out --branch, --dataset-id and --version")
    if branch or dataset_id or version:
        return target(branch, dataset_id, version).branch
    return names_given.checked(name) if name else ""


def settings_for(namespace: str = "", kube_context: str = "") -> "Settings":
    """The project's settings, with the options over them."""
    from ..model import settings

    return settings.given(settings.load(), namespace=namespace, kube_context=kube_context)


def place_for(namespace: str = "", kube_context: str = "") -> "Place":
    """The same for work on a release, with main's word on where things are: a stage branch may be checked out."""
    from ..external import main_settings

    return main_settings.placed(settings_for(namespace, kube_context), say)


def cluster_of_main(namespace: str = "", kube_context: str = "") -> "Settings":
    """The same for what needs the cluster alone: where both of it are given, main need not be asked."""
    from ..external import main_settings

    own = settings_for(namespace, kube_context)
    return own if {"namespace", "kube_context"} <= own.given else main_settings.placed(own, say).settings


def place_of_main(namespace: str = "", kube_context: str = "") -> "Place":
    """The same with the checkout, whose main tells whether production runs a version by now.

    Where both of the place are given, a main that cannot be read does not stop the command, and is told.
    """
    from ..external import main_settings

    own = settings_for(namespace, kube_context)
    if not {"namespace", "kube_context"} <= own.given:
        return main_settings.placed(own, say)
    return _place_of_main(own)


def confirmed(own: "Settings") -> "Settings":
    """The settings by which a token goes to Sentry: main's word, else nobody's. No failure ends the command."""
    from ..model.settings import PLACE

    return own if own.given >= PLACE else _place_of_main(own).settings


def _place_of_main(own: "Settings") -> "Place":
    from ..external import main_settings
    from ..model.settings import without_main

    try:
        return main_settings.placed(own, say)
    except StagingError as error:
        say(f"notice: what main says is unknown. {error}")
        return main_settings.Place(without_main(own), None, str(error))


def datasets_from(sources: list[str] | None, settings: "Settings", image: str) -> "Callable[[str], list[Dataset]]":
    """How to get the catalogue with the jobs of one dataset, or of all for an empty id."""
    from ..external import user_code

    named = sources or user_code.in_project(settings)
    return lambda only: user_code.read(named, settings, image, only)


def token_from(given: str) -> str:
    """The Sentry token: the one given, else of the environment."""
    return given or os.environ.get("SENTRY_AUTH_TOKEN", "")
