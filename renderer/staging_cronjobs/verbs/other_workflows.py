"""What a repository's other workflows do alike: the same actions at other commits, the same inputs from other names."""

import re
from collections.abc import Collection, Iterator

from ..external.git import Checkout
from ..model import workflow_parts

FILE = re.compile(r"\.github/workflows/[\w.-]+\.ya?ml", re.ASCII)
USED = re.compile(r"^ *(?:- +)?uses: *['\"]?([\w-]+/[\w./-]+)@([\w.-]+)", re.ASCII | re.MULTILINE)
READ = re.compile(r"^ *([\w-]+): *['\"]?\$\{\{ *(?:secrets|vars)\.([A-Z0-9_]+)", re.ASCII | re.MULTILINE)
HINT = "Use the same in the parts that are yours, if it is the same thing"


def hints(checkout: Checkout, ours: str, text: str, others: Collection[str]) -> list[str]:
    """One sentence for each thing that another workflow has otherwise than the parts of ours, a file with this text."""
    own = "".join(workflow_parts.of(text, ours).values())
    pins, names = dict(USED.findall(own)), dict(READ.findall(own))
    found = []
    for path in checkout.tracked():
        if FILE.fullmatch(path) and path not in others:
            content = checkout.text(path)
            found += [
                f"{path} uses {action}@{pin}, and {ours} @{pins[action]}. {HINT}."
                for action, pin in _otherwise(USED.findall(content), pins)
            ]
            found += [
                f"{path} has {name} for {key}, and {ours} {names[key]}. {HINT}."
                for key, name in _otherwise(READ.findall(content), names)
            ]
    return found


def _otherwise(found: list[tuple[str, str]], ours: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What is also ours, with another value, each once."""
    for key, value in dict.fromkeys(found):
        if key in ours and (key, ours[key]) not in found and value != ours[key]:
            yield key, value
