"""What `staging` does for a project: names, the catalogue, values, a deploy, and setting a repository up."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Refused
from ..output import github
from ..output.terminal import say
from .exits import reported
from .options import (
    AllowDirty,
    Branch,
    DatasetId,
    Datasets,
    Image,
    KubeContext,
    Namespace,
    Output,
    OutputOption,
    Paused,
    SkipJob,
    Version,
    datasets_from,
    settings_for,
    target,
)
from .prompt import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.catalogue import Dataset
    from ..model.settings import Settings
    from ..model.staged_version import StagedVersion

app = typer.Typer()


@app.command()
@reported
def name(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    key: Annotated[str, typer.Option(help="Print this job's name instead of the release's.")] = "",
    workers: Annotated[int, typer.Option(help="Indexed workers of that job: over 1,000 shorten its name.")] = 1,
) -> None:
    """Print the release's name, or with --key a job's. One line, nothing else."""
    staged = target(branch, dataset_id, version)
    print(staged.job_name(key, workers) if key else staged.release)


@app.command(name="catalogue")
@reported
def print_catalogue(datasets: Datasets = None, docker_image: Image = "example.registry/image:tag") -> None:
    """Print what the project's dataset objects give, as JSON."""
    from ..model import catalogue

    print(catalogue.dump(datasets_from(datasets, settings_for(), docker_image)("")))


@app.command()
@reported
def check(datasets: Datasets = None, output: OutputOption = Output.table) -> None:
    """Prove that the catalogue can be staged, at its present and next versions: names, collisions, reasons."""
    from ..output import terminal
    from ..verbs import proof

    settings = settings_for()
    catalogue = datasets_from(datasets, settings, "example.registry/image:tag")("")
    verdicts = proof.prove(catalogue, settings, proof.predecessors(catalogue, settings, say))
    terminal.verdicts(verdicts, as_json=output is Output.json)
    if problems := [v for v in verdicts if v.problem]:
        raise Refused(f"{problems[0].dataset_id} v{problems[0].version} cannot be staged: {problems[0].problem}")


@app.command()
@reported
def render(
    docker_image: Image,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    datasets: Datasets = None,
    skip_job: SkipJob = None,
    paused: Paused = False,
    namespace: Namespace = "",
) -> None:
    """Print the values file for the chart: no cluster and no remote is asked."""
    from ..model import values
    from ..verbs import deploy

    staged, settings = target(branch, dataset_id, version), settings_for(namespace)
    load = datasets_from(datasets, settings, docker_image)
    print(values.dump(deploy.render(settings, staged, docker_image, load, paused=paused, skip=skip_job or ())), end="")


@app.command(name="deploy")
@reported
def deploy_command(
    docker_image: Image,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    datasets: Datasets = None,
    skip_job: SkipJob = None,
    paused: Paused = False,
    allow_dirty: AllowDirty = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Check everything, then deploy the staged version as a Helm release."""
    settings = settings_for(namespace, kube_context)
    staged = target(branch, dataset_id, version)
    load = datasets_from(datasets, settings, docker_image)
    deploy_version(settings, staged, docker_image, load, paused, skip_job, allow_dirty, output)


@app.command(name="init")
@reported
def init_command(
    environment: Annotated[
        str, typer.Option(help="A GitHub environment that exists. Default: the workflows' own, else staging.")
    ] = "",
    datasets: Datasets = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing or out of date.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a file that exists is changed.")] = False,
) -> None:
    """Write the GitHub workflows and settings into this repository, and say what to set on GitHub."""
    from ..verbs import init

    own, wanted = settings_for(), (environment, datasets or ())
    project = init.look(own, *wanted)
    if not check:
        init.install(project, say, lambda question: ask(question, yes))
        project = init.look(own, *wanted)
        print(init.to_set(project))
    if not (lacking := init.missing(project)):
        return say("Nothing is missing in this repository, and all of it is up to date.")
    for line in lacking:
        print(f"still to do: {line}", file=sys.stdout if check else sys.stderr)
    if check:
        raise Refused("this repository is not ready; `staging init` writes the workflows and the settings")
    return None


def deploy_version(
    settings: "Settings",
    staged: "StagedVersion",
    image: str,
    load: "Callable[[str], list[Dataset]]",
    paused: bool,
    skip: list[str] | None,
    allow_dirty: bool,
    output: Output,
) -> None:
    """Deploy, and show what was done."""
    from datetime import UTC, datetime

    from ..output import markdown, terminal
    from ..verbs import deploy

    skipped = skip or ()
    outcome = deploy.deploy(
        settings, staged, image, load, paused=paused, skip=skipped, allow_dirty=allow_dirty, say=say
    )
    for kind, lines in (("warning", outcome.warnings), ("notice", outcome.notices)):
        for line in lines:
            github.annotate(kind, line)
    github.summarise(lambda: markdown.deployed(outcome, datetime.now(UTC)))
    terminal.deployed(outcome, as_json=output is Output.json)
