"""The command of a project that fills a version's stores: only ever shown to a person, never run."""

import re
import shlex
from collections.abc import Iterator, Mapping

PLACEHOLDERS = ("dataset_id", "version", "image", "branch", "commit")
PLACE = re.compile(r"(?<!\$)\{([A-Za-z_-]+)\}")
BARE, BACKSLASH = "", "\\"  # how a shell reads a character: as it is, after a backslash, or else within that quote


def problem(template: str) -> str:
    """What is wrong with the setting; empty when it can be used."""
    if not template.isprintable():
        return "It must be one line of printable characters."
    quotes = [*_quotes(template)]
    if quotes[-1:] not in ([], [BARE]):
        return "A shell does not take it, because a quote has no end."
    for place in PLACE.finditer(template):
        if place[1] not in PLACEHOLDERS:
            return f"It has {place[0]}. The placeholders are {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}."
        if place.start() and quotes[place.start() - 1]:
            return f"It has {place[0]} in quotes. Leave them out: what stands there is quoted where it must be."
    return ""


def command(template: str, facts: Mapping[str, str]) -> str:
    """The command for these facts, as a shell takes it; empty for an empty setting."""
    return PLACE.sub(lambda place: shlex.quote(facts[place[1]]), template)


def _quotes(text: str) -> Iterator[str]:
    """For each character, how a shell reads what comes after it."""
    quote, escaped = BARE, False
    for char in text:
        if escaped:
            escaped = False
        elif char == BACKSLASH and quote != "'":
            escaped = True
        elif char == quote:
            quote = BARE
        elif not quote and char in "'\"":
            quote = char
        yield BACKSLASH if escaped else quote
