"""The `staging` command: options, calls, printing. Everything heavy is imported only when a command needs it."""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer

from .errors import Refused, StagingError, Usage

if TYPE_CHECKING:
    from .catalogue import Dataset
    from .settings import Settings
    from .staged_version import StagedVersion

app = typer.Typer(
    name="staging",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

P = ParamSpec("P")


class Output(StrEnum):
    """What `-o` takes."""

    table = "table"
    json = "json"


Branch = Annotated[str, typer.Option(help="The staged version's branch, stage/<dataset id>/v<version>.")]
DatasetId = Annotated[str, typer.Option(help="The dataset's id, with --version instead of --branch.")]
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
Yes = Annotated[bool, typer.Option("--yes", "--force", help="Do not ask; a program must pass this.")]


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected error into one sentence on stderr and its exit code; ^C and SIGTERM into 130."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            signal.signal(signal.SIGTERM, _interrupt)
            command(*args, **kwargs)
        except StagingError as error:
            say(f"error: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("interrupted: run the same command again to finish what had begun")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output left (`| head`): stdout must not be flushed into the closed pipe at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None

    return wrapper


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
@reported
def name(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    key: Annotated[str, typer.Option(help="Print this job's name instead of the release's.")] = "",
    workers: Annotated[int, typer.Option(help="Indexed workers of that job: over 1,000 shorten its name.")] = 1,
) -> None:
    """Print the release's name, or with --key a job's. One line, nothing else."""
    staged = _target(branch, dataset_id, version)
    print(staged.job_name(key, workers) if key else staged.release)


@app.command(name="catalogue")
@reported
def print_catalogue(datasets: Datasets = None, docker_image: Image = "example.registry/image:tag") -> None:
    """Print what the project's dataset objects give, as JSON."""
    from . import catalogue

    print(catalogue.dump(_load(datasets, _settings(), docker_image)("")))


@app.command()
@reported
def check(datasets: Datasets = None, output: OutputOption = Output.table) -> None:
    """Prove the whole catalogue, at its present and next versions: names, collisions, what can be staged."""
    from . import checks, display

    settings = _settings()
    verdicts = checks.prove(_load(datasets, settings, "example.registry/image:tag")(""), settings)
    display.verdicts(verdicts, as_json=output is Output.json)
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
    from . import deploy, values

    staged, settings = _target(branch, dataset_id, version), _settings(namespace)
    load = _load(datasets, settings, docker_image)
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
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Check everything, then deploy the staged version as a Helm release."""
    settings = _settings(namespace, kube_context)
    staged = _target(branch, dataset_id, version)
    _deploy(settings, staged, docker_image, _load(datasets, settings, docker_image), paused, skip_job, output)


@app.command()
@reported
def pause(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Suspend every job of a staged version; it stays so over deploys until `staging resume`."""
    _set_suspend(_target(branch, dataset_id, version), _settings(namespace, kube_context), True)


@app.command()
@reported
def resume(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Let a paused version run again. A slot missed meanwhile fires at once."""
    _set_suspend(_target(branch, dataset_id, version), _settings(namespace, kube_context), False)


@app.command(name="list")
@reported
def list_command(
    namespace: Namespace = "", kube_context: KubeContext = "", output: OutputOption = Output.table
) -> None:
    """Show the staged versions in the namespace, from the cluster alone."""
    from . import display, overview, releases

    cluster = releases.connect(_settings(namespace, kube_context))
    display.releases(overview.rows(cluster), cluster, as_json=output is Output.json)


@app.command(name="cleanup")
@reported
def cleanup_command(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    yes: Yes = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Show what would go, ask, then delete the branch and the release with its Jobs and pods."""
    _cleanup(_settings(namespace, kube_context), _target(branch, dataset_id, version), yes)


def mount(user_app: typer.Typer, datasets: Iterable[object]) -> None:
    """Add `deploy-staging` and `cleanup-staging` to a user's own Typer app, given its dataset objects.

    Raises ValueError when the app has a command of one of these names: nothing is shadowed.
    """
    taken = {c.name or getattr(c.callback, "__name__", "").replace("_", "-") for c in user_app.registered_commands}
    taken |= {group.name or "" for group in user_app.registered_groups}
    if both := taken & {"deploy-staging", "cleanup-staging"}:
        raise ValueError(f"the app has a command {min(both)!r} already: rename it before mounting staging's")
    user_app.command(name="deploy-staging")(_mounted_deploy(datasets))
    user_app.command(name="cleanup-staging")(mounted_cleanup)


def _mounted_deploy(datasets: Iterable[object]) -> Callable[..., None]:
    @reported
    def deploy_staging(
        dataset_id: DatasetId,
        version: Version,
        docker_image: Image,
        skip_job: SkipJob = None,
        paused: Paused = False,
        namespace: Namespace = "",
        kube_context: KubeContext = "",
    ) -> None:
        """Deploy one version of a dataset beside production, as a Helm release."""
        from . import catalogue

        staged, settings = _target("", dataset_id, version), _settings(namespace, kube_context)
        load = functools.partial(catalogue.from_objects, datasets, docker_image)
        _deploy(settings, staged, docker_image, load, paused, skip_job, Output.table)

    return deploy_staging


@reported
def mounted_cleanup(
    dataset_id: DatasetId,
    version: Version,
    yes: Yes = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
) -> None:
    """Delete a staged version: its branch and its release with Jobs and pods."""
    _cleanup(_settings(namespace, kube_context), _target("", dataset_id, version), yes)


def say(line: str) -> None:
    """A line for the person or log that watches; results go to stdout instead."""
    print(line, file=sys.stderr, flush=True)


def _deploy(
    settings: "Settings",
    staged: "StagedVersion",
    image: str,
    load: "Callable[[str], list[Dataset]]",
    paused: bool,
    skip: list[str] | None,
    output: Output,
) -> None:
    from . import deploy, display

    outcome = deploy.deploy(settings, staged, image, load, paused=paused, skip=skip or (), say=say)
    for notice in outcome.notices:
        say(f"notice: {notice}")
    display.deployed(outcome, as_json=output is Output.json)


def _set_suspend(staged: "StagedVersion", settings: "Settings", suspend: bool) -> None:
    from . import deploy, display, releases

    cluster = releases.connect(settings)
    display.suspended(cluster, *deploy.set_suspend(cluster, staged, suspend), suspend=suspend)


def _cleanup(settings: "Settings", staged: "StagedVersion", yes: bool) -> None:
    from . import cleanup, display, releases

    plan = cleanup.plan(settings, releases.connect(settings), staged)
    display.plan(plan, say)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Refused("nobody can be asked here: pass --yes to carry this plan out; nothing was touched")
        if not typer.confirm("Delete all of this?", err=True):
            raise Refused("nothing was touched")
    cleanup.run(plan, say)
    display.cleaned(plan)


def _target(branch: str, dataset_id: str, version: str) -> "StagedVersion":
    from .staged_version import StagedVersion

    if branch and not (dataset_id or version):
        return StagedVersion.from_branch(branch)
    if dataset_id and version and not branch:
        return StagedVersion(dataset_id, version)
    raise Usage("name one staged version: --branch stage/<id>/v<version>, or --dataset-id with --version")


def _settings(namespace: str = "", kube_context: str = "") -> "Settings":
    from . import settings

    given = {k: v for k, v in (("namespace", namespace), ("kube_context", kube_context)) if v}
    return replace(settings.load(), **given)


def _load(sources: list[str] | None, settings: "Settings", image: str) -> "Callable[[str], list[Dataset]]":
    """How to get the catalogue with the jobs of one dataset, or of all for an empty id."""
    from . import catalogue

    return lambda only: catalogue.read(sources or settings.datasets, settings, image, only)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
