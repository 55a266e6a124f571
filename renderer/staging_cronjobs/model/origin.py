"""Who deployed a version, and from where. Others wrote these words: they become harmless where they enter."""

import re
from collections.abc import Iterator, Mapping

from .staged_version import shown

LONGEST = {"actor": 80, "subject": 120, "run": 300}  # characters
ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._~%/?=&+-]*")
ENOUGH = 10_000  # characters of a text that are looked at


def line(text: str, field: str) -> str:
    """A text of others as one printable line, as short as this field of a record must be."""
    printable = "".join(c if c.isprintable() else "?" for c in " ".join(text[:ENOUGH].split()))
    longest = LONGEST[field]
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"


def run_on_github(environment: Mapping[str, str]) -> str:
    """The address of the workflow run that this is a step of; empty elsewhere."""
    server, repository, run = (environment.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    address = f"{server}/{repository}/actions/runs/{run}"
    return address if repository and run and not [*problems({"run": address})] else ""


def problems(facts: Mapping[str, str]) -> Iterator[str]:
    """What in these facts nobody has written here."""
    for field, text in facts.items():
        if len(text) > LONGEST[field]:
            yield f"record.{field} has {len(text)} characters: {LONGEST[field]} at most"
    if (run := facts.get("run")) and not ADDRESS.fullmatch(run):
        yield f"record.run is {shown(run)}: it must be an https address"


def by(actor: str, run: str) -> str:
    """Who, and from where, as the end of a sentence; empty when it is not known."""
    return f"{f' by {actor}' if actor else ''}{f' ({run})' if run else ''}"
