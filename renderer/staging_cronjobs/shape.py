"""What a CronJob's spec must look like where this program and the chart look into it; the rest is asked of the cluster.

The chart's `staging-cronjobs.shape` is the same, for values that were written by hand.
"""

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

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
