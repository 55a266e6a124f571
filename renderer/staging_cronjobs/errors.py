"""Everything that can end a command early, each with its exit code.

StagingError
├── Usage        2  the command line, a setting or a name is wrong
├── Refused      3  a check failed: nothing was changed
├── Outside      4  a program, the cluster, the remote or the user's code failed or is missing
├── Unfinished   5  partly done: the same command, run again, finishes the work
└── Superseded   6  a newer push or a deleted branch came first: nothing was changed, or it was undone

Exit 0 is done, 1 a bug in this program, 130 interrupted, 141 when the output pipe was closed early (`| head`).
"""

from collections.abc import Iterable

AGAIN = "Run the same command again to finish"


class StagingError(Exception):
    """What happened and where, then what to do: a line for the user. `details` are lines of others, a traceback say."""

    exit_code = 1

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.message, self.details = message, details

    def __str__(self) -> str:
        return f"{self.message}\n{self.details}" if self.details else self.message


class Usage(StagingError):
    """The command line, a setting or a name is wrong."""

    exit_code = 2


class Refused(StagingError):
    """A check failed. Nothing was changed."""

    exit_code = 3


class Outside(StagingError):
    """A program, the cluster, the git remote or your own code failed or is missing."""

    exit_code = 4


class Unfinished(StagingError):
    """Part of the work is done. Run the same command again to finish it."""

    exit_code = 5


class Superseded(StagingError):
    """A newer push or a deleted branch came first. Nothing was changed, or it was undone."""

    exit_code = 6


def to_finish(said: object) -> str:
    """What was said of work that is done in part, and that the same command goes on from there."""
    return f"{str(said).rstrip('. ')}. {AGAIN}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`. Did you mean 'x'?` for a close match of `word` among `known`, else an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f". Did you mean {' or '.join(map(repr, close))}?" if close else ""
