"""When jobs fire next: as Kubernetes' own parser reads a schedule, minute by minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from staging_cronjobs.model.schedules import LIMITS, fires, later, minutes, moved

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # a Monday
DAYS = 2  # that are looked at minute by minute
Field = tuple[str, frozenset[int], bool]  # its text, what it matches, and whether it is a star


@st.composite
def terms(draw: st.DrawFn, first: int, last: int) -> Field:
    low, high = sorted(draw(st.tuples(st.integers(first, last), st.integers(first, last))))
    step, star = draw(st.integers(1, last)), draw(st.sampled_from("*?"))
    return draw(
        st.sampled_from(
            [
                (star, frozenset(range(first, last + 1)), True),
                (f"{star}/{step}", frozenset(range(first, last + 1, step)), step == 1),
                (f"{low}", frozenset([low]), False),
                (f"{low}-{high}", frozenset(range(low, high + 1)), False),
                (f"{low}-{high}/{step}", frozenset(range(low, high + 1, step)), False),
                (f"{low}/{step}", frozenset(range(low, last + 1, step)), False),
            ]
        )
    )


@st.composite
def fields(draw: st.DrawFn, first: int, last: int) -> Field:
    found = draw(st.lists(terms(first, last), min_size=1, max_size=2))
    matched = frozenset[int]().union(*(values for _, values, _ in found))
    return ",".join(text for text, _, _ in found), matched, any(star for _, _, star in found)


SCHEDULES = st.tuples(*(fields(*limits) for limits in LIMITS))
# Around the days on which clocks change, too.
MOMENTS = st.sampled_from([NOW, datetime(2026, 3, 28, 12, 7, tzinfo=UTC), datetime(2026, 10, 24, 12, 7, tzinfo=UTC)])
ZONES = st.sampled_from([None, "Europe/Oslo", "America/New_York", "Asia/Kolkata"])


def expected(schedule: tuple[Field, ...], zone: str | None, now: datetime) -> Iterator[datetime]:
    minutes, hours, days, months, weekdays = (values for _, values, _ in schedule)
    both = schedule[2][2] or schedule[4][2]
    for minute in range(1, DAYS * 24 * 60):
        at = now + timedelta(minutes=minute)
        local = at.astimezone(ZoneInfo(zone or "UTC"))
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            continue
        matching = (local.day in days, local.isoweekday() % 7 in weekdays)
        if all(matching) if both else any(matching):
            yield at


@settings(max_examples=60)
@given(SCHEDULES, ZONES, MOMENTS)
def test_it_fires_whenever_the_minute_matches(schedule: tuple[Field, ...], zone: str | None, now: datetime) -> None:
    found = fires(" ".join(text for text, _, _ in schedule), zone, now, 4)
    wanted = [at for at, _ in zip(expected(schedule, zone, now), range(4), strict=False)]
    assert found[: len(wanted)] == wanted
    assert all(at >= now + timedelta(days=DAYS) for at in found[len(wanted) :])


@pytest.mark.parametrize(
    ("schedule", "zone", "first"),
    [
        ("15 */6 * * *", None, "2026-01-05 12:15"),
        ("@hourly", None, "2026-01-05 10:00"),
        ("@daily", "Europe/Oslo", "2026-01-05 23:00"),
        ("@weekly", None, "2026-01-11 00:00"),
        ("@monthly", None, "2026-02-01 00:00"),
        ("@yearly", None, "2027-01-01 00:00"),
        ("0 7 * * mon-FRI", None, "2026-01-06 07:00"),
        ("0 0 29 feb ?", None, "2028-02-29 00:00"),
        ("0 0 13 * 5", None, "2026-01-09 00:00"),
        ("  0\t0  1 * *  ", None, "2026-02-01 00:00"),
    ],
)
def test_the_next_fire(schedule: str, zone: str | None, first: str) -> None:
    assert [f"{at:%Y-%m-%d %H:%M}" for at in fires(schedule, zone, NOW)] == [first]


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        ("@every 1h30m", None),
        ("every day", None),
        ("0 0 30 2 *", None),
        ("0 0 * * 8", None),
        ("0 0 1 1 * 2027", None),
        ("TZ=UTC 0 0 * * *", None),
        ("", None),
        ("0 0 * * *", "Mars/Base"),
        ("0 0 * * *", "../etc/passwd"),
    ],
)
def test_what_cannot_be_told_is_left_out(schedule: str, zone: str | None) -> None:
    assert fires(schedule, zone, NOW) == []


BY = st.integers(1, 9)


@settings(max_examples=150)
@given(SCHEDULES, ZONES, MOMENTS, BY)
@example((("54", frozenset([54]), False), *[("*", frozenset(range(32)), True)] * 4), "Europe/Oslo", NOW, 5)
def test_a_moved_schedule_fires_as_before_each_time_later_by_exactly_the_offset(
    schedule: tuple[Field, ...], zone: str | None, now: datetime, by: int
) -> None:
    own = " ".join(text for text, _, _ in schedule)
    new = later(own, by)
    assert (new is None) == (max(schedule[0][1]) + by > 59)
    assume(new is not None)
    assert fires(new or "", zone, now + timedelta(minutes=by), 8) == [
        at + timedelta(minutes=by) for at in fires(own, zone, now, 8)
    ]


@given(st.sampled_from(["15", "0,30", "*/15", "5-10", "50/3"]).map(lambda minute: f"{minute} */6 * * *"), BY)
def test_minutes_are_those_at_which_it_fires(schedule: str, by: int) -> None:
    found = {at.minute for at in fires(schedule, None, NOW, 80)}
    assert minutes(schedule) == sorted(found)
    assert minutes(later(schedule, by) or schedule) in (sorted(found), sorted(minute + by for minute in found))


@pytest.mark.parametrize(
    ("schedule", "by", "new"),
    [
        ("15 */6 * * *", 4, "19 */6 * * *"),
        ("55 3 * * mon", 4, "59 3 * * mon"),
        ("55 3 * * *", 5, None),
        ("@daily", 3, "3 0 * * *"),
        ("@hourly", 3, "3 * * * *"),
        ("*/20\t1 1 *  ?", 2, "2,22,42 1 1 * ?"),
        ("0-10/5,30 * * * *", 1, "1,6,11,31 * * * *"),
        ("*/5 * * * *", 4, "4,9,14,19,24,29,34,39,44,49,54,59 * * * *"),
        ("*/5 * * * *", 5, None),
        ("* * * * *", 1, None),
        *((wrong, 1, None) for wrong in ("@every 1h", "TZ=UTC 0 0 * * *", "", "x * * * *", "61 * * * *", "-5 * * * *")),
        *((wrong, 1, None) for wrong in ("5-1 * * * *", "*/0 * * * *", "0-99999999999 * * * *", "\u0665 * * * *")),
    ],
)
def test_what_moves_and_what_stays(schedule: str, by: int, new: str | None) -> None:
    assert later(schedule, by) == new


def test_jobs_keep_their_order_and_what_stays_says_why() -> None:
    own = {"archive": "*/5 * * * *", "every": "@every 1h", "update": "54 * * * *", "validate": "58 * * * *"}
    new, why = moved(own, 3)
    assert (new.pop("archive"), new) == ("3,8,13,18,23,28,33,38,43,48,53,58 * * * *", {"update": "57 * * * *"})
    assert why == {"every": "it cannot be moved", "validate": "3 min later would be in the next hour"}
    new, why = moved(own, 4)
    assert "update" not in new and why["update"] == "4 min later it would no longer be before validate"
    before = {"a": "50 * * * *", "b": "54 * * * *", "c": "58 * * * *"}  # c stays, so b does, and then a
    assert moved(before, 4)[0] == {}
    assert moved(before, 1)[0] == {"a": "51 * * * *", "b": "55 * * * *", "c": "59 * * * *"}


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 59)), BY)
def test_no_order_changes(at: dict[str, int], by: int) -> None:
    own = {key: f"{minute} * * * *" for key, minute in at.items()}
    new, why = moved(own, by)
    assert new.keys() | why.keys() == own.keys() and not new.keys() & why.keys()
    now = {key: minutes({**own, **new}[key])[0] for key in own}
    assert all(now[first] < now[second] for first in at for second in at if at[first] < at[second])
