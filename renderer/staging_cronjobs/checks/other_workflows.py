"""What a repository's other workflows do alike, to be proposed: pins, secrets, checks, platforms, the environment."""

import re
from collections.abc import Iterator, Mapping

from ..external.git import Checkout
from ..model import workflow_parts

FILE = re.compile(r"\.github/workflows/[\w.-]+\.ya?ml", re.ASCII)
USED = re.compile(r"^ *(?:- +)?uses: *['\"]?([\w-]+/[\w./-]+)@([\w.-]+)", re.ASCII | re.MULTILINE)
READ = re.compile(r"^ *([\w-]+): *['\"]?\$\{\{ *(?:secrets|vars)\.([A-Z0-9_]+)", re.ASCII | re.MULTILINE)
RUN = r"^ *(?:- +)?(?:run: *)?(?P<quote>['\"]?)"  # before a command, on a line of its own or not
CHECK = re.compile(RUN + r"(?P<command>uv run .*?\b(?P<key>ruff check|ruff format|ty check|pytest)\b.*)", re.M)
SYNC = re.compile(RUN + r"(?P<command>(?P<key>uv sync)\b.*)", re.MULTILINE)
PLATFORMS = re.compile(r"^ *(platforms): *['\"]?([\w/,. -]+)", re.ASCII | re.IGNORECASE | re.MULTILINE)
ENVIRONMENT = re.compile(r"^ *environment: *(?:\n *name: *)?['\"]?([\w.-]+)['\"]? *(?:#.*)?$", re.ASCII | re.MULTILINE)
NAMED = re.compile(r"\b(?:secrets|vars)(?:\.|\[ *['\"])(\w+)", re.ASCII)  # anywhere in a workflow
OF_GITHUB = "GITHUB_TOKEN"
HINT = "Use the same in the parts that are yours, where it is the same thing."
Found = list[tuple[str, str]]  # what, and how


def workflows(checkout: Checkout, ours: Mapping[str, str | None]) -> dict[str, str]:
    """The texts of all workflows but ours, by their paths; what stood in our place without marks is not ours either."""
    found = {path: checkout.text(path) for path in checkout.tracked if FILE.fullmatch(path) and path not in ours}
    return found | {
        f"the old {path}": text for path, text in ours.items() if text and not workflow_parts.of(text, path)
    }


def hints(others: Mapping[str, str], ours: str, text: str) -> list[str]:
    """One sentence for each thing that others have otherwise than the parts of ours, a file with this text."""
    own = "".join(workflow_parts.of(text, ours).values())
    paths: dict[str, list[str]] = {}  # of those that have the same otherwise
    for path, content in others.items():
        for difference in _differences(own, content):
            paths.setdefault(difference, []).append(path)
    found = [f"{ours} {difference} in {' and '.join(paths[difference])}." for difference in paths]
    found += _names(others, ours, own)
    return [*found, HINT] if found else []


def _differences(own: str, content: str) -> Iterator[str]:
    for action, before, pin in _otherwise(USED.findall(content), USED.findall(own)):
        yield f"uses {action}@{before}, and it is @{pin}"
    for key, before, name in _otherwise(READ.findall(content), READ.findall(own)):
        yield f"has {before} for {key}, and it is {name}"
    for _, before, value in _otherwise(PLATFORMS.findall(content.lower()), PLATFORMS.findall(own.lower())):
        yield f"builds for {before}, and it is {value.strip()}"
    for _, before, command in _otherwise(_commands(content), _commands(own)):
        yield f"runs `{before}`, and it is `{command}`"


def _names(others: Mapping[str, str], ours: str, own: str) -> list[str]:
    """What others read of secrets and variables in any place, where ours reads something that none of them does."""
    told: set[str] = set()
    theirs: dict[str, str] = {}  # name -> path
    for path, text in others.items():
        told.update(name for _, *pair in _otherwise(READ.findall(text), READ.findall(own)) for name in pair)
        theirs = dict.fromkeys(NAMED.findall(text), path) | theirs
    read = dict.fromkeys(NAMED.findall(own))
    lone = [name for name in read if name not in {*theirs, *told}]
    more: dict[str, list[str]] = {}
    for name in sorted(theirs.keys() - read.keys() - told - {OF_GITHUB}):
        more.setdefault(theirs[name], []).append(name)
    if not (lone and more):
        return []
    said = ", ".join(f"{path} reads {', '.join(names)}" for path, names in more.items())
    return [f"{ours} reads {', '.join(lone)}. No other workflow does, and {said}."]


def environment(others: Mapping[str, str], ours: str) -> list[str]:
    """Which environment the others deploy to, where it is not ours."""
    named = {name: path for path, text in others.items() for name in ENVIRONMENT.findall(text)}
    return [
        f"{path} deploys to the environment {name}, and the staging workflows use {ours}. To use the same: "
        f"`staging init --environment {name}`. Whoever can push a stage branch then has its rights."
        for name, path in sorted(named.items())
        if name != ours and ours not in named
    ]


def _commands(text: str) -> Found:
    """The commands that install and check, by what they do; whether they install first makes no difference."""
    found = [match for pattern in (SYNC, CHECK) for match in pattern.finditer(text)]
    commands = [(match["key"], match["command"].strip().removesuffix(match["quote"] or "\0")) for match in found]
    return [(key, re.sub(r"^uv run (--no-sync|--locked) ", "uv run ", command)) for key, command in commands]


def _otherwise(found: Found, ours: Found) -> Iterator[tuple[str, str, str]]:
    """What is also ours, with another value: our first value, and theirs, each once."""
    own = dict(reversed(ours))
    for key, value in dict.fromkeys(found):
        if key in own and (key, own[key]) not in found and (key, value) not in ours:
            yield key, own[key], value
