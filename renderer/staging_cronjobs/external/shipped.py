"""Files that come with the package: the chart, and the workflows of `staging init`."""

from pathlib import Path
from typing import Any

NAME = "staging-cronjobs"
FROM_GIT = f"{NAME} @ git+https://…@v…"  # how a project requires it, where nobody knows its address
PACKAGE = Path(__file__).parents[1]


def commit() -> str:
    """The commit that this package was installed from by git; empty for every other install."""
    return str((_origin().get("vcs_info") or {}).get("commit_id", ""))


def requirement() -> str:
    """What a project requires to have this package as it is here: by its name from an index, else from git."""
    origin = _origin()
    if not origin:
        return NAME
    return f"{NAME} @ git+{origin['url']}@{revision}" if (revision := commit()) else FROM_GIT


def _origin() -> dict[str, Any]:
    """Where the package was installed from, if not from an index: PEP 610."""
    import json
    from importlib import metadata

    try:
        found = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
        return found if isinstance(found, dict) else {}
    except (metadata.PackageNotFoundError, ValueError):
        return {}


def path(in_package: str, in_checkout: str) -> Path:
    """Where it is: inside the installed package, or in the checkout that this package lies in."""
    packaged = PACKAGE / in_package
    return packaged if packaged.exists() else PACKAGE.parents[1] / in_checkout
