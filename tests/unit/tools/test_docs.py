"""The documentation that needs no cluster to check; tests/cluster/test_docs.py has the rest."""

import ast
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import docs
import reading
from controlplane import binaries
from staging_cronjobs import cli
from staging_cronjobs.external import user_code_loader
from staging_cronjobs.model import catalogue, settings, values, workflow_parts

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FILES = pytest.mark.parametrize("file", docs.FILES, ids=lambda file: file.name)


def blocks(language: str, word: str = "", without: str = "\0") -> list[Any]:
    """The fenced blocks of a language that hold a word, and lack another, as a test's parameters."""
    return [
        pytest.param(text, id=f"{file.name}, block {number}")
        for file in docs.FILES
        for number, (found, text) in enumerate(BLOCK.findall(file.read_text()), 1)
        if found == language and word in text and without not in text
    ]


@FILES
def test_what_is_shown_is_what_is_printed(file: Path) -> None:
    assert not docs.differences(file, shown=None), "run `make docs`"


@pytest.mark.parametrize("command", sorted(name for name in docs.apps()["staging"].commands if name[0] != "_"))
def test_every_command_is_documented(command: str) -> None:
    marker = f"<!-- output: staging {command} --help -->"
    assert any(marker in file.read_text() for file in docs.FILES), f"no file in docs/ has {marker}"


def test_every_setting_is_explained() -> None:
    table = (docs.ROOT / "docs" / "adopting.md").read_text().partition("<!-- table: settings -->")[2]
    rows = [docs._cells(row) for row in table.partition("\n\n")[0].splitlines() if row.startswith("| `")]
    assert [row[0] for row in rows if not row[1]] == []
    assert len(rows) == len(settings.NAMES)


