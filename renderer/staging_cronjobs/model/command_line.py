"""How a person calls this program again, as messages name it: with the same place, or as mounted in their own."""

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

DEPLOY, CLEANUP = "deploy-staging", "cleanup-staging"  # as they are mounted
PROGRAM = ContextVar("program", default="")  # the user's own, while one of the two runs in it
# The options that led this command to its namespace and cluster.
PLACE = ContextVar[tuple[str, ...]]("place", default=())


@contextmanager
def within(program: str) -> Generator[None, None, None]:
    """Messages name the commands of this program."""
    before = PROGRAM.set(program)
    try:
        yield
    finally:
        PROGRAM.reset(before)


@contextmanager
def at(namespace: str, context: str) -> Generator[None, None, None]:
    """Commands that messages name lead to the same place as this one, which was given these options; empty for none."""
    options = {"--namespace": namespace, "--context": context}
    before = PLACE.set(tuple(word for option, value in options.items() if value for word in (option, value)))
    try:
        yield
    finally:
        PLACE.reset(before)


def staging(*words: str) -> str:
    """A command of `staging`, for a shell; whoever calls their own program has it by uv."""
    return shlex.join((*(("uv", "run") if PROGRAM.get() else ()), "staging", *words, *PLACE.get()))


def cleanup(dataset_id: str, version: str, *target: str) -> str:
    """The command that removes a staged version, for a shell; `target` is how `staging` itself would be told which."""
    if not (program := PROGRAM.get()):
        return staging("cleanup", *target)
    named = ("--dataset-id", dataset_id, "--version", version)
    return f"{program} {shlex.join((CLEANUP, *named, *PLACE.get()))}"


def with_option(option: str) -> str:
    """What to do to clean up with an option that the mounted command does not have."""
    return f"run `{staging('cleanup')}` with {option}" if PROGRAM.get() else f"pass {option}"
