"""Files that come with the package: the chart, and the workflows of `staging init`."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def commit() -> str:
    """The commit that this package was installed from by git; empty for every other install."""
    import json
    from importlib import metadata

    try:
        facts = json.loads(metadata.distribution("staging-cronjobs").read_text("direct_url.json") or "{}")
        return str(facts.get("vcs_info", {}).get("commit_id", ""))
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return ""


def path(in_package: str, in_checkout: str) -> Path:
    """Where it is: inside the installed package, or in the checkout that this package lies in."""
    packaged = PACKAGE / in_package
    return packaged if packaged.exists() else PACKAGE.parents[1] / in_checkout
