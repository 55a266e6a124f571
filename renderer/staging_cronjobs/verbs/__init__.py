"""One module for each thing the program does, with the order of its steps; how a step is done is elsewhere."""

from collections.abc import Callable

from ..errors import StagingError

Say = Callable[[str], None]  # takes a line for the person, or the log, that watches
Problems = dict[str, StagingError]  # why something is not done, by release: one does not stop the others


def check_done(problems: Problems) -> None:
    """Raises what is in the way of one release, where there is no other to go on with."""
    for problem in problems.values():
        raise problem
