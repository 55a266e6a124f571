"""Questions to a person, before something is deleted or overwritten."""

import sys

import typer

from ..errors import Refused
from ..output.printing import inert


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
        return typer.confirm(inert(question), err=True)
    except typer.Abort:  # how ^C and ^D come out of a question
        raise KeyboardInterrupt from None
