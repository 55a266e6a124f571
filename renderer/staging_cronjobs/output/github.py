"""GitHub Actions: annotations in the log, and the summary of a step. Elsewhere plain lines, and no summary."""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from . import printing


def annotate(kind: str, text: str, *, details: str = "", word: str = "") -> None:
    """A line for the log, `<word>: <text>`, in a workflow an annotation of this kind; then the details as lines."""
    if printing.in_workflow():
        message = printing.no_command(printing.inert(text)).replace("%", "%25")
        printing.write(f"::{kind}::{message}", sys.stderr)
    else:
        printing.say(f"{word or kind}: {text}")
    if details:
        printing.say_text(details)


def summarise(markdown: Callable[[], str]) -> None:
    """Add to the step's summary, where there is one. A failure to write it is only a notice."""
    if not (file := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(f"{markdown()}\n\n")
    except OSError as error:
        annotate("notice", f"the step's summary could not be written: {error}")


def summarise_shown(title: str, show: Callable[[], None]) -> None:
    """Add what a function prints to the step's summary."""

    def markdown() -> str:
        with redirect_stdout(io.StringIO()) as printed:
            show()
        text = printed.getvalue().rstrip()
        fence = "`" * (max(3, *map(len, re.findall("`+", text)), 0) + 1)
        return f"### {title}\n\n{fence}text\n{text}\n{fence}"

    summarise(markdown)


def shown(title: str, show: Callable[[], None]) -> None:
    """Print what a command did, and add it to the step's summary."""
    show()
    summarise_shown(title, show)
