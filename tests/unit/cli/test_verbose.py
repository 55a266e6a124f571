"""`--verbose`: every command has it, and shows what runs but no secret."""

import shlex
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from hostile import Hostile
from repositories import Repository, make_repository
from staging_cronjobs import mount
from staging_cronjobs.cli import app
from staging_cronjobs.external import shell
from staging_cronjobs.output import printing

COMMAND = get_command(app)
SECRET = "sntryu_secret"


def options_of(command: object) -> dict[str, set[str]]:
    commands = getattr(command, "commands", {})
    return {name: {o for p in c.params for o in p.opts} for name, c in commands.items()}


def test_every_command_has_it_in_a_users_own_app_too() -> None:
    users = typer.Typer()
    mount(users, [])
    found = options_of(COMMAND) | options_of(get_command(users))
    assert {"list", "name", "deploy", "deploy-staging", "cleanup-staging"} <= found.keys()
    silent = ["__complete"]  # which a shell calls
    assert [name for name, options in found.items() if "--verbose" not in options] == silent


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    found = make_repository(tmp_path)
    monkeypatch.chdir(found.path)
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", SECRET)
    return found


def run(*args: str) -> tuple[int, str]:
    with redirect_stderr(StringIO()) as stderr:
        code = COMMAND.main([*args], standalone_mode=False) or 0
    return code, stderr.getvalue()


def test_each_program_is_a_line_and_no_secret_is_shown(repository: Repository) -> None:
    command = ("sweep", "--namespace=weather", "--kube-context=none", f"--sentry-token={SECRET}")
    quiet, loud = run(*command), run(*command, "--verbose")
    echoed = [line for line in loud[1].splitlines() if line.startswith("+ ")]
    assert not [line for line in quiet[1].splitlines() if line.startswith("+ ")]
    assert (loud[0], [line for line in loud[1].splitlines() if line not in echoed]) == (quiet[0], quiet[1].splitlines())
    assert {Path(shlex.split(line)[1]).name for line in echoed} >= {"git", "kubectl"}
    assert SECRET not in loud[1] and "SENTRY" not in loud[1]
    assert run(*command) == quiet  # it ends with the command


def test_words_of_others_are_quoted_and_one_line(hostile: Hostile) -> None:
    words = ["$(touch x)", "a b", "\x1b[2J", "x\n+ rm -rf /", "it's"]
    with redirect_stderr(StringIO()) as stderr, shell.echoed(printing.say):
        shell.run(sys.executable, "-c", "pass", *words)
    (line,) = stderr.getvalue().splitlines()
    assert shlex.split(line)[3:5] == words[:2] and "\x1b" not in line
    hostile.tried("names from git", line)


def test_input_and_environment_are_not_shown() -> None:
    said: list[str] = []
    with shell.echoed(said.append):
        shell.run(sys.executable, "-c", "pass", stdin=SECRET, env={"TOKEN": SECRET})
        shell.together([lambda: shell.run(sys.executable, "-c", "0", env={"TOKEN": SECRET})])
    assert said == [f"{sys.executable} -c pass", f"{sys.executable} -c 0"]
