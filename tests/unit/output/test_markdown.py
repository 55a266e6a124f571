"""The summary of a deploy: what a person reads, and that nothing of user code is more than text in it."""

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from catalogues import record
from reference import fields_told
from staging_cronjobs.errors import Outside, Refused, Superseded
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.model import command_line
from staging_cronjobs.model.diff import Changes
from staging_cronjobs.model.values import Job, Values
from staging_cronjobs.output import markdown, printing, terminal
from staging_cronjobs.verbs.deploy import Outcome

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
GOLDEN = Path(__file__).with_name("summary.md")
PAGE = MarkdownIt("commonmark").enable("table")
HOSTILE = "s3://x`|<img src=y onerror=z>\n| a | b |\n# c [d](e) ``f``"


def job(name: str, **spec: Any) -> Job:
    return Job(name=name, spec={"jobTemplate": {"spec": {}}, **spec})


OUTCOME = Outcome(
    Cluster("my-cluster", "weather"),
    "staging-ridge-snow-v0-2-0",
    installed=False,
    values=Values(
        record=record(
            commit="e635c485c57c5dc737e858961893045f951e28df",
            image="example.registry/weather:e635c485c57c",
            stores=["s3://weather-data/ridge-snow/v0.2.0.icechunk", HOSTILE],
        ),
        jobs={
            "archive": job("staging-ridge-snow-v0-2-0-archive", schedule="@every 1h30m", suspend=True),
            "update": job("staging-ridge-snow-v0-2-0-update", schedule="15 */6 * * *"),
            "validate": job("staging-ridge-snow-v0-2-0-validate", schedule="0 7 * * 1", timeZone="Europe/Oslo"),
        },
    ),
    main_version="0.1.0",
    changes=Changes(
        first=False,
        added=["archive"],
        changed={"update": ["containers[worker].image weather:1 → weather:2", "containers[worker].env[LEVEL]"]},
        dropped=["report"],
        stopped=["staging-ridge-snow-v0-2-0-report-29416020"],
        production={"archive": None, "update": ["schedule 0 * * * * → 15 */6 * * *"], "validate": []},
    ),
    warnings=("Secret sentry is not in namespace weather: the pods of update will not start without it",),
    notices=(f"no job runs the image x: they run {HOSTILE}",),
)


def test_what_a_person_reads() -> None:
    assert markdown.deployed(OUTCOME, NOW) == GOLDEN.read_text().rstrip("\n")


def test_a_first_paused_deploy_of_a_new_dataset_says_what_comes_next() -> None:
    first = Changes(first=True, added=[], changed={}, dropped=[], stopped=[], production={"update": None})
    values = OUTCOME.values.model_copy(update={"suspend": True})
    text = markdown.deployed(
        replace(OUTCOME, installed=True, values=values, changes=first, main_version=None, warnings=(), notices=()), NOW
    )
    assert "is staged, paused" in text and "main does not have this dataset" in text
    assert text.count("| paused |") == 3
    assert "production has no job of this dataset in this namespace" in text
    backfill, resume = text.index("# backfill"), text.index("staging resume --branch stage/ridge-snow/v0.2.0")
    assert backfill < resume
    assert "staging rollback" not in text and "Changes since the last deploy" not in text and "Warnings" not in text


def test_a_projects_own_command_to_backfill_is_shown_to_be_copied() -> None:
    text = markdown.deployed(replace(OUTCOME, backfill="uv run main x --image 'a\u200bb'"), NOW)
    assert "uv run main x --image 'a\\u200bb'   # backfill the stores above\n" in text
    assert "# backfill: write" not in text


@pytest.mark.parametrize("main", ["0.2.1", "0.1.0"])
def test_a_program_of_their_own_names_no_command_that_it_does_not_have(
    main: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = OUTCOME.values.model_copy(update={"suspend": True, "paused_keys": ["update"]})
    outcome = replace(OUTCOME, values=values, main_version=main, warnings=(), notices=())
    with command_line.within("main"):
        terminal.deployed(outcome, as_json=False)
        text = capsys.readouterr().out + markdown.deployed(outcome, NOW)
    named = re.findall(r"((?:\S+ )*)staging (resume|run|rollback|cleanup|pause|list|status)\b", text)
    assert {verb for _, verb in named} == {"resume", "run", "rollback"}
    assert [before for before, _ in named if not before.endswith("uv run ")] == []
    assert text.count("main cleanup-staging --dataset-id ridge-snow --version 0.2.0") == 2


@pytest.mark.parametrize("command", ["", "uv run main x"])
@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("main", ["0.2.1", "0.10.0", "1"])
def test_an_older_version_than_mains_has_its_data(
    main: str, paused: bool, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = OUTCOME.values.model_copy(update={"suspend": paused})
    legacy = replace(OUTCOME, values=values, main_version=main, backfill=command)
    text = markdown.deployed(legacy, NOW)
    assert f"# main is at v{main}, so this version's data exists: no backfill\n" in text
    assert "uv run main x" not in text and "backfill:" not in text
    assert ("resume --branch stage/ridge-snow/v0.2.0   # let its jobs run\n" in text) == paused
    terminal.deployed(legacy, as_json=False)
    said = capsys.readouterr().out
    next_step = "  staging resume --dataset-id ridge-snow --version 0.2.0\n"
    assert (f"Main is at v{main}, so its data exists. Next:\n{next_step}" in said) == paused
    assert "backfill" not in said and "uv run main x" not in said
    terminal.deployed(legacy, as_json=True)
    read = json.loads(capsys.readouterr().out)
    assert read["backfill"] is None and {*read} <= fields_told("deploy")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Refused("main has <b>"), r"**Refused:** main has \<b\>"),
        (Superseded("branch x moved"), "**Superseded:** branch x moved"),
        (Outside("it failed: a|b", "Traceback\n  more"), r"**Failed:** it failed: a\|b"),
    ],
)
def test_what_did_not_happen_is_one_line(error: Any, line: str) -> None:
    assert markdown.ended(error) == line


def shown(text: str) -> str:
    return html.escape(printing.inert(" ".join(text.split())), quote=False)


@given(st.text() | st.text("`|<>[]()&\\\n\r *_~#!a", min_size=1))
def test_whatever_a_store_is_called_it_is_text(store: str) -> None:
    record = OUTCOME.values.record.model_copy(update={"stores": [store], "image": store})
    values = OUTCOME.values.model_copy(update={"record": record})
    page = PAGE.render(markdown.deployed(replace(OUTCOME, values=values, notices=(f"x: {store}.",)), NOW))
    assert page.count("<table>") == 1 and page.count("<tr>") == 4 and page.count("<li>") == 10
    tags = {tag.split()[0] for tag in re.findall(r"</?([^>]+)>", page)}
    assert tags <= {"h3", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "strong", "pre"}
    text = html.unescape(page)
    assert f"x: {html.unescape(shown(store))}".rstrip() in text


def test_a_dry_run_does_not_say_that_anything_was_done() -> None:
    page = markdown.deployed(replace(OUTCOME, dry_run=True), NOW)
    for words in ("is staged", "was upgraded", "It runs", "**Next**", "staging cleanup"):
        assert words not in page
    for words in ("would be staged", "Nothing was changed: this was a dry run.", "would be upgraded", "would run"):
        assert words in page
