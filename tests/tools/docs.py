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
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

import compatibility
from controlplane import binaries, cluster
from live import EXIT_CODE, RUN_SECONDS
from records import packed, unpacked
from repositories import Repository, make_repository
from staging_cronjobs import cli, errors
from staging_cronjobs.model import settings
from staging_cronjobs.verbs import mismatches

ROOT = Path(__file__).parents[2]
CHART_README = ROOT / "charts" / "staging-cronjobs" / "README.md"
FILES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted(ROOT.glob("docs/*.md")), CHART_README]
PACKAGE = ROOT / "renderer" / "staging_cronjobs"
LAYERS = ("cli", "output", "verbs", "external", "model")
CHART = ROOT / "charts" / "staging-cronjobs"
PICTURES = {  # each with its title, and the steps that it shows
    ROOT / "docs" / "terminal.svg": ("a staged version, from deploy to cleanup", ("deploy", "list", "cleanup")),
    ROOT / "docs" / "status.svg": ("what is wrong, and when jobs fire", ("status", "timeline")),
}
CLOCK = ROOT / "tests" / "support" / "standins" / "clock"

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
LATER = timedelta(minutes=30)  # after the session began, as ages are shown: then all of them have two digits
AGE = re.compile(r"\b[23]\dm\b")  # what then is that old, on a slow machine too
FIRES = re.compile(r"\b\d\d:(15|45) UTC")  # when its jobs fire, every six hours
BY, SECONDS = re.compile(r"by \d\d:\d\d UTC"), re.compile(r"for \d+ s\b")  # how long a pause waits for another helm
ALERT, RUNNING = "update-29926541", "validate-29926571"  # the ends of the names of a Job that fails, and one that runs
BACKFILL = "uv run main {dataset_id} backfill-kubernetes --docker-image {image}"
LOG = "Traceback (most recent call last):\nValueError: no such band\n"  # kwok's nodes keep no logs
WRITERS = (
    "-o custom-columns='NAME:.metadata.name,SUSPENDED:.spec.suspend,WRITTEN BY:.metadata.managedFields[*].manager'"
)

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
        for file in PICTURES:
            file.write_text(picture(file, shown))
        CHART_README.write_text(chart_readme())
        compatibility.PAGE.write_text(compatibility.written())
    found = [difference for file in FILES for difference in differences(file, shown)]
    found += [difference for file in PICTURES for difference in picture_differences(file, shown)]
    found += difference(CHART_README, chart_readme())
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


def picture_differences(file: Path, shown: Mapping[str, str]) -> list[str]:
    """A diff from the text in a picture to the session's."""
    old = picture_lines(file.read_text()) if file.exists() else []
    new = terminal(file, shown).splitlines()
    name = str(file.relative_to(ROOT))
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

    def show(self, line: str, code: int = 0, more: Mapping[str, str] | None = None) -> str:
        """The command and what it says, as readers see it; fails when it ends with another exit code."""
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.repository.path,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != code:
            raise RuntimeError(f"{line}: exit code {done.returncode}, not {code}: {done.stdout}")
        said = MOMENT.sub(SOME_MOMENT, TIME.sub(SOME_TIME, done.stdout.replace(self.namespace, NAMESPACE))).expandtabs()
        return "\n".join(line.rstrip() for line in [f"$ {line}", *said.splitlines()])

    def show_at(self, moment: datetime, line: str, more: Mapping[str, str] | None = None) -> str:
        """The same with the program's clock stopped: ages, and times of the day, are the same each time."""
        clock = {"PYTHONPATH": str(CLOCK), "STOPPED_AT": moment.isoformat()}
        said = self.show(line, more={**clock, **(more or {})})
        for days, day in enumerate(("2026-01-05", "2026-01-06")):
            said = said.replace(f"{moment + timedelta(days=days):%Y-%m-%d}", day)
        return FIRES.sub(r"18:\1 UTC", AGE.sub(f"{LATER.seconds // 60}m", said))

    def run(self, *command: str, given: str = "") -> str:
        """What a command that readers do not see prints."""
        environment = dict(self.environment)
        done = subprocess.run(
            command, cwd=self.repository.path, env=environment, input=given, text=True, capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr}")
        return done.stdout


