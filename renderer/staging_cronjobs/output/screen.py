"""Tables, lines and times on a screen: columns of their own width, and colour where a person watches."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from .printing import encodable, inert, no_command, write

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100  # columns where no terminal says otherwise
WORDS = ("DETAIL", "VERDICT", "JOBS")  # columns that may be broken, between words
NARROWEST = 20  # columns of these
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
ENOUGH = 2  # of a unit: 90 s are 90s, 7200 s are 2h
SCREEN = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")  # by which rich knows one
Cell = str | list[str]  # a list: one under another


def table(header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> None:
    """Columns with two spaces between them. Only words are ever broken: ids and names are there to be copied."""
    cells = [[_cell(cell) for cell in row] for row in (header, *rows)]
    widths = _widths(cells)
    for number, title in enumerate(header):
        if title in WORDS and (more := sum(widths) + 2 * (len(widths) - 1) - _screen()) > 0:
            room = max(min(widths[number], NARROWEST), widths[number] - more)
            cells = [[*row[:number], _broken(row[number], room), *row[number + 1 :]] for row in cells]
            widths = _widths(cells)
    top, *lines = ["  ".join(map(_padded, line, widths)) for row in cells for line in _abreast(row)]
    return styled([(top, "bold"), *((line, "") for line in lines)])


def styled(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines, each with its style for a person; where nobody watches, without rich, which is slow with many."""
    if not _watched():
        return write(no_command("\n".join(text.rstrip() for text, _ in lines)), sys.stdout)
    from rich.text import Text

    return written([Text(text, style=style) for text, style in lines], wrap=False)


def written(parts: Iterable[Any], *, wrap: bool = True) -> None:
    """Print what rich can render, each part on lines of its own."""
    screen = console()
    with screen.capture() as lines:
        for part in parts:
            screen.print(part, soft_wrap=not wrap)
    write(no_command("\n".join(line.rstrip() for line in lines.get().splitlines())), sys.stdout)


def console() -> "Console":
    """A screen as wide as it is; colour only where a person watches and NO_COLOR is unset."""
    from rich.console import Console

    watched = sys.stdout is not None and sys.stdout.isatty()
    width = None if watched or "COLUMNS" in os.environ else WIDTH
    colour = False if os.environ.get("NO_COLOR") else None  # None: where a person watches; rich would still print bold
    return Console(width=width, force_terminal=colour, markup=False, highlight=False, emoji=False)


def age(stamp: str, now: datetime) -> str:
    """How long ago a timestamp was, as kubectl says it."""
    seconds = max(int((now - datetime.fromisoformat(stamp)).total_seconds()), 0) if stamp else 0
    length, unit = next(((n, u) for n, u in UNITS if seconds >= ENOUGH * n), UNITS[-1])
    return f"{seconds // length}{unit}"


def clock(at: datetime | None, now: datetime) -> str:
    """A time to come, in UTC, with its date if that is not clear."""
    if at is None:
        return "unknown"
    return f"{at:%H:%M} UTC" if at - now < timedelta(days=1) else f"{at:%Y-%m-%d %H:%M} UTC"


def _widths(cells: Iterable[Sequence[list[str]]]) -> list[int]:
    return [max(_width(line) for cell in column for line in cell) for column in zip(*cells, strict=True)]


def _abreast(row: Sequence[list[str]]) -> Iterable[tuple[str, ...]]:
    return zip_longest(*row, fillvalue="")


def _broken(lines: list[str], width: int) -> list[str]:
    parts = (wrap(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)
    return [part for found in parts for part in found or [""]]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How many columns a terminal takes for it: some characters take two, or none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _watched() -> bool:
    """Whether a person may see it, in colour: rich decides."""
    return any(name in os.environ for name in SCREEN) or (sys.stdout is not None and sys.stdout.isatty())


def _screen() -> int:
    return console().width if _watched() else WIDTH


def _cell(cell: Cell) -> list[str]:
    """Made harmless before it is measured, or columns would not stand under each other."""
    return [encodable(inert(line), sys.stdout) for line in ([cell] if isinstance(cell, str) else cell or [""])]
