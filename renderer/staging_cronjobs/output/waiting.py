"""What a command waits for, shown to a person after a second: one line, which goes again before the next one."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from ..external import waits
from . import printing

SOON = 1.0  # seconds in which nothing is printed before it is shown
OFTEN = 0.1  # seconds between two looks


@contextmanager
def shown() -> Generator[None]:
    """Within, a person at a terminal sees it. It never changes while one program asks for a password, say."""
    over = Event()
    thread = Thread(target=_show, args=(over, monotonic()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        printing.hint("")


def _show(over: Event, begun: float) -> None:
    while not over.wait(OFTEN):
        what, quiet = waits.now(), monotonic() - max(begun, printing.last_printed())
        printing.hint(f"waiting for {what} …" if what and quiet >= SOON else "")
