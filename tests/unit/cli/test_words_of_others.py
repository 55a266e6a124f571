"""What other programs and the user's own code say is passed on: every word, and none of its effects."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forks import forks
from hostile import Hostile
from live import Done
from repositories import make_repository

SAID = "\x1b[2J\x9b1mno\rerror: forged \x1b]52;c;eA==\x07\u202e\u200b\n::error::x\n##[error]y"
SHOWN = r"\u001b[2J\u009b1mno\rerror: forged \u001b]52;c;eA==\u0007\u202e\u200b"
Run = Callable[..., Done]
DEPLOY = ("deploy", "--branch", "stage/ridge-snow/v0.2.0", "--docker-image", "i:1")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The program in a folder; `tool` is a program on PATH that says what is hostile, and fails."""

    def started(folder: Path, *args: str, tool: str = "", workflow: bool = False) -> Done:
        tools = tmp_path / "tools"
        tools.mkdir(exist_ok=True)
        if tool:
            (tools / "words").write_text(SAID)
            (tools / tool).write_text(f"#!/bin/sh\ncat {tools}/words >&2\nexit 1\n")
            (tools / tool).chmod(0o755)
        own = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        own |= {"KUBECONFIG": os.devnull} | ({"GITHUB_ACTIONS": "true"} if workflow else {})
        return Done(*forks().run(args, folder, own, "", 60))

    return started


def effects(said: str, workflow: bool) -> list[str]:
    """The lines that act on a terminal, look like ours, or are commands to the runner of a workflow."""
    acting = [line for line in said.split("\n") if not line.isprintable() or line.startswith("error: forged")]
    return acting + [line for line in said.split("\n") if workflow and ("##[" in line or line.startswith("::error::x"))]


@pytest.mark.parametrize("workflow", [False, True], ids=["terminal", "workflow"])
@pytest.mark.parametrize("tool", ["git", "kubectl", "helm"])
def test_other_programs(
    tool: str,
    workflow: bool,
    run: Run,
    tmp_path: Path,
    hostile: Hostile,
) -> None:
    args = {"git": ("init", "--check"), "kubectl": ("list",), "helm": ("list", "--kube-context=a", "--namespace=b")}
    done = run(tmp_path, *args[tool], tool=tool, workflow=workflow)
    hostile.tried("terminal text", done.stderr, changed=effects(done.stderr, workflow))
    assert done.code == 4 and done.stdout == "", done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.isascii(), done.stderr


@pytest.mark.parametrize("workflow", [False, True], ids=["terminal", "workflow"])
def test_the_users_own_code(workflow: bool, run: Run, tmp_path: Path, hostile: Hostile) -> None:
    tmp_path.joinpath("project.py").write_text(f"def helper():\n    raise ValueError({SAID!r})\nhelper()\n")
    tmp_path.joinpath("pyproject.toml").write_text(f"[tool.staging-cronjobs]\npython = '{sys.executable}'\n")
    done = run(tmp_path, "catalogue", "--datasets", "project:ALL", workflow=workflow)
    hostile.tried("terminal text", done.stderr.partition("Traceback")[0], changed=effects(done.stderr, workflow))
    assert done.code == 4 and done.stdout == ""
    first, *trace = done.stderr.splitlines()
    assert first.startswith("::error::your code failed" if workflow else "error: your code failed")
    assert SHOWN.replace(r"\r", " ") in first  # the sentence is one line
    assert trace[0] == "Traceback (most recent call last):"
    assert [line for line in trace if line.startswith("  File ")] and f"ValueError: {SHOWN}" in trace
    assert "    raise ValueError(" in "\n".join(trace)


def test_a_setting_in_a_command_to_copy(run: Run, tmp_path: Path, hostile: Hostile) -> None:
    repository = make_repository(tmp_path)
    text = (repository.path / "pyproject.toml").read_text()
    repository.write("pyproject.toml", f'{text}remote = "a; touch ran \\u001b[2J\\u202e"\n')
    done = run(repository.path, *DEPLOY)
    hostile.tried("settings of a branch", done.stderr, changed=effects(done.stderr, False))
    assert done.code in (2, 3, 4) and not (repository.path / "ran").exists()


HOSTILE = {  # the first is a name of a branch that git takes
    "main": "a';touch${IFS}ran;$(touch${IFS}ran)`touch${IFS}ran`'",
    "repository": "a;touch${IFS}ran;$(touch${IFS}ran)",
    "environment": "a; touch ran",
}


@pytest.mark.parametrize("setting", HOSTILE)
def test_what_init_prints_to_copy(setting: str, run: Run, tmp_path: Path, hostile: Hostile) -> None:
    repository = make_repository(tmp_path)
    if setting == "environment":
        assert run(repository.path, "init", "--yes").code == 0
        file = ".github/workflows/deploy-staging.yml"
        text = (repository.path / file).read_text()
        assert "|| 'staging'" in text
        repository.write(file, text.replace("|| 'staging'", f"|| '{HOSTILE[setting]}'"))
    else:
        text = (repository.path / "pyproject.toml").read_text()
        kept = re.sub(f"^{setting} = .*\n", "", text, flags=re.MULTILINE)
        repository.write("pyproject.toml", f'{kept}{setting} = "{HOSTILE[setting]}"\n')
    done = run(repository.path, "init", "--yes")
    script = f"gh() {{ cat > /dev/null; }}\n{done.stdout}"
    subprocess.run(["sh", "-c", script], cwd=repository.path, stdin=subprocess.DEVNULL, capture_output=True)
    ran = list(repository.path.rglob("ran"))
    hostile.tried("settings of a branch", done.stderr, ran=ran, changed=effects(done.stderr, False))
    assert done.code == 0 and "gh api" in done.stdout, done.stderr


@pytest.mark.parametrize("setting", ["main", "repository"])
def test_a_setting_with_lines_in_it_is_refused_by_init(
    setting: str, run: Run, tmp_path: Path, hostile: Hostile
) -> None:
    repository = make_repository(tmp_path)
    text = re.sub(f"^{setting} = .*\n", "", (repository.path / "pyproject.toml").read_text(), flags=re.MULTILINE)
    repository.write("pyproject.toml", f'{text}{setting} = "x\\ntouch ran"\n')
    done = run(repository.path, "init", "--yes")
    hostile.tried("settings of a branch", done.stderr, changed=done.stdout)
    assert done.code == 2 and not (repository.path / ".github").exists()
