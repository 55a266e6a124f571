"""The shape of the program: which folder may know which, and what may be slow to import."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "renderer" / "staging_cronjobs"
FILES = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}

# A file may import from its own folder and from those that stand after it, and nothing else of this package.
LAYERS = ("cli", "output", "verbs", "checks", "external", "model", "errors")


def imports(file: str) -> Iterator[str]:
    """The dotted name of everything that a file imports, in functions too, but for what is for type checkers."""
    package = ["staging_cronjobs", *file.split("/")[:-1]]
    waiting: list[ast.AST] = [ast.parse(FILES[file].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def layer(dotted: str) -> str:
    """The folder of this package that a dotted name lies in; empty for all others."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "staging_cronjobs" and len(parts) > 1 else ""


def outer(file: str) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(file)} - {"staging_cronjobs"}


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


@pytest.mark.parametrize("file", [file for file in FILES if "/" in file])
def test_arrows_go_one_way_between_folders(file: str) -> None:
    own = LAYERS.index(file.split("/")[0])
    wrong = {name for name in imports(file) if layer(name) in LAYERS[:own]}
    assert not wrong, f"{file} may not import {', '.join(sorted(wrong))}: see LAYERS"


def test_the_drawing_in_the_docs_and_the_folders_agree() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("<!-- drawing: folders -->")[1].split("```")[1]
    drawn = dict(re.findall(r"^ *(?:│ *)?([a-z]+)(?:/|\.py) +(.*?) *│?$", drawing, re.MULTILINE))
    assert tuple(drawn) == LAYERS
    for folder, names in list(drawn.items())[:-1]:
        there = {Path(file).stem for file in FILES if file.startswith(f"{folder}/") and "__" not in file}
        assert set(names.split()) == there, folder


def test_imports_inside_functions_and_of_whole_folders_are_seen() -> None:
    assert "staging_cronjobs.external.user_code_loader" in set(imports("external/user_code.py"))
    assert "staging_cronjobs.verbs.deploy" in set(imports("cli/project.py"))
    assert layer("staging_cronjobs.verbs.Say") == "verbs"
    assert "sh" in outer("external/shell.py")


def test_only_shell_starts_programs() -> None:
    starting = {"sh", "subprocess", "multiprocessing", "pty"}
    assert [file for file in FILES if outer(file) & starting] == ["external/shell.py"]


def test_only_two_adapters_speak_http() -> None:
    """One to Sentry, the other to a socket of its own."""
    web = {"requests", "urllib3", "http", "socket"}
    assert [file for file in FILES if outer(file) & web] == ["external/kubectl_proxy.py", "external/sentry.py"]


def test_only_printing_prints() -> None:
    """So nothing reaches a terminal that can act on it; values.py prints the chart's schema for whoever makes it."""
    streams = re.compile(r"(?<![.\w])print\(|\becho\(|sys\.std(out|err)\.write")
    printing = {file for file in FILES if streams.search(FILES[file].read_text(encoding="utf-8"))}
    assert printing == {"output/printing.py", "model/values.py"}


PROJECT = """
class Archiver:
    dataset_id = "a"
    def operational_kubernetes_resources(self, image): return []

ALL = [Archiver()]
"""


def test_the_loader_needs_the_standard_library_alone(tmp_path: Path) -> None:
    assert set(map(layer, imports("external/user_code_loader.py"))) == {""}
    assert outer("external/user_code_loader.py") <= sys.stdlib_module_names
    tmp_path.joinpath("project.py").write_text(PROJECT)
    without_packages = [sys.executable, "-I", "-S", str(FILES["external/user_code_loader.py"])]
    subprocess.run([*without_packages, "out.json", "image", "", "project:ALL"], cwd=tmp_path, check=True)
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
    assert "staging_cronjobs.model.staged_version" in found
    assert not (found - imported_by(EMPTY, "name")) & (HEAVY - {"pydantic"})
    # Newer Typers import pydantic when they read an option; of ours, these two need it.
    assert not found & {"staging_cronjobs.model.values", "staging_cronjobs.model.catalogue"}
    assert "pydantic" not in imported_by("import staging_cronjobs.model.staged_version")
