"""Every key of the schema matters: with another value, without one, or with another beside it, the chart tells."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rendering import Object, Reader, RenderError, hand_made, render_chart
from staging_cronjobs.model import values

KeyPath = tuple[str, ...]
SCHEMA: Object = json.loads(values.schema())
# Facts that nothing rendered shows: commands read them from Helm's record of the release.
INERT = {
    ("record", "format"): "a newer one is refused",
    ("record", "template_path"): "for checks against main",
    ("record", "stagger"): "for later deploys, which keep it",
    ("global",): "Helm's own",
}
WRONG: Object = {"string": 5, "boolean": "yes", "object": "x", "array": "x", "integer": "one"}
CHANGED: Object = {"string": "y", "boolean": True, "integer": 2}
UNKNOWN = "additional properties 'more' not allowed"


def keys(schema: Object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Object]]:
    """The path of every key that the schema names, with what it says of it.

    `*` is a key of the user's own, `0` the first item of a list.
    """
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if path:
        yield path, schema
    inner = {**schema.get("properties", {})}
    if isinstance(schema.get("additionalProperties"), dict):
        inner["*"] = schema["additionalProperties"]
    if "$ref" in schema.get("items", {}):
        inner["0"] = schema["items"]
    for name, part in inner.items():
        yield from keys(part, (*path, name))


KEYS = dict(keys(SCHEMA))
KINDS = {
    path: schema["type"] if isinstance(schema["type"], str) else schema["type"][0] for path, schema in KEYS.items()
}
OF_JOBS = [path for path in KEYS if path[:2] == ("jobs", "*")]


def whole(jobs: int = 1) -> Object:
    """Values that have every key of the schema."""
    marks = {"labels": {"mark": "x"}, "annotations": {"mark": "x"}}
    metadata, containers = {"labels": {"mark": "x"}}, [{"name": "worker", "image": "i:1", "env": [{"name": "A"}]}]
    pod = {"metadata": metadata, "spec": {"containers": containers, "initContainers": containers}}
    job = {"metadata": metadata, "spec": {"completionMode": "NonIndexed", "completions": 1, "template": pod}}
    own = {"schedule": "0 5 * * *", "suspend": False, "jobTemplate": job}
    made = hand_made(*(f"job-{number:02}" for number in range(jobs)), **marks, spec=own)
    made["record"] |= {"stagger": 0, "actor": "x", "subject": "x", "run": "https://x/x"}
    return made | {"suspend": False, "paused_keys": [], "global": {"a": "b"}}


def in_place(name: str, parent: Any) -> Any:
    return int(name) if isinstance(parent, list) else name.replace("*", "mark")


def place(found: Any, path: KeyPath) -> Any:
    for name in path:
        found = found[in_place(name, found)]
    return found


def in_own_jobs() -> tuple[Object, dict[KeyPath, KeyPath]]:
    """Values with a job for each key of a job, and where in them that key stands."""
    found = json.loads(json.dumps(whole(len(OF_JOBS))))  # each object for itself
    return found, {path: ("jobs", f"job-{number:02}", *path[2:]) for number, path in enumerate(OF_JOBS)}


def complaint(helm: Path, given: Object) -> str:
    with pytest.raises(RenderError) as caught:
        render_chart(helm, given)
    return caught.value.stderr


def named(path: KeyPath) -> str:
    return "".join(f"/{'mark' if name == '*' else name}" for name in path)


def test_every_key_has_one_kind(any_helm: Path) -> None:
    found, where = in_own_jobs()
    outer = ("record",), ("jobs",)
    where |= {path: path for path in KEYS if path not in where and path not in outer}
    for path, there in where.items():
        parent = place(found, there[:-1])
        parent[in_place(there[-1], parent)] = WRONG[KINDS[path]]
    for given, paths in ((found, where.values()), (whole() | {"record": "x", "jobs": "x"}, outer)):
        text = complaint(any_helm, given)
        assert [path for path in paths if f"at '{named(path)}': " not in text] == []


def test_a_key_that_is_unknown_is_refused_by_its_path(any_helm: Path) -> None:
    given = whole()
    closed = [path for path, schema in KEYS.items() if schema.get("additionalProperties") is False]
    assert closed == [("record",), ("jobs", "*")]
    for there in ((), ("record",), ("jobs", "job-00")):
        place(given, there)["more"] = 1
    text = complaint(any_helm, given)
    for there in ("", "/record", "/jobs/job-00"):
        assert f"- at '{there}': {UNKNOWN}\n" in text


def test_what_a_job_must_have_is_missed_by_its_path(any_helm: Path) -> None:
    found, where = in_own_jobs()
    required = [path for path in OF_JOBS[1:] if path[-1] in KEYS[path[:-1]].get("required", ())]
    for path in required:
        del place(found, where[path][:-1])[path[-1]]
    text = complaint(any_helm, found)
    assert [p for p in required if f"at '{named(where[p][:-1])}': missing property '{p[-1]}'" not in text] == []
    assert len(required) == 8


def test_every_key_of_a_job_is_rendered(helm_4: Path, reader: Reader) -> None:
    found, where = in_own_jobs()
    before = reader.objects(render_chart(helm_4, found))
    for path, there in where.items():
        parent = place(found, there[:-1])
        name = in_place(there[-1], parent)
        if KINDS[path] == "object":  # whatever else it holds is rendered, or is a label or an annotation more
            changed = parent[name] if path != ("jobs", "*") else parent[name]["spec"]
            changed["more"] = "x"
        elif KINDS[path] == "array":
            parent[name].append({"name": "more"})
        else:
            parent[name] = CHANGED[KINDS[path]]
    after = reader.objects(render_chart(helm_4, found))
    assert len(before) == len(after) == len(OF_JOBS)
    assert [path for path, old, new in zip(OF_JOBS, before, after, strict=True) if old == new] == []


def test_what_a_job_need_not_have_leaves_with_its_key(helm_4: Path) -> None:
    before = render_chart(helm_4, whole())
    for name in ("labels", "annotations"):
        given = whole()
        del given["jobs"]["job-00"][name]
        assert "mark: x" in before and render_chart(helm_4, given).count("mark: x") == before.count("mark: x") - 1


@pytest.mark.parametrize("remove", [False, True])
def test_every_fact_is_rendered_or_known_to_be_inert(helm_4: Path, remove: bool) -> None:
    before = render_chart(helm_4, whole())
    facts = [path for path in KEYS if path not in OF_JOBS and path not in (("record",), ("jobs",), ("global",))]
    same = set()
    for path in facts:
        given = whole()
        parent, name = place(given, path[:-1]), path[-1]
        if remove:
            del parent[name]
        elif path != ("record", "format"):
            old = parent[name]
            others = {bool: lambda old: not old, int: lambda old: old + 1, list: lambda old: [*old, "job-00"]}
            parent[name] = others.get(type(old), lambda _: "1")(old)
        try:
            if render_chart(helm_4, given) == before:
                same.add(path)
        except RenderError as error:  # without an identity there is no release
            assert remove and f"- {'.'.join(path)} " in error.stderr
    assert same == {path for path in INERT if path != ("global",)} | (
        {("suspend",), ("paused_keys",)} if remove else set()
    )


def test_what_is_global_is_inert(helm_4: Path) -> None:
    assert render_chart(helm_4, whole()) == render_chart(helm_4, whole() | {"global": {"a": "c"}})
