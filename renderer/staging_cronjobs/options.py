"""The options that commands share, each said once."""

from enum import StrEnum
from typing import Annotated

import typer


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
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Default: the setting, else the kubeconfig's.")]
KubeContext = Annotated[str, typer.Option(help="Default: the setting, else the kubeconfig's.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")]
SentryToken = Annotated[
    str, typer.Option(help="Less safe than SENTRY_AUTH_TOKEN: the machine's other users can read a command line.")
]
Yes = Annotated[bool, typer.Option("--yes", "--force", help="Do not ask; a program must pass this.")]
KeepMonitors = Annotated[bool, typer.Option("--keep-monitors", help="Leave Sentry and its monitors alone.")]
