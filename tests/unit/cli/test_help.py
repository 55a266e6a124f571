"""The help of the program: an operator finds their commands together, and first."""

import re

from typer.main import get_command
from typer.testing import CliRunner

from staging_cronjobs.cli.app import app

OPERATORS = "list status logs timeline pause resume run rollback cleanup guard sweep"
PROJECTS = "check render deploy init doctor catalogue name"
PART = re.compile(r"^(\w.+):\n((?: .*\n)+)", re.MULTILINE)


def test_an_operators_commands_are_first_and_together() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=100).stdout
    parts = {title: re.findall(r"^  (\S+)", lines, re.MULTILINE) for title, lines in PART.findall(shown)}
    del parts["Options"]
    assert list(parts.items()) == [
        ("Operate what is staged", OPERATORS.split()),
        ("Work on a project", PROJECTS.split()),
        ("Set up your shell", ["completion"]),
    ]
    columns = {len(start) for start in re.findall(r"^  [a-z]+ +(?=[A-Z])", shown, re.MULTILINE)}
    assert len(columns) == 1


def test_no_command_is_left_out_of_the_help() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=100).stdout
    known = [name for name, command in getattr(get_command(app), "commands", {}).items() if not command.hidden]
    assert known
    assert [name for name in known if f"\n  {name} " not in shown] == []
