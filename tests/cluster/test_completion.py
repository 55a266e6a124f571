"""Completion as a person has it: commands, options and the names of what is staged; no error is ever shown.

Most is tried in bash; zsh and fish have less to go wrong, and are tried where they are installed.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from forks import PROGRAM
from hostile import Hostile
from staged import Place, install
from staging_cronjobs.model.staged_version import StagedVersion

SNOW, ICE = StagedVersion("ridge-snow", "0.2.0"), StagedVersion("glacier-ice-forecast-5-day", "1.0.0")
# What readline gives a function of `complete -F`: the words, and which of them the cursor is in.
TAB = """
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_staging
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def staged(place: Place) -> Place:
    for version in (SNOW, ICE):
        install(place.staging, place.repository, version)
    return place


def tab(place: Place, *words: str, **environment: str) -> list[str]:
    own = {**place.staging.environment, **environment}
    own["PATH"] = f"{PROGRAM.parent}:{own['PATH']}"
    script = place.staging.run(place.repository.path, "completion", "bash").stdout
    command = ["bash", "-euc", script + TAB, "bash", "staging", *words]
    done = subprocess.run(command, cwd=place.repository.path, env=own, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("pau",), ["pause"]),
        (("--ver",), ["--version"]),
        (("list", "--kube"), ["--kube-context"]),
        (("timeline", "--output", ""), ["json", "table"]),
        (("status", "-o", "m"), ["markdown"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
        (("pause", ""), [ICE.branch, SNOW.branch]),
        (("cleanup", ICE.branch, "stage/r"), [SNOW.branch]),
        (("logs", f"{SNOW.release}-u"), [SNOW.job_name("update")]),
        (("resume", "--branch", "stage/g"), [ICE.branch]),
        (("resume", "--branch", "=", "stage/g"), [ICE.branch]),
        (("deploy", "--dataset-id", "r"), ["ridge-snow"]),
        (("deploy", "--version", ""), ["0.2.0", "1.0.0"]),
        (("pause", "--namespace", "elsewhere", "st"), []),
        (("deploy", "--docker-image", ""), []),
        (("no-such-command", "x"), []),
        (("list", "x"), []),
    ],
    ids=" ".join,
)
def test_what_a_press_of_tab_finds(staged: Place, words: tuple[str, ...], found: list[str]) -> None:
    assert tab(staged, *words) == found


def test_all_commands_but_the_hidden_one_are_found(staged: Place) -> None:
    assert {"deploy", "doctor", "completion"} <= set(tab(staged, "")) and "__complete" not in tab(staged, "")
    assert {"--branch", "--namespace", "--help"} <= set(tab(staged, "pause", "--"))


def test_where_nobody_answers_nothing_is_found_and_nothing_said(staged: Place, tmp_path: Path) -> None:
    assert tab(staged, "pause", "", KUBECONFIG="/nonexistent", STAGING_KUBE_CONTEXT="") == []
    assert tab(staged, "pause", "", STAGING_TIMEOUT="no duration") == []
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexec sleep 300\n")
    (tmp_path / "kubectl").chmod(0o755)
    before = time.monotonic()
    assert tab(staged, "pause", "", PATH=f"{tmp_path}:{staged.staging.environment['PATH']}") == []
    assert time.monotonic() - before < 60


# What zsh gives a function of `compdef`, without the widgets that only an interactive shell has.
ZSH = """
compdef() { : }
compadd() { [[ $1 == -- ]] && shift; print -l -- "$@" }
_files() { : }
eval "$(staging completion zsh)"
words=("$@") CURRENT=$#
_staging
"""
FISH = "staging completion fish | source; complete --do-complete (string join ' ' -- $argv)"
OTHERS = {"zsh": ["-fc", ZSH, "zsh"], "fish": ["--no-config", "-c", FISH]}


@pytest.mark.parametrize("shell", OTHERS)
def test_other_shells_find_the_same(staged: Place, shell: str, tmp_path: Path) -> None:
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    own = {**staged.staging.environment, "HOME": str(tmp_path)}
    own["PATH"] = f"{PROGRAM.parent}:{own['PATH']}:{os.environ['PATH']}"
    for words, found in (
        (("pau",), ["pause"]),
        (("list", "--kube"), ["--kube-context"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
        (("resume", "--branch", "stage/g"), [ICE.branch]),
        (("logs", f"{SNOW.release}-u"), [SNOW.job_name("update")]),
    ):
        command = [program, *OTHERS[shell], "staging", *words]
        done = subprocess.run(command, cwd=staged.repository.path, env=own, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert [line for line in done.stdout.splitlines() if line] == found, words


BAD = ["$(touch ran)", "`touch ran`", "a b", "stage/*", "\x1b[2J", "-rf", "x;touch ran", "A"]


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_names_that_a_shell_could_read_otherwise_are_left_out(
    staged: Place, tmp_path: Path, name: str, hostile: Hostile
) -> None:
    labels = {"staging-cronjobs/dataset-id": "ridge-snow", "staging-cronjobs/dataset-version": "0.2.0"}
    items = [{"metadata": {"name": name, "labels": labels}}, {"metadata": {"name": "a", "labels": {"x": name}}}]
    (tmp_path / "answer").write_text(json.dumps({"items": items}))
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    (tmp_path / "kubectl").chmod(0o755)
    found = tab(staged, "logs", "staging-", PATH=f"{tmp_path}:{staged.staging.environment['PATH']}")
    assert found == [SNOW.release]
    hostile.tried("dataset objects", "".join(found), ran=(staged.repository.path / "ran").exists())
