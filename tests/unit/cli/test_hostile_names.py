"""Whatever a branch is called, `staging` says in one line that it is no staged version, and starts nothing."""

import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from staging_cronjobs.cli import app
from staging_cronjobs.model.staged_version import BRANCH, ID_LIMIT

COMMAND = get_command(app)
VERBS = (
    *(("name",), ("render", "--docker-image=i"), ("deploy", "--docker-image=i"), ("cleanup", "--yes"), ("pause",)),
    *(("resume",), ("status",), ("logs",), ("run",), ("rollback",)),
    *(("pause", "--"), ("run", "--"), ("cleanup", "--yes", "--")),  # as the argument
    *(("resume", "--"), ("status", "--"), ("logs", "--"), ("rollback", "--")),
)
STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")
REFUSED_BY_GIT = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.(/|$)|\.lock(/|$)|/$|^-")
PIECES = (
    *("$(touch${IFS}x)", "`id`", ";id", "|id", "&&id", ">x", "<x", "'", '"', "${IFS}", "%0A", "!", "#", "$HOME"),
    *(
        "--yes",
        "-",
        "=",
        ",",
        "{",
        "}",
        "stage/",
        "refs/heads/",
        "v",
        "v1",
        "1.0",
        "0",
        ".",
        "/",
        "_",
        "A",
        "ridge-snow",
    ),
    *("\N{NON-BREAKING HYPHEN}", "\N{CYRILLIC SMALL LETTER O}", "\N{FULLWIDTH DIGIT ONE}", "\N{ZERO WIDTH SPACE}"),
    *("\N{LINE SEPARATOR}", "\N{NEXT LINE}", "\N{RIGHT-TO-LEFT OVERRIDE}", "a" * 100),
)


def wild() -> st.SearchStrategy[str]:
    """What git takes as the name of a branch, and no staged version."""
    pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=6).map("".join)
    near = st.tuples(pieces, st.sampled_from(("v1.0.0", "v0.2.0\N{LINE SEPARATOR}", "0.2.0"))).map("/".join)
    return st.one_of(pieces, near).map(lambda rest: f"stage/{rest}").filter(odd)


def odd(name: str) -> bool:
    staged = BRANCH.fullmatch(name)
    return not REFUSED_BY_GIT.search(name) and not (staged and len(staged["dataset_id"]) <= ID_LIMIT) and encodes(name)


def encodes(name: str) -> bool:
    """Half of a surrogate pair is no text, neither for git nor for a command line."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


started: list[str] = []


def watch(event: str, _: tuple[Any, ...]) -> None:
    if event in STARTS:
        started.append(event)


@pytest.fixture(scope="module", autouse=True)
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    sys.addaudithook(watch)  # for good; it only notes
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        patch.delenv("GITHUB_ACTIONS", raising=False)  # there, errors are annotations
        yield


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(wild(), min_size=20, max_size=20))
@example(["stage/$(touch${IFS}x)/v1.0.0", f"stage/{'a' * 64}/v1.0.0", "stage/ridge-snow/v1.0.0\n", "--yes", "-h"])
def test_one_error_line_exit_code_2_and_nothing_started(branches: list[str]) -> None:
    for branch, verb in zip(branches, cycle(VERBS), strict=False):
        started.clear()
        with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
            given = branch if verb[-1] == "--" else f"--branch={branch}"
            code = COMMAND.main([*verb, given], standalone_mode=False)
        assert (code, stdout.getvalue(), started) == (2, "", []), (branch, verb)
        assert re.fullmatch(r"error: [^\n\r\x85\u2028\u2029]+\n", stderr.getvalue()), (branch, verb)
