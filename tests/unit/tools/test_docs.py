"""The documentation that needs no cluster to check; tests/cluster/test_docs.py has the rest."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import docs
from staging_cronjobs import cli
from staging_cronjobs.external import loader
from staging_cronjobs.model import catalogue, settings, values

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


@pytest.mark.parametrize("command", sorted(docs.apps()["staging"].commands))
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
        assert catalogue.parse("the example", [loader.entry(dataset, "example.registry/image:1", "")])
    if "app" in names:
        assert {c.name for c in names["app"].registered_commands} >= {"deploy-staging", "cleanup-staging"}


def test_the_mounted_commands_are_documented() -> None:
    mounted = {c for c in docs.apps()["weather"].commands if c.endswith("-staging")}
    assert mounted
    shown = "".join(file.read_text() for file in docs.FILES)
    assert all(f"<!-- output: weather {name} --help -->" in shown for name in mounted)
    assert cli.mount.__doc__
