"""Questions to a person, before something is deleted or overwritten."""

import sys

import typer

from ..errors import Refused
from ..output.printing import hint, inert


def confirm(yes: bool) -> None:
    """Ask a person. Raises `Refused` when the answer is no, or this is not a terminal."""
    if not ask("Delete all of this?", yes):
        raise Refused("not confirmed. Nothing was touched")


def ask(question: str, yes: bool) -> bool:
    """Whether a person agrees, with `yes` unasked. Raises `Refused` when this is not a terminal."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("not a terminal, cannot ask: pass --yes. Nothing was touched")
    hint("")  # or it would go with the question
    try:
        return typer.confirm(inert(question), err=True)
    except typer.Abort:  # how ^C and ^D come out of a question
        raise KeyboardInterrupt from None
