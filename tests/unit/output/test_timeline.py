"""The timeline that a person reads: rows at 100 and at 80 columns, never wrapped, and without colour."""

import json
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO

import pytest

from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.model import timeline
from staging_cronjobs.model.timeline import Job
from staging_cronjobs.output.timeline import timeline as show

NOW = datetime(2026, 11, 25, 14, 5, 33, tzinfo=UTC)
CLUSTER = Cluster("my-cluster", "weather")
PRODUCTION = ("production", "ridge-snow", "")
JOBS = [
    Job(*PRODUCTION, "update", "ridge-snow-update", "15 */6 * * *", None, suspended=False),
    Job(*PRODUCTION, "validate", "ridge-snow-validate", "45 */6 * * *", None, suspended=False),
    Job("staged", "ridge-snow", "0.2.0", "update", "u", "15 */6 * * *", None, suspended=False),
    Job("staged", "ridge-snow", "0.2.0", "validate", "v", "48 */6 * * *", None, suspended=False),
    Job("staged", "ridge-snow", "0.10.0", "archive-grib-files", "a", "*/5 * * * *", None, suspended=False),
    Job("staged", "ridge-snow", "0.10.0", "every", "e", "@every 1h", None, suspended=False),
    Job("staged", "ridge-snow", "0.10.0", "update", "x", "15 */6 * * *", None, suspended=True, paused=True),
    Job("production", "", "", "", "orchard-frost-climatology-update", "0 7 * * *", "Europe/Oslo", suspended=False),
]
AT_100 = """\
context my-cluster, namespace weather
2026-11-25 14:05 to 2026-11-26 14:05 UTC; a column is 30 minutes
                                      15:00 18:00 21:00 00:00 03:00 06:00 09:00 12:00
ridge-snow
  production  update                ........X...........X...........X...........X....  next 18:15
  production  validate              .........X...........X...........X...........X...  next 18:45
  v0.2.0      update                ........X...........X...........X...........X....  next 18:15
  v0.2.0      validate              .........o...........o...........o...........o...  next 18:48
  v0.10.0     archive-grib-files    46666666XX6666666666XX6666666666XX6666666666XX662  next 14:10
  v0.10.0     every                 cannot be told: @every 1h
  v0.10.0     update                ........-...........-...........-...........-....  paused
of no dataset that is staged
  orchard-frost-climatology-update  ................................X................  next 06:00
o once, 2-9 so often, + more, X at the same minute as another job, - suspended
5 jobs fire at the same minute as another one.
The setting `stagger` moves the schedules of new versions.
"""


def shown(*jobs: Job, as_json: bool = False) -> str:
    with redirect_stdout(StringIO()) as out:
        show(timeline.of(jobs, NOW), CLUSTER, as_json=as_json)
    return out.getvalue()


def test_at_100_columns_where_no_terminal_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert shown(*JOBS) == AT_100


@pytest.mark.parametrize(("columns", "minutes"), [("80", 60), ("60", 120), ("20", 120), ("150", 15)])
def test_columns_are_wider_on_a_narrow_terminal_and_a_row_is_one_line(
    monkeypatch: pytest.MonkeyPatch, columns: str, minutes: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = shown(*JOBS).splitlines()
    assert len(lines) == len(AT_100.splitlines())
    assert f"a column is {minutes} minutes" in lines[1]
    assert all(len(line) <= int(columns) for line in lines[2:]) or columns in ("60", "20")
    marked = [line for line in lines if line.endswith("next 18:15")]
    assert [line.count("X") for line in marked] == [4, 4]


def test_json_has_every_fire_and_which_are_shared() -> None:
    found = json.loads(shown(*JOBS, as_json=True))
    assert (found["from"], found["to"], found["namespace"]) == (
        "2026-11-25T14:05:33Z", "2026-11-26T14:05:33Z", "weather",
    )  # fmt: skip
    update = found["jobs"][0]
    assert update["fires"][0] == "2026-11-25T18:15:00Z" and len(update["fires"]) == 4
    assert update["shared"] == update["fires"]
    paused = next(job for job in found["jobs"] if job["paused"])
    assert (paused["suspend"], len(paused["fires"]), paused["shared"]) == (True, 4, [])
    assert [job["known"] for job in found["jobs"]].count(False) == 1


def test_nothing_and_no_production() -> None:
    assert "No CronJob is there." in shown()
    assert "No production job is in namespace weather." in shown(JOBS[2])
