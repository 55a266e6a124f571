"""GitHub Actions: annotations in the log, and the summary of a step. Elsewhere plain lines, and no summary."""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

COMMAND = re.compile(
    r"(?:^|(?<=\r))(\s*):(?=:)|##(?=\[)", re.MULTILINE
)  # what the runner takes for a command, in any line


def running() -> bool:
    """Whether this runs as a step of a workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def plain(text: str) -> str:
    """Text that may be anybody's, for the log: in a workflow it must not become a command to the runner."""
    return COMMAND.sub(lambda found: f"{found[0]} ", text) if running() else text


def annotate(kind: str, text: str, word: str = "") -> None:
    """A line for the log, `<word>: <text>`; in a workflow an annotation of this kind, of the first line alone."""
    if not running():
        return print(f"{word or kind}: {text}", file=sys.stderr, flush=True)
    line, _, rest = text.partition("\n")
    line = line.replace("%", "%25").replace("\r", "%0D")
    print(f"::{kind}::{line}", file=sys.stderr, flush=True)
    return print(plain(rest), file=sys.stderr, flush=True) if rest else None


def summarise(markdown: Callable[[], str]) -> None:
    """Add to the step's summary, where there is one; what cannot be written ends nothing."""
    if not (file := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(file).open("a", encoding="utf-8", errors="replace") as summary:
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
