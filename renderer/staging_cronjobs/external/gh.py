"""What GitHub says of a repository, through its own program `gh`: read alone, and optional."""

from typing import Any

from ..errors import Outside
from . import shell

SECONDS = 20  # that one answer may take
QUIET = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
ABSENT = "(HTTP 404)"  # how gh ends its complaint


def get(path: str) -> list[Any] | None:
    """The pages of an answer of GitHub's API, as JSON; None where there is nothing, or nothing that one may see.

    Raises `Outside` where gh is missing, not logged in, not allowed to, or answers something else.
    """
    result = shell.run("gh", "api", "--paginate", path, env=QUIET, check=False, timeout=SECONDS)
    if result.code and ABSENT in result.stderr:
        return None
    if result.code:
        raise Outside(f"gh cannot read {path}: {result.complaint}")
    try:
        if pages := shell.documents(result.stdout):
            return pages
    except (ValueError, RecursionError):
        pass
    raise Outside(f"gh does not answer with JSON to {path}. Check it with `gh auth status`")
