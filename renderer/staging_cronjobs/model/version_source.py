"""Where a project says its versions, if not in Zarr templates: a key of a JSON, TOML or Python file, read as text."""

import ast
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Refused
from .staged_version import VERSION

SETTING = re.compile(r"((?:\{template\}/)?[^:{}]*(?:\{dataset_id\}[^:{}]*)*\.(json|toml|py)):([^:]+)")
PART = re.compile(r"[^.{}\s]+|\{dataset_id\}")
EXAMPLE = "src/weather/versions.json:{dataset_id}"
KINDS = {"json": "JSON", "toml": "TOML", "py": "Python"}


@dataclass(frozen=True)
class VersionSource:
    """A file of the repository, and the key in it, both perhaps a dataset's own."""

    file: str
    kind: str
    key: tuple[str, ...]

    @property
    def own_file(self) -> bool:
        """Whether each dataset has a file, so that a new one's is not there yet."""
        return "{" in self.file

    @property
    def needs_template(self) -> bool:
        """Whether the file is in the folder that a dataset's code names."""
        return self.file.startswith("{template}")

    def path(self, template_path: str, dataset_id: str) -> str:
        """The file of a dataset."""
        return self.file.replace("{template}", template_path or ".").replace("{dataset_id}", dataset_id)

    def version(self, text: str, where: str, dataset_id: str) -> str | None:
        """The version that the file of this text says; None when it has all others and not this dataset's.

        Raises `Refused` for what cannot be compared.
        """
        found, names = self._content(text, where), []
        for part in self.key:
            names.append(name := part.replace("{dataset_id}", dataset_id))
            inner = _inside(found, name)
            if inner == [] and part != name and _whole(found):
                return None
            if len(inner) != 1:
                what = "more than one" if inner else "no"
                raise Refused(
                    f"{where} has {what} {'.'.join(names)} that can be read as it stands, so the version of "
                    f"{dataset_id} cannot be compared. Correct it, or version-source."
                )
            found = inner[0]
        value = found.value if isinstance(found, ast.Constant) else found
        if not isinstance(value, str) or not VERSION.fullmatch(value):
            shown = repr(value)[:60] if not isinstance(value, ast.AST) else "code"
            raise Refused(
                f"{where} has {shown} as {'.'.join(names)}, which cannot be compared. "
                'It must be text, numbers joined by dots, such as "0.2.0".'
            )
        return value

    def _content(self, text: str, where: str) -> Any:
        read = {"json": json.loads, "toml": tomllib.loads, "py": ast.parse}[self.kind]
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise Refused(
                f"{where} cannot be read as {KINDS[self.kind]}, so its version cannot be compared. Correct it."
            ) from None


def parse(setting: str) -> VersionSource | None:
    """The setting as a file and a key; None for one that is empty or cannot be used."""
    found = SETTING.fullmatch(setting)
    parts = found[3].split(".") if found else []
    if not found or not setting.isprintable() or not all(PART.fullmatch(part) for part in parts):
        return None
    return VersionSource(found[1], found[2], tuple(parts))


def problem(setting: str) -> str:
    """What is wrong with the setting; empty when it can be used."""
    if not setting or parse(setting):
        return ""
    return (
        f"version-source is {setting!r}. It must be a JSON, TOML or Python file and a key in it, such as {EXAMPLE!r}."
    )


def _inside(found: Any, name: str) -> list[Any]:
    """What stands under a name: in a table, or in Python in a module, a class, a dictionary or a call."""
    if isinstance(found, Mapping):
        return [found[name]] if name in found else []
    if isinstance(found, ast.Module | ast.ClassDef):
        return [value for statement in found.body for value in _set(statement, name)]
    if isinstance(found, ast.Dict):
        pairs = zip(found.keys, found.values, strict=True)
        return [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == name]
    if isinstance(found, ast.Call):
        return [keyword.value for keyword in found.keywords if keyword.arg == name]
    return []


def _set(statement: ast.stmt, name: str) -> list[ast.AST]:
    """What a statement gives a name."""
    if isinstance(statement, ast.ClassDef):
        return [statement] if statement.name == name else []
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign) and statement.value:
        targets = [statement.target]
    named = [target for target in targets if isinstance(target, ast.Name) and target.id == name]
    return (
        [statement.value] * len(named) if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value else []
    )


def _whole(found: Any) -> bool:
    """Whether what a table does not show is not there: in Python it could come from elsewhere."""
    plain = isinstance(found, ast.Dict) and all(isinstance(key, ast.Constant) for key in found.keys)
    return plain or isinstance(found, Mapping)
