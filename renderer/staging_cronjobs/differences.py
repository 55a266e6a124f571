"""How two objects differ: the paths, and both values where showing them gives nothing away."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PRIVATE = ("env[", "args", "command", "annotations[", "httpHeaders[", "volumeAttributes.")  # may hold secrets
MAPS = frozenset({"labels", "annotations", "nodeSelector", "matchLabels"})  # their keys have dots and slashes
LONGEST = 80  # characters of a value that are shown


@dataclass(frozen=True)
class Difference:
    """One path at which they differ; None is absent, as it is to Kubernetes."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.path} {'added' if self.before is None else 'removed'}{self._alone()}"
        if self._hidden(self.before) or self._hidden(self.after):
            return self.path
        return f"{self.path} {_short(self.before)} → {_short(self.after)}"

    def _alone(self) -> str:
        value = self.after if self.before is None else self.before
        return "" if self._hidden(value) else f" ({_short(value)})"

    def _hidden(self, value: Any) -> bool:
        return isinstance(value, Mapping | list) or any(word in self.path for word in PRIVATE)


def between(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Every difference, as deep as it lies; containers, variables and the like go by name, and their order counts."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        named = path.rpartition(".")[2] in MAPS
        for key in sorted({*before, *after}):
            inner = f"{path}[{key}]" if named else f"{path}.{key}" if path else key
            yield from between(before.get(key), after.get(key), inner)
    elif (old := _by_name(before)) is not None and (new := _by_name(after)) is not None:
        for name in sorted({*old, *new}):
            yield from between(old.get(name), new.get(name), f"{path}[{name}]")
        was, now = [name for name in old if name in new], [name for name in new if name in old]
        if was != now:  # a variable may refer only to those before it
            yield Difference(f"{path} order", was, now)
    elif before != after:
        yield Difference(path, before, after)


def _by_name(value: Any) -> dict[str, Any] | None:
    """A list of objects by their names; None when they have none, or share one."""
    if not isinstance(value, list) or not value or not all(isinstance(v, Mapping) for v in value):
        return None
    found = {v["name"]: v for v in value if isinstance(v.get("name"), str)}
    return found if len(found) == len(value) else None


def _short(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