def run_session(repository: Repository, plane: cluster.Cluster, namespace: str, tools: str) -> dict[str, str]:
    """A fixed story in a namespace of its own; gives each step's command and what it said."""
    folder = repository.path.parent
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(plane, namespace)))
    own = environment(folder, plane, tools) | cluster.FOR_A_MOMENT
    own |= {"KUBECONFIG": str(kubeconfig), "CHART": str(CHART)}
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

    began, release = datetime.now(UTC).replace(microsecond=0), f"staging-{DATASET}-v0-2-0"
    later, afternoon = began + LATER, began.replace(hour=14, minute=5, second=0)
    repository.write("pyproject.toml", f'{(repository.path / "pyproject.toml").read_text()}backfill = "{BACKFILL}"\n')
    repository.commit("Say how to backfill")
    repository.push("main")
    shell.show("kubectl create secret generic sentry")  # jobs name it: without it a deploy warns
    _put_in_production(shell)
    yield "check", shell.show("staging check")

    branch, image = stage("0.2.0")
    yield "deploy", shell.show(f"staging deploy --branch {branch} --docker-image {image}")
    _schedule(shell, f"{release}-update", "20 * * * *")
    dry_run = f"staging deploy --dry-run --branch {branch} --docker-image example.registry/weather:2"
    yield "dry run", shell.show(dry_run)
    _schedule(shell, f"{release}-update", "15 */6 * * *")
    yield "no such name", shell.show(f"staging pause {release}-updaet", code=3)
    other, other_image = stage("1.0.0")
    yield "deploy paused", shell.show(f"staging deploy --branch {other} --docker-image {other_image} --paused")
    ran = later - mismatches.LATE  # at whatever time this is, no run is missed
    for key in ("update", "validate"):
        _tell_of_runs(shell, f"{release}-{key}", ran, ran)
    yield "list", shell.show_at(later, "staging list")
    yield "timeline", shell.show_at(afternoon, f"staging timeline --dataset-id {DATASET}")

    _start(shell, f"{release}-update", f"{release}-{ALERT}", {RUN_SECONDS: "0", EXIT_CODE: "3"})
    shell.run("kubectl", "wait", "--for=condition=failed", f"job/{release}-{ALERT}", "--timeout=60s")
    _tell_of_runs(shell, f"{release}-update", datetime.now(UTC), began - timedelta(hours=6))
    yield "list failed", re.sub(r"update-\d{8}\b", ALERT, shell.show_at(later, "staging list"))
    yield "status", shell.show_at(later, "staging status")
    yield "status of one", shell.show_at(later, f"staging status {release}-{ALERT}")
    yield "logs", shell.show_at(later, f"staging logs {release}-{ALERT}", {"PATH": _with_log(shell)})
    yield "production", shell.show(f"kubectl get cronjobs -l '!staging-cronjobs/release' {WRITERS}")
    _start(shell, f"{release}-validate", f"{release}-{RUNNING}", {RUN_SECONDS: "3600"})
    yield "stop", shell.show(f"staging pause {release}-{ALERT} --stop-running")
    yield "go on", shell.show(f"staging resume {release}")
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

    branch, image = stage("0.5.0")
    moved = {"STAGING_STAGGER": "5m"}
    yield "stagger", shell.show(f"staging deploy --branch {branch} --docker-image {image}", more=moved)
    _hold(shell, f"staging-{DATASET}-v0-5-0")
    held = shell.show(f"staging pause {branch}", more={"STAGING_TIMEOUT": "4s"})
    yield "pause pending", BY.sub("by 14:32 UTC", SECONDS.sub("for 128 s", held))
    shell.show(f"staging cleanup --branch {branch} --yes")

    branch, image = stage("0.4.0")
    by_hand = f'helm upgrade --install "$(staging name --branch {branch})" "$CHART" -f -'
    shell.show(f"staging render --branch {branch} --docker-image {image} | {by_hand}")
    shell.show(f"staging pause --branch {branch}")
    shell.show(f"staging deploy --branch {branch} --docker-image {image}")
    shell.show(f"staging cleanup --branch {branch} --yes")
    yield "nothing", shell.show("staging list")


