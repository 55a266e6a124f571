"""The only place that prints. Text from elsewhere cannot act on a terminal or on the runner of a workflow."""

import json
import os
import re
import sys
import time
from threading import RLock
from typing import Any, TextIO

UNSEEN = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
NAMED = {"\n": r"\n", "\r": r"\r"}
ERASE = "\r\x1b[K"  # the line that the cursor is in
COMMAND = re.compile(r"^( *):(?=:)|##(?=\[)", re.MULTILINE)  # what GitHub's runner takes for a command, in any line

_lock = RLock()  # of the terminal: a hint comes from a thread of its own
_hint, _last = "", 0.0  # what stands there, to go again; and when something was printed last


def in_workflow() -> bool:
    """Whether this runs as a step of a workflow of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def say(line: str) -> None:
    """A line for the person or log that watches, on standard error; results go to standard output instead."""
    say_text(inert(line))


def say_text(text: str) -> None:
    """Lines for the person or log that watches."""
    write(no_command(_lines(text)), sys.stderr)


def show(line: str) -> None:
    """A line of the result, on standard output."""
    show_text(inert(line))


def show_text(text: str) -> None:
    """Lines of the result."""
    write(no_command(_lines(text)), sys.stdout)


def show_data(text: str) -> None:
    """JSON, or YAML with quoted strings, for a program: unusual characters become the escapes that both have."""
    lines = "\n".join(map(_escaped, text.removesuffix("\n").split("\n")))
    write(lines.replace("##[", r"##\u005b"), sys.stdout)


def show_json(value: Any) -> None:
    """A value as JSON, in ASCII alone."""
    show_data(json.dumps(value, indent=2))


def write(text: str, stream: TextIO) -> None:
    """Print as it is, but for characters that the stream's encoding lacks: these are shown as their escapes.

    At once, so that what goes to both streams stands in a log in this order.
    """
    global _last
    with _lock:
        hint("")
        print(encodable(text, stream), file=stream, flush=True)
        _last = time.monotonic()


def watched() -> bool:
    """Whether a person sees standard error, on a terminal where a line can be taken back."""
    there = sys.stderr is not None and sys.stderr.isatty()
    return there and os.environ.get("TERM", "dumb") != "dumb" and not in_workflow()


def hint(text: str) -> None:
    """A short line on a terminal that goes again before the next one; without a text, it goes now."""
    global _hint
    with _lock:
        if text != _hint:
            sys.stderr.write(f"{ERASE}{encodable(text, sys.stderr)}")
            sys.stderr.flush()
            _hint = text


def last_printed() -> float:
    """When something was printed last, in seconds of `time.monotonic`."""
    return _last


def inert(text: str) -> str:
    """Text as one line in which nothing is a command to a terminal, or unseen: such characters become escapes."""
    return _escaped(text.expandtabs())


def encodable(text: str, stream: TextIO) -> str:
    """Text without the characters that the stream's encoding lacks."""
    if text.isascii():  # tables have thousands of cells
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def no_command(lines: str) -> str:
    """Lines of which none is a command to the runner of a workflow."""
    return COMMAND.sub(lambda found: f"{found[0]} ", lines) if in_workflow() else lines


def _lines(text: str) -> str:
    return "\n".join(map(inert, text.replace("\r\n", "\n").split("\n")))


def _escaped(text: str) -> str:
    if text.isprintable() and (text.isascii() or not UNSEEN.search(text)):
        return text
    return "".join(c if c.isprintable() and not UNSEEN.match(c) else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return NAMED.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
