"""What `staging doctor` finds: for each thing it looked at, how it stands, and the commands that mend it."""

import re
from dataclasses import dataclass

OK, WRONG, UNKNOWN = "ok", "wrong", "unknown"
RUN = re.compile(r"\.? Run `([^`]+)`\.?$")  # how a sentence of ours ends that names the command


@dataclass(frozen=True)
class Look:
    """One thing that was looked at. What could not be asked is `unknown`, never `ok`."""

    what: str
    state: str
    found: str
    commands: tuple[str, ...] = ()


def told(what: str, state: str, sentence: str, *commands: str) -> Look:
    """A look by a sentence; a command at its end is set apart, to be copied."""
    if not commands and (named := RUN.search(sentence)):
        return Look(what, state, sentence[: named.start()], (named[1],))
    return Look(what, state, sentence.removesuffix("."), commands)
