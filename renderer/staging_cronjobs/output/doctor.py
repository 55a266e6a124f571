"""What `staging doctor` found: one table for people, or JSON."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING

from ..model.doctor import OK, UNKNOWN, WRONG
from .printing import encodable, inert, show_json
from .screen import console, written

if TYPE_CHECKING:
    from ..model.doctor import Look

STYLES = {OK: "", WRONG: "bold red", UNKNOWN: "yellow"}
HEADER = ("LOOKED AT", "STATE", "FOUND, AND WHAT MENDS IT")


def as_table(looks: "Sequence[Look]") -> None:
    """For people: words are broken between lines, commands never, so that they can be copied."""
    from rich.text import Text

    lines = (Text(encodable(inert(text), sys.stdout), style=style) for text, style in _lines(looks, console().width))
    written(list(lines), wrap=False)


def as_json(looks: "Sequence[Look]") -> None:
    """For programs."""
    show_json([asdict(look) for look in looks])


def _lines(looks: "Sequence[Look]", width: int) -> Iterator[tuple[str, str]]:
    first = max(map(len, (HEADER[0], *(inert(look.what) for look in looks)))) + 2
    indent = first + max(map(len, STYLES)) + 2
    yield f"{HEADER[0]:<{first}}{HEADER[1]:<{indent - first}}{HEADER[2]}", "bold"
    for look in looks:
        words = wrap(inert(look.found), max(width - indent, 40), break_long_words=False, break_on_hyphens=False) or [""]
        yield f"{inert(look.what):<{first}}{look.state:<{indent - first}}{words[0]}", STYLES[look.state]
        yield from ((" " * indent + line, STYLES[look.state]) for line in words[1:])
        yield from ((f"{' ' * indent}  {command}", "") for command in look.commands)
    count = {state: sum(look.state == state for look in looks) for state in STYLES}
    yield "", ""
    yield f"{count[OK]} ok, {count[WRONG]} wrong, {count[UNKNOWN]} unknown.", "bold"
