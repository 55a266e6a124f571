"""Whatever anybody wrote, what is printed of it does nothing to a terminal, and forges no line of ours."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from hostile import Hostile
from staging_cronjobs.errors import Refused
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.external.git import Checkout
from staging_cronjobs.external.helm_record import Release, Revision
from staging_cronjobs.external.sentry import Monitor, Project
from staging_cronjobs.model import timeline
from staging_cronjobs.model.diff import Changes
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Job, Record, Values
from staging_cronjobs.output import github, markdown, printing, screen, terminal
from staging_cronjobs.output.timeline import timeline as show_timeline
from staging_cronjobs.verbs.check import Verdict
from staging_cronjobs.verbs.cleanup import Plan
from staging_cronjobs.verbs.deploy import Outcome
from staging_cronjobs.verbs.sweep import Finding

CLUSTER = Cluster("my-cluster", "weather")
STAGED, OTHER = StagedVersion("ridge-snow", "0.2.0"), StagedVersion("ridge-snow", "0.3.0")
NOW, RELEASE = "2026-01-05T09:00:00Z", "staging-ridge-snow-v0-2-0"
MONDAY = datetime.fromisoformat(NOW)
KINDS = ("production", "staged", "unproven")
TEXTS = {
    "escape sequence": "\x1b[2J\x1b[1;31mx",
    "C1 escape sequence": "\x9b2Jx",
    "link": "\x1b]8;;https://example.com\x07here\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "title": "\x1b]0;x\x9c",
    "carriage return": "x\rerror: forged",
    "new line": "x\nerror: forged",
    "carriage return and new line": "x\r\nerror: forged",
    "next line": "x\x85error: forged",
    "line separator": "x\u2028error: forged\u2029error: forged",
    "vertical tab": "x\verror: forged\ferror: forged",
    "backspace": "x\b\b\b\x7f",
    "bidi": "\u202egpj.exe\u2066\u200f",
    "zero width": "a\u200bb\u200d\u2060\ufeffc",
    "fillers": "\u3164\u115f\uffa0\u034f\ufe0f\U000e0100",
    "tags": "\U000e0041\U000e007f",
    "half a pair": "caf\udce9\ud800",
    "private use": "\ue000\U0010ffff",
    "command to the runner": "::error::x\n##[error]x",
}


def outcome(text: str) -> Outcome:
    """A deploy in which everything that others may have a say in is this text."""
    spec: dict[str, Any] = {"schedule": text, "timeZone": text, "jobTemplate": {"spec": {}}}
    changes = Changes(
        first=False,
        added=[text],
        changed={text: [text]},
        dropped=[text],
        stopped=[text],
        production={text: [text], "b": None},
    )
    both: dict[str, Any] = {"suspend": True, "paused_keys": [text]}
    values = Values.model_construct(record=record(text), **both, jobs={text: job(text, spec)})
    return Outcome(
        Cluster(text, "weather"),
        text,
        installed=False,
        values=values,
        main_version=text,
        changes=changes,
        warnings=(text,),
        notices=(text,),
        backfill=text,
    )


def record(text: str) -> Record:
    return Record.model_construct(
        format=1,
        repository=text,
        dataset_id=text,
        version=text,
        branch=text,
        commit=text,
        image=text,
        template_path=text,
        stores=[text, f"s3://{text}"],
    )


def job(text: str, spec: dict[str, Any]) -> Job:
    return Job.model_construct(name=text, labels={}, annotations={}, spec=spec)


def release(text: str) -> Release:
    spec: dict[str, Any] = {"schedule": text, "suspend": True}
    alone: dict[str, Any] = {"suspend": False, "paused_keys": [text]}
    values = Values.model_construct(record=record(text), **alone, jobs={text: job(text, spec)})
    return Release(text, (Revision(1, text, text, "2026-01-05T00:00:00Z", values, {}, text, 0),))


def plans(text: str) -> Iterator[Plan]:
    checkout, project = Checkout(Path("x"), text, "main", text), Project("https://sentry.io", text, text, "token")
    for checked_out, head in ((checkout, text), (checkout, None), (None, None)):
        yield Plan(Cluster(text, "weather"), release(text), checked_out, head, project, (Monitor(text, "1"),))
        yield Plan(Cluster(text, "weather"), release(text), checked_out, head, project, (), text, running=(text,))
    yield Plan(Cluster(text, "weather"), release(text), None, None, None, keep_branch=True, keep_monitors=True)


def printers(text: str, *, as_json: bool = False) -> Iterator[Callable[[], None]]:
    """Every function that prints, with this text in every place that others may have a say in."""
    cluster = Cluster(text, "weather")
    jobs: list[dict[str, Any]] = [
        {
            "key": text,
            "name": text,
            "schedule": text,
            "time_zone": text,
            "suspend": True,
            "missing": missing,
            "paused": True,
        }
        for missing in (False, True)
    ]
    for job in jobs:
        job |= {"last_run": "failed", "next_fire": None} | dict.fromkeys(
            ("last_success", "last_schedule", "created"), NOW
        )
    names = ("dataset_id", "version", "status", "commit", "repository", "branch", "image", "release", "namespace")
    row = {**dict.fromkeys(names, text), "revision": 1, "paused": True, "created": NOW, "updated": NOW, "jobs": jobs}
    verdicts = [Verdict(text, text, text, {text: text}, problem=text), Verdict(text, text, absent=text)]
    finding = Finding(text, text, text, removable=True)
    yield lambda: terminal.deployed(outcome(text), as_json=as_json)
    yield lambda: terminal.deployed(replace(outcome(text), dry_run=True, refusal=Refused(text)), as_json=as_json)
    yield lambda: terminal.releases([row], cluster, MONDAY, as_json=as_json)
    yield lambda: terminal.releases([row], replace(cluster, everywhere=True), MONDAY, wide=True, as_json=as_json)
    yield lambda: terminal.verdicts(verdicts, as_json=as_json)
    yield lambda: terminal.findings([finding], cluster, as_json=as_json)
    rows = [timeline.Job(kind, text, text, text, text, text, text, suspended=kind == "staged") for kind in KINDS]
    lines = timeline.of(rows, datetime(2026, 1, 5, tzinfo=UTC))
    yield lambda: show_timeline(lines, cluster, as_json=as_json)
    if as_json:
        return
    yield lambda: terminal.releases([], cluster, MONDAY)
    yield lambda: terminal.findings([], cluster, as_json=False)
    for spec in ({"schedule": "0 * * * *", "timeZone": text}, {"schedule": text}, {"schedule": text, "suspend": True}):
        yield lambda spec=spec: terminal.started(cluster, text, {"spec": spec})
    for suspend, changed in ((True, True), (False, True), (False, False)):
        for keys in ((), (text, text)):
            told: dict[str, Any] = {"suspend": suspend, "keys": keys}
            yield lambda c=changed, t=told: terminal.suspended(cluster, release(text), {text: [text]}, c, **t)
            yield lambda c=changed, k=keys: terminal.still_running(release(text), [text], stopped=c, keys=k)
    for plan in plans(text):
        yield lambda plan=plan: terminal.plans({STAGED: plan}, CLUSTER, printing.say)
        yield lambda plan=plan: terminal.plans({STAGED: plan, OTHER: Refused(text)}, CLUSTER, printing.say)
        yield lambda plan=plan: terminal.cleaned([plan, plan], ["", text])
    for dry in (False, True):
        said = replace(outcome(text), dry_run=dry)
        yield lambda said=said: print(markdown.deployed(said, datetime(2026, 1, 5, tzinfo=UTC)))
    yield lambda: print(markdown.ended(Refused(text)))
    yield lambda: printing.say(text)
    yield lambda: printing.say_text(text)
    yield lambda: printing.show(text)
    yield lambda: printing.show_text(text)
    yield lambda: github.annotate("warning", text)
    yield lambda: github.annotate("error", text, details=text)
    yield lambda: screen.table((text,), [(text,), ([text, text],)])


def printed(show: Callable[[], None]) -> str:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        show()
    return out.getvalue() + err.getvalue()


def commands(text: str) -> list[str]:
    """The lines of a log that the runner would carry out; our own annotations are no text of others."""
    if text.startswith(("### ", "**")):  # a summary
        return []
    lines = [re.sub("^::(error|warning)::", "", line) for line in text.splitlines()]
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def acts(text: str) -> set[str]:
    """The characters that do something to a terminal or to whoever reads it, or that nobody sees."""
    return {c for c in text if c != "\n" and (unicodedata.category(c) in BAD or c in "\u3164\u115f\uffa0\u034f\ufe0f")}


BAD = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("workflow", [False, True], ids=["terminal", "workflow"])
def test_text_of_others_does_nothing(
    text: str, workflow: bool, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workflow:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for show in printers(text):
        said = printed(show)
        hostile.tried("terminal text", ascii(said), changed=acts(said), ran=workflow and commands(said))


@given(st.text())
@example("a\tb\x00\x1b\u061c\u2069")
def test_no_control_character_reaches_the_stream(text: str) -> None:
    for show in printers(text):
        assert not acts(printed(show))


def test_a_line_of_ours_cannot_be_forged() -> None:
    text = TEXTS["new line"]
    for show in list(printers(text))[:-8]:  # those after them print text with lines in it
        assert not any(line.startswith("error: forged") for line in printed(show).splitlines())
    for show in (lambda: printing.say(text), lambda: printing.show(text), lambda: github.annotate("warning", text)):
        assert len(printed(show).splitlines()) == 1


def test_the_lines_of_a_traceback_stay_lines() -> None:
    trace = 'Traceback (most recent call last):\r\n\tFile "x.py"\n\x1b[31mValueError: \u202ex'
    assert printed(lambda: printing.say_text(trace)).splitlines() == [
        "Traceback (most recent call last):",
        '        File "x.py"',
        "\\u001b[31mValueError: \\u202ex",
    ]


@given(st.text())
@example("\x7f\u202e##[error]x\ud800")
def test_json_stays_json(text: str) -> None:
    for show in printers(text, as_json=True):
        said = printed(show)
        assert said.isascii() and "##[" not in said and not acts(said)
        assert text in set(strings(json.loads(said)))


def strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (s for pair in value.items() for part in pair for s in strings(part))
    elif isinstance(value, list):
        yield from (s for part in value for s in strings(part))
    elif isinstance(value, str):
        yield value


def test_columns_begin_at_one_place_whatever_is_in_them() -> None:
    texts = ["ridge-snow", "\u6c17\u8c61\u5e81", "caf\xe9", "\U0001f30a", "x\x1b[31m", "e\u0301"]
    said = printed(lambda: screen.table(("NAME", "STORE"), [(text, "here") for text in texts]))
    header, *rows = said.splitlines()
    assert {cell_len(row[: row.index("here")]) for row in rows} == {header.index("STORE")}


def test_columns_begin_at_one_place_where_the_terminal_lacks_characters() -> None:
    code = "from staging_cronjobs.output import screen; screen.table(('A', 'B'), [('\\u6c17', 'x'), ('c', 'x')])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert done.stdout.decode("ascii").splitlines() == ["A       B", "\\u6c17  x", "c       x"]


def test_blanks_in_a_schedule_are_shown_as_blanks() -> None:
    tabbed = outcome("x").values.jobs["x"].model_copy(update={"spec": {"schedule": "15\t*  * *\t*", "jobTemplate": {}}})
    values = outcome("x").values.model_copy(update={"jobs": {"update": tabbed}})
    row = listed(listed_job("update", schedule="15\t* * *\t*"))
    assert "15 * * * *" in printed(lambda: terminal.releases([row], CLUSTER, MONDAY))
    assert "15 * * * *" in printed(lambda: terminal.deployed(replace(outcome("x"), values=values), as_json=False))


def test_commands_to_copy_are_one_word_where_they_mean_one() -> None:
    text = "a b;id $(id)`id`'x"
    told = "\n".join(printed(show) for show in printers(text))
    lines = [line for line in told.splitlines() if line.startswith(("  git push ", "  aws "))]
    assert len(lines) > 5
    for line in lines:
        shell = subprocess.run(
            ["sh", "-c", f'git() {{ printf \'%s\\n\' "$#"; }}; aws() {{ git "$@"; }}; {line}'],
            capture_output=True,
            text=True,
        )
        assert (shell.stdout, shell.stderr) in {("3\n", ""), ("4\n", "")}, line


# One job a line

A_NEW = "a 15 * * * * - suspended"
A_WELL = "a 15 * * * * succeeded 40m ago"


def listed_job(key: str, **facts: Any) -> dict[str, Any]:
    """A job as `list` has it; healthy, with other facts over it."""
    times = {"last_success": "2026-01-05T08:20:00Z", "last_schedule": "2026-01-05T08:15:00Z", "created": NOW}
    row = {"key": key, "name": f"staging-x-{key}", "schedule": "15 * * * *", "time_zone": None, "suspend": False}
    row |= {"paused": False, "code_suspends": False}
    return {**row, **times, "missing": False, "last_run": "succeeded", "next_fire": "2026-01-05T09:15:00Z", **facts}


def listed(*jobs: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """A release as `list` has it."""
    row = {"dataset_id": "ridge-snow", "version": "0.2.0", "status": "deployed", "paused": False, "revision": 1}
    row |= {"commit": "e635c485c57c", "created": "2026-01-03T09:00:00Z", "release": RELEASE, "namespace": "weather"}
    return {**row, "repository": "dynamical-demo/weather", "image": "example.registry/weather:1", **facts, "jobs": jobs}


@pytest.mark.parametrize(
    ("row", "state", "runs"),
    [
        (listed(listed_job("update")), "deployed", ["update 15 * * * * succeeded 40m ago 09:15 UTC"]),
        (
            listed(listed_job("update", last_run="failed"), listed_job("validate")),
            "deployed, update failed",
            ["update 15 * * * * failed 45m ago 09:15 UTC", "validate 15 * * * * succeeded 40m ago 09:15 UTC"],
        ),
        (
            listed(*(listed_job(key, last_run="failed") for key in "ab")),
            "deployed, 2 jobs failed",
            [f"{key} 15 * * * * failed 45m ago 09:15 UTC" for key in "ab"],
        ),
        (
            listed(listed_job("update", missing=True, suspend=None, last_run="", next_fire=None)),
            "deployed, update missing",
            ["update 15 * * * * missing missing"],
        ),
        (
            listed(listed_job("a", suspend=True, last_run=""), listed_job("b", last_run="running"), paused=True),
            "deployed, paused except b",
            ["a 15 * * * * - suspended", "b 15 * * * * running for 45m 09:15 UTC"],
        ),
        (listed(listed_job("a", suspend=True, last_run=""), paused=True), "deployed, paused", [A_NEW]),
        (
            listed(listed_job("a", suspend=True, last_run="", paused=True), listed_job("b")),
            "deployed, a paused",
            [A_NEW, "b 15 * * * * succeeded 40m ago 09:15 UTC"],
        ),
        (listed(listed_job("a", paused=True)), "deployed, a fires, though paused", [f"{A_WELL} 09:15 UTC"]),
        (listed(listed_job("a", suspend=True, last_run="")), "deployed, a suspended", [A_NEW]),
        (listed(listed_job("a", suspend=True, last_run=""), status="pending-upgrade"), "pending-upgrade", [A_NEW]),
        (listed(listed_job("a", suspend=True, last_run="", code_suspends=True)), "deployed", [A_NEW]),
        (
            listed(listed_job("a", code_suspends=True)),
            "deployed, a fires, though its code suspends it",
            [f"{A_WELL} 09:15 UTC"],
        ),
        (listed(listed_job("a", next_fire=None)), "deployed", [f"{A_WELL} unknown"]),
        (listed(listed_job("a", next_fire="2026-02-01T00:00:00Z")), "deployed", [f"{A_WELL} 2026-02-01 00:00 UTC"]),
        (listed(status="uninstalled"), "uninstalled", ["- - - -"]),
        (listed(listed_job("a", missing=True), status="failed"), "failed, a missing", ["a 15 * * * * missing missing"]),
    ],
)  # fmt: skip
def test_a_release_that_is_not_well_never_reads_so(row: dict[str, Any], state: str, runs: list[str]) -> None:
    _, *lines = printed(lambda: terminal.releases([row], CLUSTER, MONDAY)).splitlines()
    assert [" ".join(line.split()) for line in lines] == [f"ridge-snow 0.2.0 {state} 2d e635c485 {run}" for run in runs]


def test_a_release_that_cannot_be_read_is_shown_by_its_name() -> None:
    row = listed(**dict.fromkeys(("dataset_id", "version", "commit", "created"), ""), status="unproven")
    assert printed(lambda: terminal.releases([row], CLUSTER, MONDAY)).split()[-9:] == [
        RELEASE,
        "-",
        "unproven",
        *"------",
    ]


@pytest.mark.parametrize("columns", ["", "20", "80", "1000"])
@pytest.mark.parametrize("colour", ["", "1"])
def test_list_breaks_and_cuts_nothing(columns: str, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("COLUMNS", columns), ("FORCE_COLOR", colour)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    long = "fjord-basin-ens-forecast-12-day-0-25-degree"
    rows = [
        listed(listed_job("update"), listed_job("archive-grib-files"), dataset_id=long, image="i" * 200) for _ in "ab"
    ]
    cluster = replace(CLUSTER, everywhere=True)
    header, *lines = printed(lambda: terminal.releases(rows, cluster, MONDAY, wide=True)).splitlines()
    assert header.replace("\x1b[1m", "").startswith("NAMESPACE") and ("\x1b[1m" in header) == bool(colour)
    assert len(lines) == 4
    assert all({"weather", long, RELEASE, "dynamical-demo/weather", "i" * 200} < {*line.split()} for line in lines)


CELLS = st.text("aB 9*/:,.-\t\n\u6c17", max_size=30)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[CELLS | st.lists(CELLS, max_size=3)] * n), min_size=1)))
@example([("", "a"), ("", "")])
@example([([], "a")])
def test_a_table_has_every_word_whole_and_in_its_column(rows: list[tuple[screen.Cell, ...]]) -> None:
    header = ("NAME", "DETAIL", "X", "YES")[: len(rows[0])]
    top, *lines = printed(lambda: screen.table(header, rows)).splitlines()
    starts = [cell_len(top[: top.index(title)]) for title in header]
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else 10**6
        words = [
            word
            for row in rows
            for cell in [row[number]]
            for text in ([cell] if isinstance(cell, str) else cell)
            for word in printing.inert(text).split()
        ]
        assert [word for line in lines for word in columns_of(line, start, end).split()] == words


def columns_of(line: str, start: int, end: int) -> str:
    """The part of a line that stands in these columns."""
    return "".join(c for n, c in enumerate(line) if start <= cell_len(line[:n]) < end)


def test_words_are_broken_where_the_screen_ends_and_names_are_not() -> None:
    rows = [("n" * 50, "a few words and " * 9, "yes")]
    lines = printed(lambda: screen.table(("NAME", "DETAIL", "REMOVABLE"), rows)).splitlines()
    assert len(lines) > 2 and "n" * 50 in lines[1] and max(map(len, lines)) <= screen.WIDTH


def test_a_table_that_fits_needs_no_rich() -> None:
    code = "import sys; from staging_cronjobs.output import screen; screen.table(('A',), [('x',)]); "
    code += "print('rich' in sys.modules)"
    here = {name: value for name, value in os.environ.items() if name not in screen.SCREEN}
    done = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True)
    assert done.stdout == "A\nx\nFalse\n", done.stderr
