"""What a CronJob's spec must look like where this program and the chart look into it, and what Helm cannot carry.

The rest is asked of the cluster. The chart's `staging-cronjobs.shape` is the same, for values written by hand.
"""

import math
import re
from collections.abc import Iterator, Mapping
from types import NoneType
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


def pod_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod's spec within a CronJob's spec."""
    return spec["jobTemplate"]["spec"]["template"]["spec"]


def unprintable(text: str) -> str:
    """What is wrong with a text that is one line of a record; empty when nothing is."""
    found = next((char for char in text if not char.isprintable()), "")
    return found and f"holds the character U+{ord(found):04X}, which cannot be shown: remove it"


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


# An example of each kind; a field with "?" may be missing, a list without one may not be empty.
_CONTAINERS = [{"env?": [{"name?": ""}]}]
_METADATA = {"labels?": {}}
SPEC: dict[str, Any] = {
    "schedule": "",
    "suspend?": False,
    "jobTemplate": {
        "metadata?": _METADATA,
        "spec": {
            "completionMode?": "",
            "completions?": 1,
            "template": {
                "metadata?": _METADATA,
                "spec": {"containers": _CONTAINERS, "initContainers?": _CONTAINERS},
            },
        },
    },
}
_KINDS: dict[str, tuple[type, ...]] = {
    "missing": (NoneType,),
    "a boolean (true or false)": (bool,),  # before numbers: to Python it is one
    "a string": (str,),
    "a number": (int, float),
    "a list": (list,),
    "an object": (Mapping,),
}


def misshapen(value: Any, wanted: Any, path: str) -> Iterator[str]:
    """Every place whose kind is not the wanted one, in the words of the chart."""
    if _kind(value) != _kind(wanted):
        fix = "; quote it" if isinstance(wanted, str) and isinstance(value, int | float) else ""
        yield f"{path} is {_kind(value)}: it must be {_kind(wanted)}{fix}"
    elif isinstance(wanted, Mapping):
        for field, inner in wanted.items():
            name = field.removesuffix("?")
            if name == field and isinstance(inner, list) and value.get(name) == []:
                yield f"{path}.{name} is an empty list: it must have an item"
            elif name == field or value.get(name) is not None:
                yield from misshapen(value.get(name), inner, f"{path}.{name}")
    elif isinstance(wanted, list):
        for number, item in enumerate(value):
            yield from misshapen(item, wanted[0], f"{path}[{number}]")


def _kind(value: Any) -> str:
    return next((words for words, types in _KINDS.items() if isinstance(value, types)), type(value).__name__)
