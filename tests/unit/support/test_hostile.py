"""The table of hostile inputs: it counts what was tried, and whatever an input achieves fails its test."""

import pytest

from hostile import Counts, Hostile, add, table

TRACE = "Traceback (most recent call last):\n  …"


def test_harmless_inputs_are_counted_by_kind() -> None:
    counts: Counts = {}
    for kind in ("names", "names", "records"):
        Hostile(counts).tried(kind, "error: refused")
    assert counts == {"names": [2, 0, 0, 0, 0], "records": [1, 0, 0, 0, 0]}
    assert [line.split() for line in table(counts)[1:]] == [
        ["names", "2", "0", "0", "0", "0"],
        ["records", "1", "0", "0", "0", "0"],
        ["all", "3", "0", "0", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("harm", "row"),
    [
        ({"changed": ["cronjobs/a"]}, [1, 1, 0, 0, 0]),
        ({"ran": True}, [1, 0, 1, 0, 0]),
        ({"said": TRACE}, [1, 0, 0, 1, 0]),
        ({"hang": True}, [1, 0, 0, 0, 1]),
    ],
)
def test_harm_fails_the_test_and_stays_in_the_table(harm: dict[str, object], row: list[int]) -> None:
    counts: Counts = {}
    with pytest.raises(AssertionError, match="names"):
        Hostile(counts).tried("names", **harm)  # ty: ignore[invalid-argument-type]
    assert counts == {"names": row}


def test_the_counts_of_workers_add_up() -> None:
    counts: Counts = {"names": [1, 0, 0, 0, 0]}
    add(counts, {"names": [2, 0, 0, 1, 0], "records": [1, 0, 0, 0, 0]})
    assert counts == {"names": [3, 0, 0, 1, 0], "records": [1, 0, 0, 0, 0]}


def test_without_inputs_there_is_no_table() -> None:
    assert table({}) == []
