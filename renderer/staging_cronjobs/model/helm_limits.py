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


def carried(value: Any) -> bool:
    """Whether a value is surely neither `too_deep` nor `unwritable`: the quick look at each of thousands of records."""
    level = [value]
    for _ in range(DEEPEST - 1):
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is str:
                if not one.isprintable() and UNWRITABLE.search(one):
                    return False
            elif kind is dict:
                for key in one:
                    if type(key) is not str or key == "<<" or (not key.isprintable() and UNWRITABLE.search(key)):
                        return False
                below += one.values()
            elif kind is list:
                if None in one:
                    return False
                below += one
            elif not (one is None or kind is bool or (kind in (int, float) and -EXACT <= one <= EXACT)):
                return False
        if not below:
            return True
        level = below
    return False


def too_deep(value: Any) -> bool:
    """Whether a value has more levels than any CronJob, or lies within itself."""
    level: list[Any] = [[value]]
    for _ in range(DEEPEST):
        level = [v for one in level for v in (one.values() if isinstance(one, Mapping) else one)]
        level = [v for v in level if isinstance(v, Mapping | list)]
    return bool(level)


def unwritable(value: Any, path: str = "") -> Iterator[str]:
    """Every place whose value would not survive, with the reason."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{path} has the key {key!r}, which is no string: quote it"
                continue
            if key == "<<" or UNWRITABLE.search(key):  # YAML takes << for a merge
                yield f"{path} has the key {key!a}, which YAML cannot carry: rename it"
            yield from unwritable(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if item is None:
                yield f"{path}[{index}] is null: give it a value, or leave it out"
            yield from unwritable(item, f"{path}[{index}]")
    elif isinstance(value, str) and (match := UNWRITABLE.search(value)):
        yield f"{path} holds the character U+{ord(match[0]):04X}, which YAML cannot carry: remove it"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which is not a number that JSON knows"
    elif isinstance(value, int | float) and abs(value) > EXACT:
        shown = value if isinstance(value, float) or abs(value) < 10**30 else "too large"  # 5,000 digits, say
        yield f"{path} is {shown}: Helm keeps integers exact only up to {EXACT}; write it as a string"
