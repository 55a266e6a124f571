"""Every branch of every template is taken by values of these tests.

A `fail` stands at the beginning of each branch of a copy of the chart, also of the `else` that an `if` does not have.
Each render ends at one of them, which is then taken out; what is left in the end was never reached.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rendering import CHART, Object, RenderError, hand_made, render_chart, spec

Branch = tuple[str, int]  # the template's name, and where in it
FAILED = re.compile(r"<(\S+) (\d+)>")
ACTION = re.compile(r"{{-?\s*(if|else if|else|range|with|define|end)\b.*?}}", re.DOTALL)


def branches(text: str) -> Iterator[tuple[int, str]]:
    """Where each branch begins, and the `else` that must be written first where there is none."""
    opened: list[str] = []
    for action in ACTION.finditer(text):
        word = action[1]
        if word == "end":
            if opened.pop() in ("if", "with"):
                yield action.start(), "{{ else }}"
            continue
        if word.startswith("else"):
            opened[-1] = "if" if word == "else if" else "else"
        else:
            opened.append(word)
        yield action.end(), ""


def with_fails(name: str, text: str, waiting: set[Branch]) -> str:
    """A template that fails at every branch that waits to be taken."""
    for start, before in sorted(branches(text), reverse=True):
        if (name, start) in waiting:
            text = f'{text[:start]}{before}{{{{ fail "<{name} {start}>" }}}}{text[start:]}'
    return text


def good() -> Object:
    """What the chart has to do something about."""
    containers = [{"name": "a", "env": [{"name": "A"}, {"name": "CRON_JOB_NAME"}]}, {"name": "b"}]
    values = hand_made("plain", "many", labels={"a": "b"})
    values["record"]["actor"] = "x"
    values["jobs"]["plain"]["spec"] = spec(initContainers=[{"name": "c"}], containers=containers)
    values["jobs"]["many"]["spec"]["jobTemplate"]["spec"] |= {"completionMode": "Indexed", "completions": 5}
    return values


def bad() -> Object:
    """One of each problem that a complaint can have."""
    values = hand_made(*"abcdefg", annotations={"a": "\x7f", "\x7f": "b", "helm.sh/hook": "x"})
    values["record"] |= {"dataset_id": "-", "version": "-", "format": 2}
    jobs = values["jobs"]
    jobs["a"]["name"] = "1"
    jobs["b"]["name"] = "_"
    jobs["c"]["name"] = jobs["d"]["name"]
    jobs["e"]["name"] = "n" * 51
    jobs["f"]["name"] = "n" * 50
    jobs["f"]["spec"]["jobTemplate"]["spec"] |= {"completionMode": "Indexed", "completions": 1001}
    jobs["g"]["spec"] = spec(free=2**53)
    jobs["H"] = jobs["b"]
    return values


def long_version() -> Object:
    values = hand_made()
    values["record"]["version"] = "9" * 64
    return values


def test_every_branch_of_every_template_is_taken(helm_4: Path, tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    texts = {file: file.read_text() for file in (chart / "templates").iterdir()}
    waiting = {(file.name, start) for file, text in texts.items() for start, _ in branches(text)}
    assert len(waiting) > 50
    for values in (
        good(),
        hand_made() | {"suspend": True},
        hand_made() | {"paused_keys": ["a"]},
        bad(),
        long_version(),
        {},
    ):
        for more in ((), ("--is-upgrade",)):
            while branch := reached(helm_4, write(chart, texts, waiting), values, more):
                waiting.remove(branch)
    # `helm lint`, for which no `fail` is the end, comes to the notes of a release without jobs.
    linted = subprocess.run([helm_4, "lint", write(chart, texts, waiting)], capture_output=True, text=True)
    waiting -= {(name, int(start)) for name, start in FAILED.findall(linted.stderr)}
    lines = {(name, texts[chart / "templates" / name][:start].count("\n") + 1) for name, start in waiting}
    assert lines == set()


def write(chart: Path, texts: dict[Path, str], waiting: set[Branch]) -> Path:
    for file, text in texts.items():
        file.write_text(with_fails(file.name, text, waiting))
    return chart


def reached(helm: Path, chart: Path, values: Object, more: tuple[str, ...]) -> Branch | None:
    """The first waiting branch that a render comes to."""
    try:
        render_chart(helm, values, chart=chart, more=more)
    except RenderError as error:
        if found := FAILED.search(error.stderr):
            return found[1], int(found[2])
    return None
