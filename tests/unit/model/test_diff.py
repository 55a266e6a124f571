"""Which paths of two objects differ, and that no value which may be a secret is ever shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_cronjobs.model.diff import between

SCALARS = st.booleans() | st.integers() | st.text()
FIELDS = st.sampled_from(["a", "labels", "env", "name", "image"])
JSON = st.recursive(
    SCALARS | st.lists(SCALARS),
    lambda inner: st.dictionaries(FIELDS, inner) | st.lists(inner),
    max_leaves=8,
)


def lines(before: Any, after: Any) -> list[str]:
    return [str(difference) for difference in between(before, after)]


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "worker", "image": "a", **fields}]}


@given(JSON)
def test_what_is_equal_has_no_differences(value: Any) -> None:
    assert lines(value, value) == []


@given(st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS)), st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS)))
def test_every_field_that_differs_is_named_in_both_directions(before: dict[str, Any], after: dict[str, Any]) -> None:
    differing = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
    assert [d.path for d in between(before, after)] == differing
    assert [(d.path, d.after, d.before) for d in between(before, after)] == [
        (d.path, d.before, d.after) for d in between(after, before)
    ]


@given(JSON, JSON)
def test_each_path_leads_to_a_value_that_differs(before: Any, after: Any) -> None:
    assert all(d.before != d.after for d in between(before, after))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"schedule": "0 * * * *"}, {"schedule": "15 * * * *"}, ["schedule 0 * * * * → 15 * * * *"]),
        ({"suspend": False}, {"suspend": True}, ["suspend false → true"]),
        ({}, {"timeZone": "Europe/Oslo"}, ["timeZone added (Europe/Oslo)"]),
        ({"parallelism": 2}, {}, ["parallelism removed (2)"]),
        (container(), container(image="b"), ["containers[worker].image a → b"]),
        (container(), {"containers": []}, ["containers"]),
        (container(), {"containers": [{"name": "helper"}]}, ["containers[helper] added", "containers[worker] removed"]),
        ({"labels": {"a.b/c": "x"}}, {"labels": {"a.b/c": "y"}}, ["labels[a.b/c] x → y"]),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}, ["ports"]),
        ({"text": "a\nb"}, {"text": "x" * 99}, [f"text a b → {'x' * 80}…"]),
    ],
)
def test_what_is_said_of_a_difference(before: Any, after: Any, said: list[str]) -> None:
    assert lines(before, after) == said


A, B, C = ({"name": name, "value": "1"} for name in "ABC")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([A, B], [B, A], ["containers[worker].env order"]),
        ([A, B, C], [C, A], ["containers[worker].env[B] removed", "containers[worker].env order"]),
        ([A, B], [C, A, B], ["containers[worker].env[C] added"]),
        ([A, B, C], [A, C], ["containers[worker].env[B] removed"]),
        ([A, A], [A], ["containers[worker].env"]),
    ],
)
def test_variables_are_matched_by_name_and_their_order_counts(before: Any, after: Any, said: list[str]) -> None:
    assert lines(container(env=before), container(env=after)) == said


SECRET = "hunter2"
PLACES = [
    lambda text: container(env=[{"name": "A", "value": text}]),
    lambda text: container(args=[text]),
    lambda text: container(command=["run", text]),
    lambda text: {"metadata": {"annotations": {"a": text}}},
    lambda text: container(livenessProbe={"httpGet": {"httpHeaders": [{"name": "A", "value": text}]}}),
    lambda text: {"volumes": [{"name": "v", "csi": {"volumeAttributes": {"a": text}}}]},
]


@pytest.mark.parametrize("place", PLACES)
def test_what_may_be_a_secret_is_named_and_not_shown(place: Any) -> None:
    for before, after in [(place(SECRET), place("other")), (place("other"), place(SECRET)), ({}, place(SECRET))]:
        (line,) = lines(before, after)
        assert line and SECRET not in line
