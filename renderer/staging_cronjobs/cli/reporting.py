"""Errors become one sentence on standard error, and an exit code."""

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer

from ..errors import StagingError, Superseded, Usage
from ..model import command_line
from ..output import github, printing

P = ParamSpec("P")
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Print the command line of each program that runs, on standard error.")
]


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected error into one sentence on stderr and its exit code; ^C and SIGTERM into 130, a bug into 1.

    Adds the option --verbose, so that no command can lack it.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            signal.signal(signal.SIGTERM, interrupt)
            check_text(kwargs)
            with ExitStack() as stack:
                if kwargs.pop("verbose", False):
                    from ..external import shell

                    stack.enter_context(shell.echoed(lambda line: printing.say(f"+ {line}")))
                elif printing.watched():
                    from ..output import waiting

                    stack.enter_context(waiting.shown())
                place = (str(kwargs.get(name) or "") for name in ("namespace", "kube_context"))
                stack.enter_context(command_line.at(*place))
                command(*args, **kwargs)
        except StagingError as error:
            from ..output import markdown

            kind = "notice" if isinstance(error, Superseded) else "error"
            github.annotate(kind, error.message, details=error.details, word="error")
            github.summarise(functools.partial(markdown.ended, error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            printing.say("interrupted. Run the same command again to finish")
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

            printing.say_text(traceback.format_exc().rstrip())
            if printing.in_workflow():
                github.annotate(
                    "error", f"a bug in staging. Its traceback is in the log: {type(error).__name__}: {error}"
                )
            raise typer.Exit(StagingError.exit_code) from None

    own = inspect.signature(command)
    verbose = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)
    wrapper.__annotations__ = {**command.__annotations__, "verbose": Verbose}
    setattr(wrapper, "__signature__", own.replace(parameters=[*own.parameters.values(), verbose]))  # noqa: B010
    return wrapper


def check_text(options: Mapping[str, object]) -> None:
    """Raises `Usage` for bytes that are no text: no other program or server would read the same in them."""
    given = {"NAME" if name == "name" else f"--{name.replace('_', '-')}": value for name, value in options.items()}
    given |= {name: value for name, value in os.environ.items() if name.startswith(("STAGING_", "SENTRY_"))}
    try:
        given |= {"the name of the current folder": Path.cwd()}
    except OSError as error:
        raise Usage(f"the current folder cannot be used: {error.strerror}. Change to another one") from None
    for name, value in given.items():
        try:
            " ".join(value if isinstance(value, list) else [str(value)]).encode()
        except UnicodeEncodeError:
            if name.lower().endswith("datasets"):
                continue  # a file's name
            raise Usage(
                f"{name} is not valid text in this locale. Correct it, or set a UTF-8 locale: LC_ALL=C.UTF-8"
            ) from None


def interrupt(*_: Any) -> NoReturn:
    """SIGTERM ends a command as ^C does: children are stopped, the exit code is 130."""
    raise KeyboardInterrupt
