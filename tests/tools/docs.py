"""What the documentation shows is what the program prints: `python tests/tools/docs.py` checks, `--write` writes it.

Each part is a comment in a Markdown file and the fenced block or table under it:

    <!-- output: staging list --help -->    what a command prints that needs neither project nor cluster
    <!-- session: list -->                  a step of the session below, which runs on a real control plane
    <!-- table: settings -->                or `exit codes`, `modules`: read from the code

It also writes the chart's README, with helm-docs, and the table of docs/compatibility.md.
"""

import argparse
import ast
import difflib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

import compatibility
from controlplane import binaries, cluster
from repositories import Repository, make_repository
from staging_cronjobs import cli, errors
from staging_cronjobs.model import settings

ROOT = Path(__file__).parents[2]
CHART_README = ROOT / "charts" / "staging-cronjobs" / "README.md"
FILES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted(ROOT.glob("docs/*.md")), CHART_README]
PACKAGE = ROOT / "renderer" / "staging_cronjobs"
LAYERS = ("cli", "output", "verbs", "external", "model")
CHART = ROOT / "charts" / "staging-cronjobs"
TERMINAL = ROOT / "docs" / "terminal.svg"
TERMINAL_STEPS = ("deploy", "list", "cleanup")

PART = re.compile(
    r"(?P<marker><!-- (?P<kind>output|session|table): (?P<name>[^>\n]+) -->\n)"
    r"(?P<old>```\w*\n.*?^```\n|(?:\|[^\n]*\n)+)?",
    re.DOTALL | re.MULTILINE,
)
WIDTH = 100  # columns of help texts

CONTEXT, NAMESPACE = "my-cluster", "weather"  # what readers see
DATASET = "ridge-snow"
TIME = re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\b")  # as `helm history` prints it
SOME_TIME = "Mon Jan  5 09:00:00 2026"
MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # as Kubernetes writes it
SOME_MOMENT = "2026-01-05T09:00:00Z"

CODES = {
    0: "Done.",
    1: "A bug in this program. Please report it with the traceback.",
    130: "Interrupted by ^C or SIGTERM. Run the same command again to finish.",
    141: "The output pipe was closed early, as by `staging list | head -1`.",
}


def main() -> int:
    """Check, or write with `--write`; both run the session on a control plane of their own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write the parts instead of checking them")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory(prefix="weather-") as folder, cluster.running() as plane:
        plane.kubectl("create", "namespace", NAMESPACE)
        shown = run_session(make_repository(Path(folder)), plane, NAMESPACE, str(plane.bin))
    if write:
        for file in FILES:
            file.write_text(generated(file, shown))
        TERMINAL.write_text(picture(shown))
        CHART_README.write_text(chart_readme())
        compatibility.PAGE.write_text(compatibility.written())
    found = [difference for file in FILES for difference in differences(file, shown)]
    found += picture_differences(shown) + difference(CHART_README, chart_readme())
    found += difference(compatibility.PAGE, compatibility.written())
    sys.stdout.writelines(found)
    return 1 if found else 0


def differences(file: Path, shown: Mapping[str, str] | None) -> list[str]:
    """A diff from what a file has to what it should have; without a session's steps, of the other parts alone."""
    return difference(file, generated(file, shown))


def difference(file: Path, new: str) -> list[str]:
    """A diff from what a file has to what it should have."""
    name = str(file.relative_to(ROOT))
    return list(
        difflib.unified_diff(file.read_text().splitlines(True), new.splitlines(True), name, f"{name} (make docs)")
    )


def picture_differences(shown: Mapping[str, str]) -> list[str]:
    """A diff from the text in the picture to the session's."""
    old = picture_lines(TERMINAL.read_text()) if TERMINAL.exists() else []
    new = terminal(shown).splitlines()
    name = str(TERMINAL.relative_to(ROOT))
    return [f"{line}\n" for line in difflib.unified_diff(old, new, name, f"{name} (make docs)", lineterm="")]


def generated(file: Path, shown: Mapping[str, str] | None) -> str:
    """The file's text with every part as it should be."""

    def replaced(match: re.Match[str]) -> str:
        kind, name, old = match["kind"], match["name"], match["old"] or ""
        if kind == "session":
            new = old if shown is None else fenced(shown[name])
        elif kind == "output":
            new = fenced("".join(map(output, name.split(" && "))))
        else:
            tables = {"exit codes": exit_codes_table, "modules": modules_table}
            new = settings_table(old) if name == "settings" else tables[name]()
        return match["marker"] + new

    return PART.sub(replaced, file.read_text())


