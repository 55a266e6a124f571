"""What lies between a command's options and its verb: settings, targets, questions, errors turned into exit codes."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer

from . import actions
from .errors import Refused, StagingError, Superseded, Usage
from .options import Output

if TYPE_CHECKING:
    from .catalogue import Dataset
    from .settings import Settings
    from .staged_version import StagedVersion

P = ParamSpec("P")


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected error into one sentence on stderr and its exit code; ^C and SIGTERM into 130, a bug into 1."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            signal.signal(signal.SIGTERM, interrupt)
            command(*args, **kwargs)
        except StagingError as error:
            from . import summary

            actions.annotate("notice" if isinstance(error, Superseded) else "error", str(error), "error")
            actions.summarise(functools.partial(summary.ended, error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("interrupted: run the same command again to finish what had begun")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output left (`| head`): stdout must not be flushed into the closed pipe at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            # A user's own Typer app may show the variables of every frame, and Sentry's token is among them.
            import traceback

            say(traceback.format_exc().rstrip())
            if actions.running():
                actions.annotate("error", f"a bug of this program, see the log: {type(error).__name__}: {error}")
            raise typer.Exit(StagingError.exit_code) from None

    return wrapper


def say(line: str) -> None:
    """A line for the person or log that watches; results go to stdout instead."""
    print(actions.plain(line), file=sys.stderr, flush=True)


def deploy_version(
    settings: "Settings",
    staged: "StagedVersion",
    image: str,
    load: "Callable[[str], list[Dataset]]",
    paused: bool,
    skip: list[str] | None,
    output: Output,
) -> None:
    """Deploy, and show what was done."""
    from datetime import UTC, datetime

    from . import deploy, display, summary

    outcome = deploy.deploy(settings, staged, image, load, paused=paused, skip=skip or (), say=say)
    for kind, lines in (("warning", outcome.warnings), ("notice", outcome.notices)):
        for line in lines:
            actions.annotate(kind, line)
    actions.summarise(lambda: summary.deployed(outcome, datetime.now(UTC)))
    display.deployed(outcome, as_json=output is Output.json)


def set_suspend(staged: "StagedVersion", settings: "Settings", suspend: bool) -> None:
    """Pause or resume, and show what was done."""
    from . import cluster as clusters
    from . import controls, display

    cluster = clusters.connect(settings)
    release, changed = controls.set_suspend(cluster, staged, suspend, say)
    shown("Pause" if suspend else "Resume", lambda: display.suspended(cluster, release, changed, suspend=suspend))


def run_job(staged: "StagedVersion", settings: "Settings", key: str) -> None:
    """Start a Job now, and show which."""
    from . import cluster as clusters
    from . import controls, display

    cluster = clusters.connect(settings)
    job = controls.run_job(cluster, staged, key)
    shown("Run", lambda: display.started(cluster, job))


def shown(title: str, show: Callable[[], None]) -> None:
    """Print what a command did, and add it to the step's summary."""
    show()
    actions.summarise_shown(title, show)


def cleanup_version(
    settings: "Settings",
    staged: "StagedVersion",
    yes: bool,
    sentry_token: str = "",
    drain: float = 0,
    keep_branch: bool = False,
    keep_monitors: bool = False,
    branch_deleted: bool = False,
) -> None:
    """Show the plan of a cleanup, ask, carry it out, and show what is gone."""
    from . import cleanup, display
    from . import cluster as clusters

    kept = {"keep_branch": keep_branch, "keep_monitors": keep_monitors, "branch_deleted": branch_deleted}
    plan = cleanup.plan(settings, clusters.connect(settings), staged, token_from(sentry_token), **kept)
    display.plan(plan, say)
    confirm(yes)
    cleanup.run(plan, say, drain=drain)
    shown("Cleanup", lambda: display.cleaned(plan))


def confirm(yes: bool) -> None:
    """Ask a person. Raises `Refused` when the answer is no, or nobody is there to give one."""
    if not ask("Delete all of this?", yes):
        raise Refused("nothing was touched")


def ask(question: str, yes: bool) -> bool:
    """Whether a person agrees, with `yes` unasked. Raises `Refused` when nobody is there to give an answer."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("nobody can be asked here: pass --yes to carry this plan out; nothing was touched")
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # how ^C and ^D come out of a question
        raise KeyboardInterrupt from None


def token_from(given: str) -> str:
    """The Sentry token: the one given, else of the environment."""
    return given or os.environ.get("SENTRY_AUTH_TOKEN", "")


def flags_for(namespace: str, kube_context: str) -> list[str]:
    """The flags that lead another `staging` to the same place."""
    named = (("--namespace", namespace), ("--kube-context", kube_context))
    return [f"{flag}={value}" for flag, value in named if value]


def target(branch: str, dataset_id: str, version: str) -> "StagedVersion":
    """The staged version that the options name. Raises `Usage` when they name none, or two."""
    from .staged_version import StagedVersion

    if branch and not (dataset_id or version):
        return StagedVersion.from_branch(branch)
    if dataset_id and version and not branch:
        return StagedVersion(dataset_id, version)
    raise Usage("name one staged version: --branch stage/<id>/v<version>, or --dataset-id with --version")


def settings_for(namespace: str = "", kube_context: str = "") -> "Settings":
    """The project's settings, with the options over them."""
    from . import settings

    given = {k: v for k, v in (("namespace", namespace), ("kube_context", kube_context)) if v}
    return replace(settings.load(), **given)


def datasets_from(sources: list[str] | None, settings: "Settings", image: str) -> "Callable[[str], list[Dataset]]":
    """How to get the catalogue with the jobs of one dataset, or of all for an empty id."""
    from . import catalogue

    named = sources or catalogue.in_project(settings)
    return lambda only: catalogue.read(named, settings, image, only)


def interrupt(*_: Any) -> NoReturn:
    """SIGTERM ends a command as ^C does: children are stopped, the exit code is 130."""
    raise KeyboardInterrupt
