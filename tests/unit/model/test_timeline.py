"""When jobs fire within a day, and which of them at the same minute."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from staging_cronjobs.model import timeline
from staging_cronjobs.model.schedules import within
from staging_cronjobs.model.timeline import Job, Row

NOW = datetime(2026, 1, 5, 9, 7, 30, tzinfo=UTC)


def job(
    key: str,
    schedule: str,
    zone: str | None = None,
    *,
    version: str = "",
    suspended: bool = False,
    dataset: str = "ridge-snow",
) -> Job:
    kind = "staged" if version else "production"
    return Job(kind, dataset, version, key, f"{dataset}-{version}-{key}", schedule, zone, suspended)


def rows(*jobs: Job) -> dict[str, Row]:
    return {f"{row.job.version}/{row.job.key}": row for row in timeline.of(jobs, NOW).rows}


def hours(row: Row) -> list[str]:
    return [f"{at:%d %H:%M}" for at in row.fires]


def test_fires_of_a_day_in_utc_whatever_the_zone() -> None:
    found = rows(job("a", "15 */6 * * *"), job("b", "0 7 * * *", "Europe/Oslo"), job("c", "7 9 * * *"))
    assert hours(found["/a"]) == ["05 12:15", "05 18:15", "06 00:15", "06 06:15"]
    assert hours(found["/b"]) == ["06 06:00"]
    assert hours(found["/c"]) == ["06 09:07"]
    assert not any(row.shared for row in found.values())


def test_the_same_minute_is_shared_by_those_that_fire_and_the_zone_does_not_matter() -> None:
    found = rows(
        job("a", "0 */12 * * *"),
        job("b", "0 13 * * *", "Europe/Oslo"),
        job("c", "0 12 * * *", version="0.2.0", suspended=True),
        job("d", "1 12 * * *"),
    )
    noon = NOW.replace(hour=12, minute=0, second=0)
    assert {key: row.shared for key, row in found.items()} == {
        "/a": {noon}, "/b": {noon}, "0.2.0/c": frozenset(), "/d": frozenset(),
    }  # fmt: skip
    assert hours(found["0.2.0/c"]) == ["05 12:00"]  # when it would


def test_what_cannot_be_told_is_not_taken_for_never() -> None:
    found = rows(job("a", "@every 1h"), job("b", "0 0 1 1 *"), job("c", "0 * * * *", "Mars/Base"))
    assert [(row.known, row.fires) for row in found.values()] == [(False, ()), (True, ()), (False, ())]


def test_production_comes_first_then_versions_as_numbers_and_what_is_of_no_dataset_last() -> None:
    jobs = [
        job("update", "0 * * * *", version="0.10.0"),
        job("x", "0 * * * *", dataset=""),
        job("update", "0 * * * *", version="0.9.0"),
        job("validate", "0 * * * *"),
        job("update", "0 * * * *"),
        job("update", "0 * * * *", dataset="a"),
    ]
    found = [(row.job.dataset_id, row.job.version, row.job.key) for row in timeline.of(jobs, NOW).rows]
    snow = [("", "update"), ("", "validate"), ("0.9.0", "update"), ("0.10.0", "update")]
    assert found == [("a", "", "update"), *[("ridge-snow", *rest) for rest in snow], ("", "", "x")]


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 12), st.booleans()), max_size=6))
def test_a_fire_is_shared_exactly_when_another_running_job_has_it(given: list[tuple[int, int, bool]]) -> None:
    jobs = [job(str(n), f"{m} */{h} * * *", suspended=off) for n, (m, h, off) in enumerate(given)]
    found = timeline.of(jobs, NOW).rows
    for row in found:
        others = [o for o in found if o is not row and not o.job.suspended]
        wanted = {at for at in row.fires for other in others if at in other.fires and not row.job.suspended}
        assert row.shared == wanted
        assert list(row.fires) == within(row.job.schedule, None, NOW, NOW + timedelta(hours=24))