def _put_in_production(shell: Shell) -> None:
    """The dataset's own jobs, as main has them."""
    (dataset,) = [d for d in json.loads(shell.run("staging", "catalogue")) if d["dataset_id"] == DATASET]
    objects = {"apiVersion": "v1", "kind": "List", "items": dataset["cronjobs"]}
    shell.run("kubectl", "create", "-f", "-", given=json.dumps(objects))


def _tell_of_runs(shell: Shell, cronjob: str, last: datetime, succeeded: datetime) -> None:
    """Write into a CronJob's status what its controller would: its last run, and the last that succeeded."""
    status = {"lastScheduleTime": last, "lastSuccessfulTime": succeeded}
    patch = json.dumps({"status": {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in status.items()}})
    shell.run("kubectl", "patch", "cronjob", cronjob, "--subresource=status", "--type=merge", "--patch", patch)


def _schedule(shell: Shell, cronjob: str, schedule: str) -> None:
    """What somebody does by hand."""
    shell.run("kubectl", "patch", "cronjob", cronjob, "--patch", json.dumps({"spec": {"schedule": schedule}}))


def _hold(shell: Shell, release: str) -> None:
    """As a helm that was killed at an upgrade leaves a release."""
    selector = ("--selector", f"owner=helm,name={release},status=deployed", "-o", "json")
    (secret,) = json.loads(shell.run("kubectl", "get", "secrets", *selector))["items"]
    content = unpacked(secret)
    revision = content["version"] = content["version"] + 1
    content["info"]["status"] = "pending-upgrade"
    kept = {k: v for k, v in secret["metadata"]["labels"].items() if k not in ("createdAt", "modifiedAt")}
    labels = kept | {"status": "pending-upgrade", "version": str(revision)}
    metadata = {"name": f"sh.helm.release.v1.{release}.v{revision}", "labels": labels}
    new = {k: secret[k] for k in ("apiVersion", "kind", "type")} | {"metadata": metadata}
    shell.run("kubectl", "create", "-f", "-", given=json.dumps({**new, "data": {"release": packed(content)}}))


def _start(shell: Shell, cronjob: str, name: str, how: Mapping[str, str]) -> None:
    """A Job of a CronJob; annotations of its pod say how it ends, and when."""
    made = shell.run("kubectl", "create", "job", f"--from=cronjob/{cronjob}", name, "--dry-run=client", "-o", "json")
    job = json.loads(made)
    job["spec"]["template"]["metadata"] |= {"annotations": dict(how)}
    shell.run("kubectl", "create", "-f", "-", given=json.dumps({**job, "spec": job["spec"] | {"backoffLimit": 0}}))


def _with_log(shell: Shell) -> str:
    """A PATH whose kubectl says what a kubelet would."""
    search, folder = shell.environment["PATH"], shell.repository.path.parent / "kubelet"
    folder.mkdir()
    (folder / "log").write_text(LOG)
    kubectl = folder / "kubectl"
    real = shutil.which("kubectl", path=search)
    kubectl.write_text(f'#!/bin/sh\n[ "$1" = logs ] || exec {real} "$@"\ncat {folder}/log\n')
    kubectl.chmod(0o755)
    return f"{folder}{os.pathsep}{search}"


def _kubeconfig(plane: cluster.Cluster, namespace: str) -> dict[str, Any]:
    view = json.loads(plane.kubectl("config", "view", "--raw", "--flatten", "--minify", "--output=json"))
    context = view["contexts"][0]["context"] | {"namespace": namespace}
    return view | {"contexts": [{"name": CONTEXT, "context": context}], "current-context": CONTEXT}


# -- the pictures ------------------------------------------------------------------------------------------------------


def terminal(file: Path, shown: Mapping[str, str]) -> str:
    """The text of a picture."""
    return "\n\n".join(shown[step] for step in PICTURES[file][1])


def picture(file: Path, shown: Mapping[str, str]) -> str:
    """It as an SVG, which asks no other address for a font."""
    text = terminal(file, shown)
    width = max(map(len, text.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in text.splitlines():
        styled = Text(line, style="bold" if line.startswith("$ ") else "")
        styled.stylize("bold green", 0, 1 if line.startswith("$ ") else 0)
        console.print(styled, soft_wrap=True, highlight=False)
    frame = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title=PICTURES[file][0], unique_id=file.stem, code_format=frame)
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
