"""Everything that can end a command early, each with its exit code.

StagingError
├── Usage        2  the command line, a setting or a name is malformed
├── Refused      3  a check did not hold: nothing was changed
├── Outside      4  a program, the cluster, the remote or the user's code failed or is missing
├── Unfinished   5  partly done: the same command, run again, finishes the work
└── Superseded   6  a newer push, or a deletion of the branch, took this one's place: nothing is left changed

Exit 0 is done, 1 a bug of this program, 130 interrupted, 141 when the reader of the output left (`| head`).
"""

from collections.abc import Iterable

AGAIN = "run the same command again to finish"


class StagingError(Exception):
    """What happened and where, then what to do: a line for the user. `details` are lines of others, a traceback say."""

    exit_code = 1

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.message, self.details = message, details

    def __str__(self) -> str:
        return f"{self.message}\n{self.details}" if self.details else self.message


class Usage(StagingError):
    """The command line, a setting or a name is malformed."""

    exit_code = 2


class Refused(StagingError):
    """A check did not hold; nothing was changed."""

    exit_code = 3


class Outside(StagingError):
    """A program, the cluster, the git remote or the user's own code failed or is missing."""

    exit_code = 4


class Unfinished(StagingError):
    """Part of the work is done; the same command finishes it."""

    exit_code = 5


class Superseded(StagingError):
    """A newer push, or a deleted branch, took this one's place; nothing is left changed."""

    exit_code = 6


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a close match of `word` among `known`, else an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
