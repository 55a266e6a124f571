"""The shape of the program: which module may know which, and what may be slow to import."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "renderer" / "staging_cronjobs"
MODULES = {file.stem: file for file in sorted(PACKAGE.glob("*.py")) if file.stem != "__init__"}

# A module may import what stands in a later row than its own, and nothing else of this package.
LAYERS = (
    ("cli",),
    ("mounted", "operating"),
    ("calls",),
    ("options", "display", "summary"),
    ("deploy", "controls", "sweep", "many", "init"),
    ("cleanup", "overview"),
    ("checks", "locks"),
    ("objects", "changes", "references"),
    ("releases", "branches", "monitors", "predecessors"),
    ("cluster",),
    ("values",),
    ("catalogue", "carry", "shape"),
    ("staged_version", "settings", "loader", "differences", "schedules", "actions"),
    ("shell",),
    ("errors",),
)
LINES = 250


def nodes(module: str) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import of a module, those inside functions included and those for type checkers left out."""
    waiting: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def inner(module: str) -> set[str]:
    """The modules of this package that a module imports."""
    found: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif node.level:
            dotted = [f"staging_cronjobs.{node.module}"] if node.module else []
            dotted += [] if node.module else [f"staging_cronjobs.{alias.name}" for alias in node.names]
        else:
            dotted = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {parts[1] for name in dotted if (parts := name.split("."))[0] == "staging_cronjobs" and len(parts) > 1}
    return found & MODULES.keys()


def outer(module: str) -> set[str]:
    """The top-level packages that a module imports."""
    absolute = [n for n in nodes(module) if isinstance(n, ast.Import) or not n.level]
    names = [a.name for n in absolute if isinstance(n, ast.Import) for a in n.names]
    return {
        name.split(".")[0] for name in [*names, *(n.module or "" for n in absolute if isinstance(n, ast.ImportFrom))]
    }


SHOWN = """
import sys
sys.argv = ["staging", *{args!r}]
try:
    {code}
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules, file=sys.stderr)
"""


def imported_by(code: str, *args: str) -> set[str]:
    """The top-level packages, and the modules of ours, that a child process has imported at the end."""
    shown = SHOWN.format(args=list(args), code=code)
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = done.stderr.split()
    return {name.split(".")[0] for name in names} | {n for n in names if n.startswith("staging_cronjobs.")}


def test_every_module_has_a_layer() -> None:
    known = {module for row in LAYERS for module in row}
    assert not MODULES.keys() - known, "a new module belongs into a row of LAYERS: above all that it imports"
    assert not known - MODULES.keys(), "a module that is gone belongs out of LAYERS"


@pytest.mark.parametrize("module", MODULES)
def test_arrows_go_one_way(module: str) -> None:
    level = {name: row for row, names in enumerate(LAYERS) for name in names}
    wrong = {other for other in inner(module) if level[other] <= level[module]}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}: see LAYERS"


def test_imports_inside_functions_are_seen() -> None:
    assert "loader" in inner("catalogue")
    assert "deploy" in inner("calls")
    assert "sh" in outer("shell")


def test_only_shell_starts_programs() -> None:
    starting = {"sh", "subprocess", "multiprocessing", "pty"}
    assert [module for module in MODULES if outer(module) & starting] == ["shell"]


def test_only_monitors_speaks_http() -> None:
    web = {"requests", "urllib3", "http", "socket"}
    assert [module for module in MODULES if outer(module) & web] == ["monitors"]


PROJECT = """
class Archiver:
    dataset_id = "a"
    def operational_kubernetes_resources(self, image): return []

ALL = [Archiver()]
"""


def test_the_loader_needs_the_standard_library_alone(tmp_path: Path) -> None:
    assert inner("loader") == set()
    assert outer("loader") <= sys.stdlib_module_names
    tmp_path.joinpath("project.py").write_text(PROJECT)
    without_packages = [sys.executable, "-I", "-S", str(PACKAGE / "loader.py"), "out.json", "image", "", "project:ALL"]
    subprocess.run(without_packages, cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "out.json").read_text()) == [{"dataset_id": "a", "cronjobs": []}]


HEAVY = {"sh", "requests", "rich", "ruamel", "pydantic"}
MAIN = "from staging_cronjobs.cli import main; main()"
EMPTY = (  # what Typer itself imports for such a command, which differs between its versions
    "import typer; app = typer.Typer(name='x', rich_markup_mode=None, add_completion=False); "
    "app.callback()(lambda: None); app.command(name='name')(lambda: None); app()"
)


def test_help_imports_nothing_heavy() -> None:
    found = imported_by(MAIN, "--help")
    assert "staging_cronjobs.cli" in found
    assert not (found - imported_by(EMPTY, "--help")) & HEAVY


def test_a_name_is_printed_without_anything_heavy() -> None:
    args = ("name", "--dataset-id", "ridge-snow", "--version", "0.2.0", "--key", "update")
    found = imported_by(MAIN, *args)
    assert "staging_cronjobs.staged_version" in found
    assert not (found - imported_by(EMPTY, "name")) & (HEAVY - {"pydantic"})
    # Newer Typers import pydantic when they read an option; of ours, these two need it.
    assert not found & {"staging_cronjobs.values", "staging_cronjobs.catalogue"}
    assert "pydantic" not in imported_by("import staging_cronjobs.staged_version")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stays_readable_at_one_sitting(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LINES, f"{module}.py has {lines} lines: split it by what it knows"
