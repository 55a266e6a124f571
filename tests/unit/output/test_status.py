"""What `staging status` prints: ages, widths, words, and nothing that a page or a terminal would take for its own."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from reference import fields_told
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.model.runs import FAILED, RUNNING, Run
from staging_cronjobs.model.status import JobStanding, Problem, Standing
from staging_cronjobs.output import status as shown
from staging_cronjobs.output.screen import age
from staging_cronjobs.verbs.status import Status

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
RUN = "https://github.com/dynamical-demo/weather/actions/runs/7"
NAME = "staging-ridge-snow-v0-2-0-update"
COMMAND = f"kubectl logs job/{NAME}-29926541 --all-containers --namespace weather --context my-cluster"


JOB = JobStanding("update", NAME, "15 * * * *", None, False, None, None, (), None, "", known=True)
VERSION = Standing(
    "staging-ridge-snow-v0-2-0",
    "deployed",
    dataset_id="ridge-snow",
    version="0.2.0",
    revision=3,
    created="2026-11-22T12:00:00Z",
    updated="2026-11-25T11:58:00Z",
    ours=True,
    branch="stage/ridge-snow/v0.2.0",
    commit="a" * 40,
    head="a" * 40,
    behind=2,
    main="0.1.0",
    jobs=(JOB,),
)


def job(**facts: Any) -> JobStanding:
    return replace(JOB, **facts)


def version(**facts: Any) -> Standing:
    return replace(VERSION, **facts)


def table(*versions: Standing, unknown: tuple[Problem, ...] = ()) -> str:
    with redirect_stdout(io.StringIO()) as printed:
        shown.as_table(Status(Cluster("my-cluster", "weather"), NOW, versions, unknown))
    return printed.getvalue()


@pytest.mark.parametrize(
    ("stamp", "told"),
    [("2026-11-25T12:00:05Z", "0s"), ("2026-11-25T11:58:30Z", "90s"), ("2026-11-25T10:00:00Z", "2h"),
     ("2026-11-25T10:01:00Z", "119m"), ("2026-11-23T13:00:00Z", "47h"), ("2026-11-20T12:00:00Z", "5d")],
)  # fmt: skip
def test_ages_are_short(stamp: str, told: str) -> None:
    assert age(stamp, NOW) == told


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "at aaaaaaaaaaaa, as deployed; behind main: 2 commits"),
        ({"behind": None}, "behind main: unknown"),
        ({"head": None}, "gone, aaaaaaaaaaaa is deployed"),
        ({"head": "b" * 40}, "at bbbbbbbbbbbb, aaaaaaaaaaaa is deployed"),
        ({"commit": f"{'a' * 40}-dirty"}, "as deployed with changes that were not committed"),
        ({"head": "unknown"}, "head unknown; aaaaaaaaaaaa is deployed"),
        ({"head": "unknown", "ours": False, "repository": "x/y"}, "of x/y, head unknown; aaaaaaaaaaaa"),
        ({"main": "0.1.0"}, "0.1.0, older than this"),
        ({"main": "0.2.0"}, "0.2.0, the same"),
        ({"main": "0.10.0"}, "0.10.0, newer than this"),
        ({"main": None}, "main does not have this dataset"),
        ({"main": "unreadable"}, "unreadable"),
        ({"actor": "octocat", "subject": "Tune the blending", "run": RUN}, f"by octocat ({RUN}): Tune the blending"),
        ({"actor": "octocat"}, "deployed by octocat main"),
        ({"subject": "Tune the blending"}, "deployed Tune the blending main"),
        ({"jobs": (job(key="main"),)}, "older than this main no run yet"),
        ({"jobs": (job(suspended=None),)}, "its CronJob is missing"),
        ({"jobs": (job(known=False),)}, "runs unknown, next unknown"),
        ({"jobs": (job(known=False, last_success="2026-11-25T10:00:00Z"),)}, "succeeded 2h ago, the last runs are un"),
        ({"jobs": (job(next_fire=datetime(2026, 11, 27, 4, tzinfo=UTC)),)}, "no run yet, next 2026-11-27 04:00 UTC"),
        ({"jobs": (job(suspended=True, monitor="ok"),)}, "suspended, monitor ok"),
        ({"jobs": (job(suspended=True, paused=True),)}, "paused alone"),
        ({"jobs": (job(suspended=True, paused=True),)}, "deployed, update paused, "),
        (
            {"jobs": (job(last_failure=Run("j", FAILED, "", "2026-11-25T10:00:00Z", "exit code 3", "p")),)},
            "failed 2h ago (exit code 3)",
        ),
        ({"jobs": (job(running=(Run("j", RUNNING, "2026-11-25T10:00:00Z", "", "", "p"),)),)}, "runs for 2h"),
    ],
)
def test_each_fact_has_its_words(facts: dict[str, Any], told: str) -> None:
    assert told in " ".join(table(version(**facts)).split())


def test_no_command_is_broken_and_no_sentence_is_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = table(version(problems=(Problem("it is so, " * 30, (COMMAND,)),)), unknown=(Problem("word " * 40),))
    lines = text.splitlines()
    assert f"      {COMMAND}" in lines
    assert max(len(line) for line in lines if COMMAND not in line) <= 80
    assert "  wrong: it is so," in text and "  unknown: word" in text
    assert lines[-1] == "1 staged version, 1 with something wrong. Not everything could be asked."


def test_json_has_all_facts_and_times_as_texts() -> None:
    found = Status(
        Cluster("my-cluster", "weather"),
        NOW,
        (version(jobs=(job(next_fire=NOW),), problems=(Problem("x", ("y",)),)),),
        (),
    )
    with redirect_stdout(io.StringIO()) as printed:
        shown.as_json(found)
    read = json.loads(printed.getvalue())
    assert (read["context"], read["namespace"], read["asked"]) == ("my-cluster", "weather", "2026-11-25T12:00:00Z")
    assert read["versions"][0]["jobs"][0]["next_fire"] == "2026-11-25T12:00:00Z"
    assert read["versions"][0]["problems"] == [{"text": "x", "commands": ["y"]}]
    facts = {
        *read,
        *read["versions"][0],
        *read["versions"][0]["jobs"][0],
        *Run.__dataclass_fields__,
        "text",
        "commands",
    }
    assert facts <= fields_told("status")


def test_markdown_has_a_row_a_version_and_commands_to_copy() -> None:
    found = Status(Cluster("c", "n"), NOW, (version(problems=(Problem("<b>|`x`", (COMMAND,)),)),), (Problem("y"),))
    text = shown.as_markdown(found)
    assert "| `ridge-snow v0.2.0` | deployed, 3d old, revision 3 for 2m | " in text
    assert f"  ```bash\n  {COMMAND}\n  ```" in text
    assert r"\<b\>\|\`x\`" in text and "- `unknown`: y" in text


def test_markdown_has_the_notes_apart_from_what_is_wrong() -> None:
    notes = (
        Problem("main is at 0.3.0: this is a legacy version, kept until you clean it up"),
        Problem(
            "it is paused, and waits for its first backfill. Do that, then resume it:", (COMMAND, "staging resume")
        ),
        Problem("<i> is paused alone. To let it go on:"),
    )
    found = Status(
        Cluster("c", "n"), NOW, (version(problems=(Problem("x"),), notes=notes), version(version="0.3.0")), ()
    )
    text = shown.as_markdown(found)
    assert "1 with something wrong" in text
    wrong, noted = text.split("\n\n**Notes**\n\n")
    assert wrong.endswith("- `ridge-snow v0.2.0`: x")
    assert noted.startswith("- `ridge-snow v0.2.0`: main is at 0.3.0: this is a legacy version")
    assert f"  ```bash\n  {COMMAND}\n  staging resume\n  ```" in noted and r"\<i\> is paused alone" in noted
    assert "Notes" not in shown.as_markdown(replace(found, versions=(version(),)))
