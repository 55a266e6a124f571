"""The `staging` command, and what it does for a project. Heavy modules are imported by the command that needs them."""

import gc
import sys
from typing import Annotated

import typer

from . import calls, operating
from .errors import Refused
from .mounted import mount
from .options import (
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
)

__all__ = ["app", "main", "mount"]

app = typer.Typer(
    name="staging",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def program(
    version: Annotated[bool, typer.Option("--version", help="Print this program's version.", is_eager=True)] = False,
) -> None:
    """Run several versions of one dataset side by side on Kubernetes."""
    if version:
        from . import __version__

        print(__version__)
        raise typer.Exit


@app.command()
@calls.reported
def name(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    key: Annotated[str, typer.Option(help="Print this job's name instead of the release's.")] = "",
    workers: Annotated[int, typer.Option(help="Indexed workers of that job: over 1,000 shorten its name.")] = 1,
) -> None:
    """Print the release's name, or with --key a job's. One line, nothing else."""
    staged = calls.target(branch, dataset_id, version)
    print(staged.job_name(key, workers) if key else staged.release)


@app.command(name="catalogue")
@calls.reported
def print_catalogue(datasets: Datasets = None, docker_image: Image = "example.registry/image:tag") -> None:
    """Print what the project's dataset objects give, as JSON."""
    from . import catalogue

    print(catalogue.dump(calls.datasets_from(datasets, calls.settings_for(), docker_image)("")))


@app.command()
@calls.reported
def check(datasets: Datasets = None, output: OutputOption = Output.table) -> None:
    """Prove that the catalogue can be staged, at its present and next versions: names, collisions, reasons."""
    from . import checks, display, predecessors

    settings = calls.settings_for()
    catalogue = calls.datasets_from(datasets, settings, "example.registry/image:tag")("")
    verdicts = checks.prove(catalogue, settings, predecessors.look(catalogue, settings, calls.say))
    display.verdicts(verdicts, as_json=output is Output.json)
    if problems := [v for v in verdicts if v.problem]:
        raise Refused(f"{problems[0].dataset_id} v{problems[0].version} cannot be staged: {problems[0].problem}")


@app.command()
@calls.reported
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
    from . import deploy, values

    staged, settings = calls.target(branch, dataset_id, version), calls.settings_for(namespace)
    load = calls.datasets_from(datasets, settings, docker_image)
    print(values.dump(deploy.render(settings, staged, docker_image, load, paused=paused, skip=skip_job or ())), end="")


@app.command(name="deploy")
@calls.reported
def deploy_command(
    docker_image: Image,
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    datasets: Datasets = None,
    skip_job: SkipJob = None,
    paused: Paused = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Check everything, then deploy the staged version as a Helm release."""
    settings = calls.settings_for(namespace, kube_context)
    staged = calls.target(branch, dataset_id, version)
    calls.deploy_version(
        settings, staged, docker_image, calls.datasets_from(datasets, settings, docker_image), paused, skip_job, output
    )


@app.command(name="init")
@calls.reported
def init_command(
    environment: Annotated[
        str, typer.Option(help="A GitHub environment that exists. Default: the workflows' own, else staging.")
    ] = "",
    datasets: Datasets = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing or out of date.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a file that exists is changed.")] = False,
) -> None:
    """Write the GitHub workflows and settings into this repository, and say what to set on GitHub."""
    from . import init

    own, wanted = calls.settings_for(), (environment, datasets or ())
    project = init.look(own, *wanted)
    if not check:
        init.install(project, calls.say, lambda question: calls.ask(question, yes))
        project = init.look(own, *wanted)
        print(init.to_set(project))
    if not (lacking := init.missing(project)):
        return calls.say("Nothing is missing in this repository, and all of it is up to date.")
    for line in lacking:
        print(f"still to do: {line}", file=sys.stdout if check else sys.stderr)
    if check:
        raise Refused("this repository is not ready; `staging init` writes the workflows and the settings")
    return None


app.add_typer(operating.app)


def main() -> None:
    """The console script."""
    gc.set_threshold(50_000)  # a sixth of a short run was spent on looking for garbage, half of that at its end
    try:
        app()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
