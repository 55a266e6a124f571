"""What a command waits for, on a real terminal; each program that takes long is a real one."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from forks import PROGRAM
from live import IMAGE, Staging, outside_environment, with_program
from repositories import Repository, make_repository
from staging_cronjobs.output.printing import ERASE
from staging_cronjobs.output.waiting import OFTEN
from terminal import Terminal

BRANCH = "stage/ridge-snow/v0.2.0"
RENDER = [PROGRAM, "render", "--branch", BRANCH, "--docker-image", IMAGE, "--namespace", "weather"]
HINT = "waiting for git …"
SLOW = 'case "$*" in *rev-parse*) sleep 1.7 ;; esac'  # the first that is waited for

Environment = dict[str, str]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path)
    made.stage("ridge-snow", "0.2.0")
    return made


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return outside_environment(tmp_path) | {"PATH": os.environ["PATH"]}


@pytest.fixture
def slow(environment: Environment, tmp_path: Path) -> Environment:
    """With a git that takes its time."""
    script = f'{SLOW}\nexec $REAL "$@"'
    return dict(with_program(Staging(environment), tmp_path / "slow", "git", script).environment)


def on_a_terminal(repository: Repository, environment: Environment, *command: str | Path) -> str:
    """All that a terminal is given."""
    terminal = Terminal(command, repository.path, environment)
    try:
        done = terminal.end()
    finally:
        terminal.close()
    assert done.code == 0, done.stderr
    return done.stderr


def left(shown: str) -> list[str]:
    """The lines that stand there in the end."""
    return [line.rpartition(ERASE)[2] for line in shown.split("\n")]


def test_after_a_second_it_is_named_and_goes_again(
    repository: Repository, slow: Environment, environment: Environment
) -> None:
    shown = on_a_terminal(repository, slow, *RENDER)
    assert f"{ERASE}{HINT}{ERASE}" in shown
    assert left(shown) == left(on_a_terminal(repository, environment, *RENDER))


def test_what_is_quick_is_not_named(repository: Repository, environment: Environment) -> None:
    shown = on_a_terminal(repository, environment, *RENDER)
    assert "waiting" not in shown
    assert ERASE not in shown


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"GITHUB_ACTIONS": "true"}], ids=["dumb", "workflow"])
def test_where_a_line_cannot_be_taken_back_none_is_shown(
    repository: Repository, slow: Environment, more: Environment
) -> None:
    line = [f"{name}={value}" for name, value in more.items()]
    shown = on_a_terminal(repository, slow, "env", *line, *RENDER)
    assert shown.startswith("record:\n")


def test_a_log_has_no_such_line(repository: Repository, slow: Environment) -> None:
    done = subprocess.run(RENDER, cwd=repository.path, env=slow, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_where_each_program_is_shown_nothing_goes_again(repository: Repository, slow: Environment) -> None:
    shown = on_a_terminal(repository, slow, *RENDER, "--verbose")
    assert "+ git " in shown
    assert HINT not in shown


def test_a_question_stays(repository: Repository, slow: Environment) -> None:
    """And is not taken back while a person thinks."""
    repository.write(".github/workflows/deploy-staging.yml", "name: Mine\n")
    terminal = Terminal([PROGRAM, "init"], repository.path, slow)
    question = "Apply this change to .github/workflows/deploy-staging.yml? [y/N]: "
    try:
        terminal.wait_for(question)
        time.sleep(5 * OFTEN)
        terminal.press("n\n")
        terminal.wait_for(f"{question}n")
    finally:
        terminal.close()
    assert HINT in terminal.shown
    assert f"{question}n" in left(terminal.shown)
