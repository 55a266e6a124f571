"""One module for each thing the program does, with the order of its steps; how a step is done is elsewhere."""

from collections.abc import Callable

Say = Callable[[str], None]  # takes a line for the person, or the log, that watches
