"""How a person calls the cleanup that messages name: `staging cleanup`, or the command mounted in their own program."""

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

DEPLOY, CLEANUP = "deploy-staging", "cleanup-staging"  # as they are mounted
PROGRAM = ContextVar("program", default="")  # the user's own, while one of the two runs in it


@contextmanager
def within(program: str) -> Generator[None, None, None]:
    """Messages name the commands of this program."""
    before = PROGRAM.set(program)
    try:
        yield
    finally:
        PROGRAM.reset(before)


def cleanup(dataset_id: str, version: str, *target: str) -> str:
    """The command that removes a staged version, for a shell; `target` is how `staging` itself would be told which."""
    if not (program := PROGRAM.get()):
        return shlex.join(("staging", "cleanup", *target))
    named = ("--dataset-id", dataset_id, "--version", version)
    return f"{program} {shlex.join((CLEANUP, *named))}"
