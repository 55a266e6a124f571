"""The table of `staging doctor`: words are broken, commands are not, and nothing in it acts on a terminal."""

import json

import pytest

from hostile import Hostile
from staging_cronjobs.model.doctor import OK, UNKNOWN, WRONG, Look, told
from staging_cronjobs.output import doctor

COMMAND = f"kubectl create role {'x' * 120}"
LOOKS = [
    Look("helm", OK, "v4.3.1"),
    Look("rights", WRONG, "may not " + "list " * 40, (COMMAND,)),
    Look("a", UNKNOWN, ""),
]


def test_commands_are_whole_lines_under_what_they_mend(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.as_table(LOOKS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "helm       ok       v4.3.1"
    assert [line for line in lines if COMMAND in line] == [f"{' ' * 22}{COMMAND}"]
    assert all(len(line) <= 100 for line in lines if COMMAND not in line)
    assert lines[-1] == "1 ok, 1 wrong, 1 unknown."


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.as_json(LOOKS)
    first, second, _ = json.loads(capsys.readouterr().out)
    assert first == {"what": "helm", "state": "ok", "found": "v4.3.1", "commands": []}
    assert second["commands"] == [COMMAND]


def test_text_of_others_does_nothing(capsys: pytest.CaptureFixture[str], hostile: Hostile) -> None:
    bad = "\x1b[2J\x9b1m\r\nerror: forged\u202e"
    doctor.as_table([Look("helm", WRONG, bad, (bad,)), Look(f"environment {bad}", OK, bad)])
    said = capsys.readouterr().out
    acting = [line for line in said.split("\n") if not line.isprintable() or line.startswith("error")]
    hostile.tried("terminal text", said, changed=acting)


@pytest.mark.parametrize(
    ("sentence", "found", "commands"),
    [
        ("uv.lock is missing. Run `uv lock`", "uv.lock is missing", ("uv lock",)),
        ("It is old. Run `uv lock`.", "It is old", ("uv lock",)),
        ("Run `uv lock`, then look", "Run `uv lock`, then look", ()),
        ("All is well.", "All is well", ()),
    ],
)
def test_a_command_at_the_end_of_a_sentence_is_set_apart(sentence: str, found: str, commands: tuple[str, ...]) -> None:
    assert told("x", WRONG, sentence) == Look("x", WRONG, found, commands)
