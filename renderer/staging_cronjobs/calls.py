"""What lies between a command's options and its verb: settings, targets, questions, errors turned into exit codes."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer

from .errors import Refused, StagingError, Usage
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
            say(f"error: {error}")
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
        except Exception:
            # A user's own Typer app may show the variables of every frame, and Sentry's token is among them.
            import traceback

            traceback.print_exc()
            raise typer.Exit(StagingError.exit_code) from None

    return wrapper


def say(line: str) -> None:
    """A line for the person or log that watches; results go to stdout instead."""
    print(line, file=sys.stderr, flush=True)


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
    from . import deploy, display

    outcome = deploy.deploy(settings, staged, image, load, paused=paused, skip=skip or (), say=say)
    for notice in outcome.notices:
        say(f"notice: {notice}")
    display.deployed(outcome, as_json=output is Output.json)


def set_suspend(staged: "StagedVersion", settings: "Settings", suspend: bool) -> None:
    """Pause or resume, and show what was done."""
    from . import cluster as clusters
    from . import deploy, display

    cluster = clusters.connect(settings)
    display.suspended(cluster, *deploy.set_suspend(cluster, staged, suspend, say), suspend=suspend)


def cleanup_version(
    settings: "Settings",
    staged: "StagedVersion",
    yes: bool,
    sentry_token: str = "",
    drain: float = 0,
    keep_branch: bool = False,
    keep_monitors: bool = False,
) -> None:
    """Show the plan of a cleanup, ask, carry it out, and show what is gone."""
    from . import cleanup, display
    from . import cluster as clusters

    kept = {"keep_branch": keep_branch, "keep_monitors": keep_monitors}
    plan = cleanup.plan(settings, clusters.connect(settings), staged, token_from(sentry_token), **kept)
    display.plan(plan, say)
    confirm(yes)
    cleanup.run(plan, say, drain=drain)
    display.cleaned(plan)


def confirm(yes: bool) -> None:
    """Ask a person. Raises `Refused` when the answer is no, or nobody is there to give one."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("nobody can be asked here: pass --yes to carry this plan out; nothing was touched")
    try:
        agreed = typer.confirm("Delete all of this?", err=True)
    except typer.Abort:  # how ^C and ^D come out of a question
        raise KeyboardInterrupt from None
    if not agreed:
        raise Refused("nothing was touched")


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
