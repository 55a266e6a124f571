"""What Helm carries unchanged from a values file to the cluster, and what it does not."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

EXACT = 2**53 - 1  # Helm reads every number as a 64-bit float: beyond, two integers would be one
# Characters that empty a whole spec without a word when Helm writes YAML (toYaml), and U+0085, which becomes a space.
UNWRITABLE = re.compile("[\x7f-\x9f\ufffe\uffff\ud800-\udfff]")


def without_nulls(value: Any) -> Any:
    """The same without null fields, which mean "absent" to Kubernetes and "delete" to Helm."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def unwritable(value: Any, path: str = "") -> Iterator[str]:
    """Every place whose value would not survive, with the reason."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "<<" or UNWRITABLE.search(key):  # YAML takes << for a merge
                yield f"{path} has the key {key!a}, which YAML cannot carry: rename it"
            yield from unwritable(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unwritable(item, f"{path}[{index}]")
    elif isinstance(value, str) and (match := UNWRITABLE.search(value)):
        yield f"{path} holds the character U+{ord(match[0]):04X}, which YAML cannot carry: remove it"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which is not a number that JSON knows"
    elif isinstance(value, int | float) and abs(value) > EXACT:
        yield f"{path} is {value}: Helm keeps integers exact only up to {EXACT}; write it as a string"
