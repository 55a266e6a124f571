"""Who is at work, and from where: by GitHub's word in a workflow, else by git's."""

import os
from pathlib import Path

from ..errors import Outside
from ..external import git
from ..external.git import Checkout
from ..model import origin


def here(folder: Path = Path()) -> dict[str, str]:
    """The person or account that runs this, and the address of the workflow run; empty where they are not known."""
    try:
        actor = os.environ.get("GITHUB_ACTOR") or git.user_name(folder)
    except Outside:  # no git on this machine: it is a note, and stops nothing
        actor = ""
    return {"actor": origin.line(actor, "actor"), "run": origin.run_on_github(os.environ)}


def signed(done: str) -> str:
    """What was done, by whom and from where, for Helm's history."""
    return f"{done}{origin.by(**here())}"


def of(checkout: Checkout) -> dict[str, str]:
    """The same, with the subject of the commit that is checked out."""
    return {**here(checkout.folder), "subject": origin.line(checkout.subject(), "subject")}
