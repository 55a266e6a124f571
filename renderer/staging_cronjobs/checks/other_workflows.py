"""What a repository's other workflows do alike, to be proposed: pins, secrets, checks, platforms, the environment."""

import re
from collections.abc import Iterator, Mapping

from ..external.git import Checkout
from ..model import workflow_parts

FILE = re.compile(r"\.github/workflows/[\w.-]+\.ya?ml", re.ASCII)
USED = re.compile(r"^ *(?:- +)?uses: *['\"]?([\w-]+/[\w./-]+)@([\w.-]+)", re.ASCII | re.MULTILINE)
READ = re.compile(r"^ *([\w-]+): *['\"]?\$\{\{ *(?:secrets|vars)\.([A-Z0-9_]+)", re.ASCII | re.MULTILINE)
CHECK = re.compile(
    r"^ *(?:- +)?run: *['\"]?(uv run [^\n'\"]*?\b(ruff check|ruff format|ty check|pytest)\b[^\n'\"]*)", re.M
)
SYNC = re.compile(r"^ *(?:- +)?run: *['\"]?((uv sync)\b[^\n'\"]*)", re.MULTILINE)
PLATFORMS = re.compile(r"^ *(platforms): *['\"]?([\w/,. -]+)", re.ASCII | re.IGNORECASE | re.MULTILINE)
ENVIRONMENT = re.compile(r"^ *environment: *(?:\n *name: *)?['\"]?([\w.-]+)['\"]? *(?:#.*)?$", re.ASCII | re.MULTILINE)
HINT = "Use the same in the parts that are yours, if it is the same thing"
Found = list[tuple[str, str]]  # what, and how


def workflows(checkout: Checkout, ours: Mapping[str, str | None]) -> dict[str, str]:
    """The texts of all workflows but ours, by their paths; what stood in our place without marks is not ours either."""
    found = {path: checkout.text(path) for path in checkout.tracked if FILE.fullmatch(path) and path not in ours}
    return found | {
        f"the old {path}": text for path, text in ours.items() if text and not workflow_parts.of(text, path)
    }


def hints(others: Mapping[str, str], ours: str, text: str) -> list[str]:
    """One sentence for each thing that another workflow has otherwise than the parts of ours, a file with this text."""
    own = "".join(workflow_parts.of(text, ours).values())
    pins, names, platforms = USED.findall(own), READ.findall(own), PLATFORMS.findall(own.lower())
    commands = _commands(own)
    found = []
    for path, content in others.items():
        found += [
            f"{path} uses {action}@{pin}, and {ours} @{_first(pins)[action]}. {HINT}."
            for action, pin in _otherwise(USED.findall(content), pins)
        ]
        found += [
            f"{path} has {name} for {key}, and {ours} {_first(names)[key]}. {HINT}."
            for key, name in _otherwise(READ.findall(content), names)
        ]
        found += [
            f"{path} builds for {value.strip()}, and {ours} for {_first(platforms)[key]}. {HINT}."
            for key, value in _otherwise(PLATFORMS.findall(content.lower()), platforms)
        ]
        found += [
            f"{path} runs `{command}`, and {ours} `{_first(commands)[key]}`. {HINT}."
            for key, command in _otherwise(_commands(content), commands)
        ]
    return found


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
    found = [(key, command.rstrip()) for pattern in (SYNC, CHECK) for command, key in pattern.findall(text)]
    return [(key, re.sub(r"^uv run (--no-sync|--locked) ", "uv run ", command)) for key, command in found]


def _otherwise(found: Found, ours: Found) -> Iterator[tuple[str, str]]:
    """What is also ours, with another value, each once."""
    own = _first(ours)
    for key, value in dict.fromkeys(found):
        if key in own and (key, own[key]) not in found and (key, value) not in ours:
            yield key, value


def _first(found: Found) -> dict[str, str]:
    return dict(reversed(found))