@FILES
def test_links_lead_somewhere(file: Path) -> None:
    for target in (a or b for a, b in LINK.findall(file.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(there), f"{there.name} has no heading #{anchor}"


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("text", blocks("bash", "staging"))
def test_commands_that_readers_are_told_to_type_exist(text: str) -> None:
    known = docs.apps()["staging"].commands
    for program, *args in commands(text.replace("\\\n", " ")):
        if program == "staging" and not args[0].startswith("-"):
            assert args[0] in known, f"there is no command: staging {args[0]}"
            known[args[0]].make_context(args[0], args[1:])  # fails for an option that it does not have


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of a shell script, those within `$(…)` first."""
    while inner := re.search(r"\$\(([^()]*)\)", text):
        yield from commands(inner[1])
        text = f"{text[: inner.start()]}something{text[inner.end() :]}"
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        words.whitespace_split, command = True, []
        for word in [*words, ";"]:
            if word[0] not in "|&;":
                command.append(word)
            elif command:
                yield command[: min((command.index(w) for w in command if w[0] in "<>"), default=len(command))]
                command = []


@pytest.mark.parametrize("text", blocks("toml", settings.TABLE))
def test_settings_that_are_shown_can_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert settings.load(tmp_path, {}).datasets


@pytest.mark.parametrize("text", blocks("json", "cronjobs"))
def test_the_catalogue_that_is_shown_is_one(text: str) -> None:
    datasets = catalogue.parse("the example", json.loads(text))
    assert [d for d in datasets if d.version and d.stores and d.cronjobs]


@pytest.mark.parametrize("text", blocks("yaml", "record:"))
def test_the_values_that_are_shown_keep_the_contract(text: str) -> None:
    shown = values.parse("the example", YAML(typ="safe", pure=True).load(text))
    assert shown.record.branch == shown.record.staged_version.branch
    for key, job in shown.jobs.items():
        assert job.name == shown.record.staged_version.job_name(key, values.indexed_workers(job.spec))


@pytest.mark.parametrize("text", blocks("python", without="from weather"))  # test_adopting.py runs those
def test_the_python_that_is_shown_runs(text: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(text, "example", "exec"), names)
    for dataset in names.get("DATASETS", []):
        assert catalogue.parse("the example", [user_code_loader.entry(dataset, "example.registry/image:1", "")])
    if "app" in names:
        assert {c.name for c in names["app"].registered_commands} >= {"deploy-staging", "cleanup-staging"}


def test_the_mounted_commands_are_documented() -> None:
    mounted = {c for c in docs.apps()["weather"].commands if c.endswith("-staging")}
    assert mounted
    shown = "".join(file.read_text() for file in docs.FILES)
    assert all(f"<!-- output: weather {name} --help -->" in shown for name in mounted)
    assert cli.mount.__doc__


def test_troubleshooting_quotes_what_the_program_says() -> None:
    page = (docs.ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = re.findall(r"^- `([^`]+)`\\$", page, re.MULTILINE)
    assert len(quoted) > 60
    quoted += re.findall(r"The deploy warned[^`]*`([^`]+)`", page)
    said = "\n".join(sentences())
    assert [words for words in quoted if words not in said] == [], "no sentence of the program has these words any more"


def sentences() -> Iterator[str]:
    """Every text in the code and the chart, with `…` where a value is put in."""
    for file in docs.PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes:
                yield node.value
    yield from (re.sub(r"{{.*?}}", "…", file.read_text()) for file in docs.CHART.glob("templates/*"))


def test_troubleshooting_knows_every_exit_code() -> None:
    page = (docs.ROOT / "docs" / "troubleshooting.md").read_text()
    in_code, in_page = (re.findall(r"^\| (\d+) \|", text, re.MULTILINE) for text in (docs.exit_codes_table(), page))
    assert in_page == in_code


def test_tests_that_security_names_exist() -> None:
    page = (docs.ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(named) > 40
    found = {file: set(re.findall(r"^def (test_\w+)", (docs.ROOT / file).read_text(), re.M)) for file, _ in named}
    assert [f"{file}::{name}" for file, name in named if name not in found[file]] == []


def test_every_attack_has_a_test_or_a_setting_of_the_user() -> None:
    table = (docs.ROOT / "docs" / "security.md").read_text().partition("## Attackers")[2].partition("\n## ")[0]
    rows = [docs._cells(row) for row in table.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 25
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    assert [row for row in rows if ("::test_" in row[3]) == ("**only your settings**" in row[2])] == []


def test_the_readme_has_what_a_newcomer_asks_for() -> None:
    readme = (docs.ROOT / "README.md").read_text()
    headings = re.findall(r"^## (.+)$", re.sub(BLOCK, "", readme), re.MULTILINE)
    assert headings[:3] == ["Does it fit?", "See it work", "Quick start"]
    assert "<!-- session: list -->" in readme
    missing = [page.name for page in docs.ROOT.glob("docs/*.md") if f"](docs/{page.name})" not in readme]
    assert missing == [], "the README leads to no such page"


def test_exit_codes_stand_in_one_place() -> None:
    marker = "<!-- table: exit codes -->"
    assert [file.name for file in docs.FILES if f"\n{marker}\n" in file.read_text()] == ["commands.md"]


def test_files_that_contributors_are_sent_to_exist() -> None:
    page = (docs.ROOT / "CONTRIBUTING.md").read_text().partition("## Where a change goes")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.\w+)`", page)
    assert len(named) > 15
    places = (docs.ROOT, docs.PACKAGE, docs.CHART)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


OTHERS = (docs.ROOT / "docs" / "adopting.md").read_text().partition("\n## Another cloud, registry or builder\n")[2]
OTHERS = OTHERS.partition("\n## ")[0]


def test_every_part_that_is_the_users_is_listed_with_its_workflow() -> None:
    rows = [docs._cells(row) for row in OTHERS.splitlines() if row.startswith("| `")]
    listed = {name: workflow for names, workflow, _ in rows for name in re.findall("`([^`]+)`", names)}
    there = {
        name: workflow
        for workflow in ("deploy", "cleanup")
        for name in workflow_parts.of((reading.WORKFLOWS / f"{workflow}-staging.yml").read_text(), workflow)
    }
    assert listed == there


BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", OTHERS, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_for_other_clouds_stand_in_their_parts(block: str, tmp_path: Path) -> None:
    text = (reading.WORKFLOWS / "deploy-staging.yml").read_text()
    part = "image.build" if "--push" in block else "deploy.cluster"
    file = tmp_path / ".github" / "workflows" / "deploy-staging.yml"
    file.parent.mkdir(parents=True)
    file.write_text(
        workflow_parts.into(text, {part: block}).replace("      queue: max\n", "")
    )  # which actionlint does not know
    done = subprocess.run([binaries.path("actionlint"), file], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    steps = YAML(typ="safe").load(block)
    assert len(BLOCKS) == 4
    assert all(step["name"] for step in steps)
    assert not [step for step in steps if "${{" in step.get("run", "")]


def test_a_kubeconfig_in_a_secret_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    (step,) = [step for block in BLOCKS for step in YAML(typ="safe").load(block) if "~/.kube" in step.get("run", "")]
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "KUBECONFIG_FILE": "a: $(id)\nb: \\n\n"}
    subprocess.run(["bash", "-e", "-c", step["run"]], env=environment, check=True)
    assert (tmp_path / ".kube/config").read_text() == "a: $(id)\nb: \\n\n\n"
    assert (tmp_path / ".kube/config").stat().st_mode & 0o777 == 0o600
