"""What this program waits for now: another program, a server or an event. A person is told after a second."""

from collections.abc import Generator
from contextlib import contextmanager

_waits: list[str] = []  # the outermost first


@contextmanager
def on(what: str) -> Generator[None]:
    """Within, that is waited for, if it is not part of another wait."""
    _waits.append(what)
    try:
        yield
    finally:
        _waits.pop()


def now() -> str:
    """What is waited for; empty while this program works itself."""
    return "".join(_waits[:1])
