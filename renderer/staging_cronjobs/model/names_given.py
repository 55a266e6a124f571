"""The names that a person gives a staged version: a branch, or what kubectl shows. They are compared, never parsed."""

import re
from collections.abc import Mapping

from ..errors import Usage
from .staged_version import StagedVersion, shown

OBJECT = re.compile(r"(cronjobs?|jobs?|pods?)(\.batch)?/")  # before a name, as kubectl prints it
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?")  # of a release, CronJob, Job or pod
# What follows a CronJob's name in a Job that its schedule or `staging run` made, and in the names of that Job's pods.
MADE = re.compile(r"[0-9]{6,10}[a-z]?(-[0-9]+)?(-?[a-z0-9]{5})?")


def checked(word: str) -> str:
    """A branch, or the name of a release, CronJob, Job or pod, without its kind. Raises `Usage` for anything else."""
    if word.startswith("stage/"):
        return StagedVersion.from_branch(word).branch
    name = OBJECT.sub("", word, count=1)
    if not NAME.fullmatch(name):
        raise Usage(
            f"{shown(word)} is no name of a staged version. Give its branch, or the name of its release, of a "
            "CronJob, a Job or a pod"
        )
    return name


def meant_by(name: str, known: Mapping[StagedVersion, Mapping[str, str]]) -> tuple[StagedVersion, str] | None:
    """Whose a checked name is, and the key of the job if it is a job's; None when it is nobody's.

    `known` has the jobs of each staged version: names with their keys. A Job's and a pod's name begins with its
    CronJob's. Raises `Usage` for one that could be two staged versions'.
    """
    for staged in known:
        if name in (staged.branch, staged.release):
            return staged, ""
    found = [
        (job, staged, key)
        for staged, jobs in known.items()
        for job, key in jobs.items()
        if f"{name}-".startswith(f"{job}-")
    ]
    exact = [one for one in found if one[0] == name]
    made = [one for one in found if MADE.fullmatch(name.removeprefix(f"{one[0]}-"))]
    found = exact or (made if len({staged for _, staged, _ in made}) == 1 else found)
    if len(whose := {staged.branch for _, staged, _ in found}) > 1:
        raise Usage(f"{name} could be of {' or of '.join(sorted(whose))}. Give the branch that you mean")
    if not found:
        return None
    _, staged, key = max(found, key=lambda one: len(one[0]))
    return staged, key
