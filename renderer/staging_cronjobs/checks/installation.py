"""How a project installs this package: from where, and whether production's install still starts without it."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..external import shipped
from ..external.git import Checkout

PACKAGE, MODULE, GROUP = shipped.NAME, "staging_cronjobs", "staging"
LOCAL = ("path", "directory", "editable")  # sources that are a path, in pyproject.toml or uv.lock
REQUIRED = re.compile(r"staging[-_.]+cronjobs(?![\w.-])", re.IGNORECASE)
CAUGHT = re.compile(r"\b(ImportError|ModuleNotFoundError|Exception|BaseException)\b")
CHOSEN = re.compile(r"TYPE_CHECKING|find_spec")  # an `if` that runs only where the package is, or never
TESTS = re.compile(r"(.*/)?(tests?/.*|test_[^/]*|conftest\.py)")  # never run in production


def lacking(checkout: Checkout, pyproject: str, lock: str | None) -> list[str]:
    """What the workflows or production's install would not find, a sentence each."""
    project = tomllib.loads(pyproject)
    groups = _table(project, "dependency-groups")
    if GROUP not in groups:
        add = shlex.join(("uv", "add", "--group", GROUP, shipped.requirement()))
        return [f"pyproject.toml has no dependency group {GROUP}. Run `{add}`"]
    try:
        locked = [p for p in tomllib.loads(lock or "").get("package", []) if p["name"] == PACKAGE]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ["uv.lock cannot be read. Run `uv lock`"]
    if not locked:
        return ["uv.lock is missing, or has no staging-cronjobs. Run `uv lock`"]
    sources = _table(project, "tool", "uv", "sources").get(PACKAGE)
    named = [source for source in (sources if isinstance(sources, list) else [sources]) if isinstance(source, dict)]
    local = [place for source in (*named, *map(_source, locked)) if (place := _local(checkout.folder, source))]
    found = [
        f"{PACKAGE} is installed from {place}, which neither an image nor a workflow has. "
        f'Name its repository and a tag. Run `uv add --group {GROUP} "{shipped.FROM_GIT}"`'
        for place in local[:1]
    ]
    return found + _unguarded(checkout, project, groups)


def _unguarded(checkout: Checkout, project: Mapping[str, Any], groups: Mapping[str, Any]) -> list[str]:
    """What would keep a program that mounts our commands from starting, or from having them."""
    if any(map(REQUIRED.match, _strings(_table(project, "project").get("dependencies")))):
        return []
    files = [path for path in checkout.tracked if path.endswith(".py") and not TESTS.fullmatch(path)]
    using = {path: text for path in files if MODULE in (text := checkout.text(path))}
    bare = [(path, line) for path, text in using.items() for line in unguarded_imports(text)]
    found = [
        f"{path} line {line} imports {MODULE}, and production's install is without it: only the group {GROUP} has it. "
        "Put `try:` and `except ImportError:` around the import"
        for path, line in bare
    ]
    defaults = _table(project, "tool", "uv").get("default-groups", ["dev"])
    if using and defaults != "all" and not any(_includes(groups, name) for name in _strings(defaults)):
        found.append(
            f"{min(using)} uses {MODULE}, and `uv run` does not install it. "
            f'Add {{ include-group = "{GROUP}" }} to the dependency group dev in pyproject.toml. Run `uv lock`'
        )
    return found


def unguarded_imports(text: str) -> list[int]:
    """The lines of Python code that import this package where nothing catches that it is not there."""
    try:
        return sorted(_bare(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # of another Python, or broken: its own tests say so


def _bare(node: ast.AST) -> Iterator[int]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if any(name.split(".")[0] == MODULE for name in names) and not getattr(node, "level", 0):
            yield node.lineno
        return
    for inner in ast.iter_child_nodes(node):
        if not _guarded(node, inner):
            yield from _bare(inner)


def _guarded(node: ast.AST, inner: ast.AST) -> bool:
    """Whether the inner node runs only where the package is, or a failed import is caught."""
    if isinstance(node, ast.If):
        return inner in node.body and bool(CHOSEN.search(ast.unparse(node.test)))
    if isinstance(node, ast.Try):
        caught = [ast.unparse(handler.type) if handler.type else "Exception" for handler in node.handlers]
        return inner in node.body + node.orelse and any(map(CAUGHT.search, caught))
    if isinstance(node, ast.With):
        items = [ast.unparse(item) for item in node.items]
        return inner in node.body and any("suppress(" in item and CAUGHT.search(item) for item in items)
    return False


def _includes(groups: Mapping[str, Any], name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a dependency group is the one that has this package, or leads to it."""
    entries = groups.get(name)
    if name == GROUP or name in seen or not isinstance(entries, list):
        return name == GROUP
    if any(map(REQUIRED.match, _strings(entries))):
        return True
    further = [entry.get("include-group") for entry in entries if isinstance(entry, dict)]
    return any(_includes(groups, other, seen | {name}) for other in _strings(further))


def _local(folder: Path, source: Mapping[str, Any]) -> str:
    """A place on one machine that the package comes from; empty for one that every machine reaches."""
    for kind, place in source.items():
        if isinstance(place, str) and kind in LOCAL and not (folder / place).resolve().is_relative_to(folder):
            return place
        if isinstance(place, str) and kind in ("git", "url") and place.removeprefix("git+").startswith(("file:", "/")):
            return place
    return ""


def _source(package: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(package, "source")


def _table(content: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The table under these names; empty when there is none."""
    for name in names:
        content = content.get(name, {})
        if not isinstance(content, Mapping):
            return {}
    return content


def _strings(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
