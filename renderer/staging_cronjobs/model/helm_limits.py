"""What Helm, its YAML and a terminal cannot carry: nulls, some characters, large integers, what is nested too deep."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 60  # levels of a value; a CronJob needs about 20
EXACT = 2**53 - 1  # Helm reads every number as a 64-bit float: beyond, two integers would be one
# Characters that empty a whole spec without a word when Helm writes YAML (toYaml), and U+0085, which becomes a space.
UNWRITABLE = re.compile("[\x7f-\x9f\ufffe\uffff\ud800-\udfff]")


def without_nulls(value: Any) -> Any:
    """The same without null fields, which mean "absent" to Kubernetes and "delete" to Helm."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def unprintable(text: str) -> str:
    """What is wrong with a text that is one line of a record; empty when nothing is."""
    if text.isprintable():
        return ""
    found = next(char for char in text if not char.isprintable())
    return f"holds the character U+{ord(found):04X}, which cannot be shown: remove it"


def unwritable(value: Any, path: str = "") -> Iterator[str]:
    """Every place of a JSON value that would not survive, with the reason."""
    level = [(path, value)]
    for _ in range(DEEPEST):  # not by recursion: thousands of records are looked at
        below: list[tuple[str, Any]] = []
        for path, one in level:
            if isinstance(one, str):
                if match := _lost(one):
                    yield f"{path} holds the character U+{ord(match[0]):04X}, which YAML cannot carry: remove it"
            elif isinstance(one, dict):
                for key, item in one.items():
                    if key == "<<" or _lost(key):  # YAML takes << for a merge
                        yield f"{path} has the key {key!a}, which YAML cannot carry: rename it"
                    below.append((f"{path}.{key}" if path else key, item))
            elif isinstance(one, list):
                for index, item in enumerate(one):
                    if item is None:
                        yield f"{path}[{index}] is null: give it a value, or leave it out"
                    below.append((f"{path}[{index}]", item))
            elif isinstance(one, float) and not math.isfinite(one):
                yield f"{path} is {one}, which is not a number that JSON knows"
            elif isinstance(one, int | float) and abs(one) > EXACT:
                shown = one if isinstance(one, float) or abs(one) < 10**30 else "too large"  # 5,000 digits, say
                yield f"{path} is {shown}: Helm keeps integers exact only up to {EXACT}; write it as a string"
        level = below
    if level:
        yield f"it is nested more than {DEEPEST} levels: make it flatter"


def _lost(text: str) -> re.Match[str] | None:
    return None if text.isprintable() else UNWRITABLE.search(text)
