"""The options that commands share, each said once, and what they name."""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Usage
from ..output.terminal import say

if TYPE_CHECKING:
    from ..model.catalogue import Dataset
    from ..model.settings import Settings
    from ..model.staged_version import StagedVersion


class Output(StrEnum):
    """What `-o` takes."""

    table = "table"
    json = "json"


Branch = Annotated[str, typer.Option(help="The staged version's branch, stage/<dataset id>/v<version>.")]
DatasetId = Annotated[str, typer.Option(help="The dataset's id; with --version it names the staged version.")]
Version = Annotated[str, typer.Option(help="The staged version, such as 0.3.0.")]
Image = Annotated[str, typer.Option(help="The image that the jobs run, with its tag.")]
Datasets = Annotated[
    list[str] | None,
    typer.Option(help="package.module:ATTRIBUTE, a catalogue file, or -; may be repeated. Default: the setting."),
]
SkipJob = Annotated[list[str] | None, typer.Option(help="Leave out the job with this key; may be repeated.")]
Paused = Annotated[bool, typer.Option("--paused", help="Deploy with every job suspended, until `staging resume`.")]
AllowDirty = Annotated[
    bool, typer.Option("--allow-dirty", help="Deploy changes that are not committed; the release records `-dirty`.")
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Default: the setting, else the kubeconfig's.")]
KubeContext = Annotated[str, typer.Option(help="Default: the setting, else the kubeconfig's.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")]
SentryToken = Annotated[
    str, typer.Option(help="Less safe than SENTRY_AUTH_TOKEN: the machine's other users can read a command line.")
]
Yes = Annotated[bool, typer.Option("--yes", "--force", help="Do not ask; a program must pass this.")]
KeepMonitors = Annotated[bool, typer.Option("--keep-monitors", help="Leave Sentry and its monitors alone.")]


def target(branch: str, dataset_id: str, version: str) -> "StagedVersion":
    """The staged version that the options name. Raises `Usage` when they name none, or two."""
    from ..model.staged_version import StagedVersion

    if branch and not (dataset_id or version):
        return StagedVersion.from_branch(branch)
    if dataset_id and version and not branch:
        return StagedVersion(dataset_id, version)
    raise Usage("name one staged version: --branch stage/<id>/v<version>, or --dataset-id with --version")


def settings_for(namespace: str = "", kube_context: str = "") -> "Settings":
    """The project's settings, with the options over them."""
    from ..model import settings

    return settings.given(settings.load(), namespace=namespace, kube_context=kube_context)


def settings_of_main(namespace: str = "", kube_context: str = "") -> "Settings":
    """The same for work on a release, with main's word on where things are: a stage branch may be checked out."""
    from ..external import git

    return git.place(settings_for(namespace, kube_context), say)


def cluster_of_main(namespace: str = "", kube_context: str = "") -> "Settings":
    """The same for what needs the cluster alone: where both of it are given, main need not be asked."""
    own = settings_for(namespace, kube_context)
    return own if {"namespace", "kube_context"} <= own.given else settings_of_main(namespace, kube_context)


def datasets_from(sources: list[str] | None, settings: "Settings", image: str) -> "Callable[[str], list[Dataset]]":
    """How to get the catalogue with the jobs of one dataset, or of all for an empty id."""
    from ..external import user_code

    named = sources or user_code.in_project(settings)
    return lambda only: user_code.read(named, settings, image, only)


def token_from(given: str) -> str:
    """The Sentry token: the one given, else of the environment."""
    return given or os.environ.get("SENTRY_AUTH_TOKEN", "")


def flags_for(namespace: str, kube_context: str) -> list[str]:
    """The flags that lead another `staging` to the same place."""
    named = (("--namespace", namespace), ("--kube-context", kube_context))
    return [f"{flag}={value}" for flag, value in named if value]