def fenced(text: str) -> str:
    """Text as a block."""
    return f"```text\n{text.rstrip()}\n```\n"


# -- what needs no cluster ---------------------------------------------------------------------------------------------


def apps() -> dict[str, Any]:
    """The program, and a user's own that has our commands mounted."""
    weather = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    weather.command(name="update")(lambda: None)
    cli.mount(weather, [])
    return {"staging": typer.main.get_command(cli.app), "weather": typer.main.get_command(weather)}


def output(line: str) -> str:
    """What a command prints, run in this process."""
    program, *args = shlex.split(line)
    printed = io.StringIO()
    with redirect_stdout(printed):
        apps()[program].main(args=args, prog_name=program, standalone_mode=False, terminal_width=WIDTH)
    return printed.getvalue()


def chart_readme() -> str:
    """The chart's README, as helm-docs makes it of its template, values.yaml and the schema."""
    options = ("--dry-run", "--sort-values-order=file", "--log-level=warning", f"--chart-search-root={CHART}")
    done = subprocess.run([binaries.path("helm-docs"), *options], capture_output=True, text=True, check=True)
    return done.stdout


def settings_table(old: str) -> str:
    """Every setting, by the code; what it means stays as the table has it, or is the code's own comment."""
    said = {cells[0]: cells[1] for cells in map(_cells, old.splitlines()) if len(cells) > 1}
    comments = dict(re.findall(r"^    (\w+): .*?  # (.*)$", Path(settings.__file__).read_text(), re.MULTILINE))
    rows = []
    for field in fields(settings.Settings):
        if field.name not in settings.NAMES:
            continue
        default = getattr(settings.Settings(), field.name)
        name = f"`{field.name.replace('_', '-')}`"
        shown = f"`{default}`" if default else "none"
        meaning = said.get(name) or comments.get(field.name, "")
        rows.append((name, meaning, shown, f"`{settings.variable(field.name)}`"))
    return _table(("setting", "meaning", "default", "environment variable"), rows)


def exit_codes_table() -> str:
    """Every exit code, by the code."""
    classes = {c.exit_code: (c.__doc__ or "").partition("\n")[0] for c in errors.StagingError.__subclasses__()}
    return _table(("code", "meaning"), [(str(code), text) for code, text in sorted((CODES | classes).items())])


def modules_table() -> str:
    """Every file of the package by its folder, with the first sentence that it says of itself."""
    files = [f for folder in LAYERS for f in sorted((PACKAGE / folder).glob("*.py")) if "__" not in f.name]
    files.append(PACKAGE / "errors.py")
    told = {f: ast.get_docstring(ast.parse(f.read_text())) or "" for f in files}
    rows: list[tuple[str, ...]] = [
        (f"`{file.relative_to(PACKAGE).as_posix()}`", words.partition("\n\n")[0].replace("\n", " "))
        for file, words in told.items()
    ]
    return _table(("file", "what it is"), rows)


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# -- what needs one ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shell:
    """Runs command lines in the repository, as a person with a terminal would."""

    repository: Repository
    environment: Mapping[str, str]
    namespace: str

    def show(self, line: str, code: int = 0) -> str:
        """The command and what it says, as readers see it; fails when it ends with another exit code."""
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.repository.path,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != code:
            raise RuntimeError(f"{line}: exit code {done.returncode}, not {code}: {done.stdout}")
        said = MOMENT.sub(SOME_MOMENT, TIME.sub(SOME_TIME, done.stdout.replace(self.namespace, NAMESPACE))).expandtabs()
        return "\n".join(line.rstrip() for line in [f"$ {line}", *said.splitlines()])


def run_session(repository: Repository, plane: cluster.Cluster, namespace: str, tools: str) -> dict[str, str]:
    """A fixed story in a namespace of its own; gives each step's command and what it said."""
    folder = repository.path.parent
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(plane, namespace)))
    own = environment(folder, plane, tools) | {"KUBECONFIG": str(kubeconfig), "CHART": str(CHART)}
    return dict(_steps(Shell(repository, own, namespace)))


