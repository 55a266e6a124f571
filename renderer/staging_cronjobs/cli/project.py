"""The commands that need the code of a project, or set its repository up."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Refused
from ..output import github
from ..output.printing import say, show, show_data, show_text
from .options import (
    AllowDirty,
    Branch,
    DatasetId,
    Datasets,
    DryRun,
    Image,
    KubeContext,
    Namespace,
    Output,
    OutputOption,
    Paused,
    SentryToken,
    SkipJob,
    Version,
    datasets_from,
    settings_for,
    target,
    token_from,
)
from .prompt import ask
from .reporting import reported

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.catalogue import Dataset
    from ..model.settings import Settings
    from ..model.staged_version import StagedVersion

app = typer.Typer()


@app.command(name="check")
@reported
def check_command(datasets: Datasets = None, output: OutputOption = Output.table) -> None:
    """Check that every dataset can be staged at its current and next version."""
    from ..checks import staged_with_kubectl
    from ..output import terminal
    from ..verbs import check

    settings = settings_for()
    catalogue = datasets_from(datasets, settings, "example.registry/image:tag")("")
    verdicts = check.prove(catalogue, settings, staged_with_kubectl.predecessors(catalogue, settings, say))
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
    """Print the Helm values of a staged version. Needs no cluster."""
    from ..model import values
    from ..verbs import deploy

    staged, settings = target(branch, dataset_id, version), settings_for(namespace)
    load = datasets_from(datasets, settings, docker_image)
    show_data(values.dump(deploy.render(settings, staged, docker_image, load, paused=paused, skip=skip_job or ())))


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
    dry_run: DryRun = False,
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Deploy a staged version as a Helm release. Nothing changes before all checks pass."""
    settings = settings_for(namespace, kube_context)
    staged = target(branch, dataset_id, version)
    load = datasets_from(datasets, settings, docker_image)
    deploy_version(settings, staged, docker_image, load, paused, skip_job, allow_dirty, dry_run, output)


@app.command(name="init")
@reported
def init_command(
    environment: Annotated[
        str, typer.Option(help="GitHub environment of the workflows. Default: the one they name now, else staging.")
    ] = "",
    datasets: Datasets = None,
    dockerfile: Annotated[
        str, typer.Option(help="Dockerfile that the workflow builds. Default: the only one that git knows.")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Only report what is missing or out of date.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Change existing files without asking.")] = False,
) -> None:
    """Add the GitHub workflows and the settings to this repository. Prints what to set on GitHub."""
    from ..verbs import init

    own, wanted = settings_for(), (environment, datasets or (), dockerfile)
    project = init.look(own, *wanted)
    if not check:
        init.install(project, say, lambda question: ask(question, yes))
        project = init.look(own, *wanted)
        show_text(init.to_set(project))
    if check:
        loaded = [init.archivers(own)] if not token_from("") else []  # user code could read the token
        for line in filter(None, (*init.apart(project), *loaded)):
            github.annotate("notice", line)
    if not (lacking := init.missing(project)):
        return say("Nothing is missing in this repository, and everything is up to date.")
    for line in lacking:
        (show if check else say)(f"still to do: {line}")
    if check:
        raise Refused("this repository is not ready. Run `staging init` to add the workflows and the settings")
    return None


@app.command(name="doctor")
@reported
def doctor_command(
    sentry_token: SentryToken = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    output: OutputOption = Output.table,
) -> None:
    """Look at everything that staging needs, from helm to GitHub, with the command that mends what is wrong."""
    from ..model.doctor import WRONG
    from ..output import doctor as shown_doctor
    from ..verbs import doctor

    looks = doctor.look(lambda: settings_for(namespace, kube_context), token_from(sentry_token))
    (shown_doctor.as_json if output is Output.json else shown_doctor.as_table)(looks)
    if wrong := [look.what for look in looks if look.state == WRONG]:
        raise Refused(f"something is wrong: {', '.join(dict.fromkeys(wrong))}. What mends it is above")


@app.command(name="catalogue")
@reported
def print_catalogue(datasets: Datasets = None, docker_image: Image = "example.registry/image:tag") -> None:
    """Print the datasets of the project as JSON."""
    from ..model import catalogue

    show_data(catalogue.dump(datasets_from(datasets, settings_for(), docker_image)("")))


@app.command()
@reported
def name(
    branch: Branch = "",
    dataset_id: DatasetId = "",
    version: Version = "",
    key: Annotated[str, typer.Option(help="Print the name of the job with this key instead.")] = "",
    workers: Annotated[int, typer.Option(help="Indexed workers of that job. Over 1,000 its name is shorter.")] = 1,
) -> None:
    """Print the name of a Helm release. With --key, the name of one of its jobs."""
    staged = target(branch, dataset_id, version)
    show(staged.job_name(key, workers) if key else staged.release)


def deploy_version(
    settings: "Settings",
    staged: "StagedVersion",
    image: str,
    load: "Callable[[str], list[Dataset]]",
    paused: bool,
    skip: list[str] | None,
    allow_dirty: bool,
    dry_run: bool,
    output: Output,
) -> None:
    """Deploy, and show what was done; with `dry_run`, what would be done, and raise what would stop it."""
    from datetime import UTC, datetime

    from ..external import shell

    asked = {"paused": paused, "allow_dirty": allow_dirty, "dry_run": dry_run}
    with shell.ahead():
        # Before our own imports: what takes longest, and what the next question needs.
        loading = shell.begin(lambda: load(staged.dataset_id))
        from ..external import cluster, git

        shell.begin(lambda: git.checkout(settings))
        shell.begin(lambda: cluster.connect(settings))
        from ..output import markdown, terminal
        from ..verbs import deploy

        outcome = deploy.deploy(settings, staged, image, loading, skip=skip or (), **asked, say=say)
    for kind, lines in (("warning", outcome.warnings), ("notice", outcome.notices)):
        for line in lines:
            github.annotate(kind, line)
    github.summarise(lambda: markdown.deployed(outcome, datetime.now(UTC)))
    terminal.deployed(outcome, as_json=output is Output.json)
    if outcome.refusal:
        raise outcome.refusal