def environment(home: Path, plane: cluster.Cluster, tools: str) -> dict[str, str]:
    """For commands that use the cluster and share no settings with the machine."""
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), tools, os.environ["PATH"]]),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{name: plane.environment()[name] for name in ("KUBECONFIG", "KUBECACHEDIR")},
    }


def _steps(shell: Shell) -> Iterator[tuple[str, str]]:
    repository = shell.repository

    def stage(version: str) -> tuple[str, str]:
        """Push the version; gives its branch, and the image that a workflow would have built."""
        commit = repository.stage(DATASET, version)
        return f"stage/{DATASET}/v{version}", f"example.registry/weather:{commit[:12]}"

    shell.show("kubectl create secret generic sentry")  # jobs name it: without it a deploy warns
    yield "check", shell.show("staging check")

    branch, image = stage("0.2.0")
    yield "deploy", shell.show(f"staging deploy --branch {branch} --docker-image {image}")
    other, other_image = stage("1.0.0")
    yield "deploy paused", shell.show(f"staging deploy --branch {other} --docker-image {other_image} --paused")
    yield "list", shell.show("staging list")
    yield "resume", shell.show(f"staging resume --dataset-id {DATASET} --version 1.0.0")
    yield "pause", shell.show(f"staging pause --dataset-id {DATASET} --version 1.0.0")

    repository.checkout(other)
    commit = repository.commit("Tune the blending")
    repository.push(other)
    shell.show(f"staging deploy --branch {other} --docker-image example.registry/weather:{commit[:12]}")
    yield "rollback", shell.show(f"staging rollback stage/{DATASET}/v1.0.0")
    yield "history", shell.show(f"helm history staging-{DATASET}-v1-0-0")

    yield "plan", shell.show(f"staging cleanup --branch {branch}", code=3)
    yield "cleanup", shell.show(f"staging cleanup --branch {branch} --yes")
    repository.delete_remote_branch(other)
    yield "sweep", shell.show("staging sweep --grace 0s")
    shell.show(f"staging cleanup --branch {other} --yes")

    branch, image = stage("0.4.0")
    by_hand = f'helm upgrade --install "$(staging name --branch {branch})" "$CHART" -f -'
    shell.show(f"staging render --branch {branch} --docker-image {image} | {by_hand}")
    shell.show(f"staging pause --branch {branch}")
    shell.show(f"staging deploy --branch {branch} --docker-image {image}")
    shell.show(f"staging cleanup --branch {branch} --yes")
    yield "nothing", shell.show("staging list")


def _kubeconfig(plane: cluster.Cluster, namespace: str) -> dict[str, Any]:
    view = json.loads(plane.kubectl("config", "view", "--raw", "--flatten", "--minify", "--output=json"))
    context = view["contexts"][0]["context"] | {"namespace": namespace}
    return view | {"contexts": [{"name": CONTEXT, "context": context}], "current-context": CONTEXT}


# -- the picture -------------------------------------------------------------------------------------------------------


def terminal(shown: Mapping[str, str]) -> str:
    """The text of the picture."""
    return "\n\n".join(shown[step] for step in TERMINAL_STEPS)


def picture(shown: Mapping[str, str]) -> str:
    """It as an SVG, which asks no other address for a font."""
    text = terminal(shown)
    width = max(map(len, text.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in text.splitlines():
        styled = Text(line, style="bold" if line.startswith("$ ") else "")
        styled.stylize("bold green", 0, 1 if line.startswith("$ ") else 0)
        console.print(styled, soft_wrap=True, highlight=False)
    frame = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="a staged version, from deploy to cleanup", unique_id="terminal", code_format=frame)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def picture_lines(svg: str) -> list[str]:
    """What a person reads in the picture."""
    lines: dict[int, str] = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if line := re.search(r"line-(\d+)\)", element.get("clip-path", "")):
            number, content = int(line[1]), (element.text or "").replace("\xa0", " ")
            column = round(float(element.get("x", "0")) / (float(element.get("textLength", "0")) / len(content)))
            lines[number] = lines.get(number, "").ljust(column) + content
    return [lines.get(number, "").rstrip() for number in range(max(lines, default=-1) + 1)]


if __name__ == "__main__":
    sys.exit(main())
