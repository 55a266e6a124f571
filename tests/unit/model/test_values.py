"""The values file: from a catalogue entry to what the chart gets, and back from an existing release."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from catalogues import record
from hostile import Hostile
from staging_cronjobs.errors import Refused
from staging_cronjobs.model import values
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.values import Job, Values, build, key_of, parse

RECORD = record()
POD = "spec.jobTemplate.spec.template.spec"
CHART = Path(__file__).parents[3] / "charts" / "staging-cronjobs"


def cronjob(name: str = "ridge-snow-update", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, **metadata},
        "spec": spec(),
    }


def spec() -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "i:1", "command": ["true"]}]}
    return {"schedule": "0 5 * * *", "suspend": False, "jobTemplate": {"spec": {"template": {"spec": pod}}}}


def at(resource: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The resource with another value at a dotted path."""
    changed = copy.deepcopy(resource)
    *folders, last = path.split(".")
    place: Any = changed
    for folder in folders:
        place = place[int(folder)] if isinstance(place, list) else place.setdefault(folder, {})
    place[last] = value
    return changed


def built(*cronjobs: dict[str, Any], **options: Any) -> Values:
    return build(Dataset(dataset_id="ridge-snow", version="0.2.0", cronjobs=list(cronjobs)), RECORD, **options)


def refusal(*cronjobs: dict[str, Any], **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        built(*cronjobs, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "prefix", "key"),
    [
        ("ridge-snow-update", "", "update"),
        ("ridge-snow-archive-grib-files", "", "archive-grib-files"),
        ("ridge-snow-forecast-update", "", "forecast-update"),
        ("rs-update", "rs", "update"),
        ("ridge-snow-update", "rs", "update"),
        ("ridge-snow-fast-update", "ridge-snow-fast", "update"),
        ("ridge-snow-update", "ridge", "update"),
        ("ridge-update", "ridge", "update"),
        ("ridge-snow-", "", ""),
    ],
)
def test_a_key_is_the_name_without_the_longest_known_start(name: str, prefix: str, key: str) -> None:
    assert key_of(name, "ridge-snow", prefix) == key


@pytest.mark.parametrize("name", ["update", "ridge-snow", "ridge-snowupdate", "xridge-snow-update", "rs-update"])
def test_a_name_that_begins_with_neither_says_how_to_set_its_prefix(name: str) -> None:
    with pytest.raises(Refused) as caught:
        key_of(name, "ridge-snow", "other")
    assert f"job '{name}' of dataset ridge-snow is named neither ridge-snow-<key> nor other-<key>" in str(caught.value)
    assert 'job-prefixes = { "ridge-snow" = "<prefix>" }' in str(caught.value)


def test_a_job_gets_its_staged_name_and_keeps_everything_else() -> None:
    labels, annotations = {"team": "snow"}, {"since": "2024-05-01"}
    resource = cronjob(labels=labels, annotations=annotations, namespace=None)
    given = copy.deepcopy(resource)
    found = built(resource)
    name = "staging-ridge-snow-v0-2-0-update"
    assert found.jobs == {"update": Job(name=name, labels=labels, annotations=annotations, spec=spec())}
    assert (found.suspend, found.record) == (False, RECORD)
    assert resource == given


def test_jobs_are_sorted_by_key() -> None:
    found = built(cronjob("ridge-snow-validate"), cronjob("ridge-snow-archive"), cronjob())
    assert list(found.jobs) == ["archive", "update", "validate"]


def test_skipped_jobs_are_left_out() -> None:
    assert list(built(cronjob(), cronjob("ridge-snow-archive"), skip=["archive", "other"]).jobs) == ["update"]


def test_nothing_else_is_asked_of_a_skipped_job() -> None:
    broken = cronjob("ridge-snow-archive-v2") | {"spec": None}
    assert list(built(cronjob(), broken, skip=["archive-v2"]).jobs) == ["update"]


def test_a_dataset_without_jobs_is_refused() -> None:
    assert refusal() == "dataset ridge-snow has no jobs to stage"


def test_a_dataset_whose_jobs_are_all_skipped_is_refused_by_their_keys() -> None:
    jobs = (cronjob(), cronjob("ridge-snow-archive"))
    message = refusal(*jobs, skip={"update", "archive"})
    assert message == "dataset ridge-snow has no jobs to stage: all of them (update, archive) are skipped"


def test_two_jobs_with_one_key_are_refused() -> None:
    message = refusal(cronjob("rs-update"), cronjob("ridge-snow-update"), prefix="rs")
    assert message == "dataset ridge-snow gives two jobs with the key 'update': rename one (ridge-snow-update)"


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("batch/v1", "Job"), ("apps/v1", "Deployment"), ("batch/v1beta1", "CronJob"), (None, None), ("batch/v1", "List")],
)
def test_only_a_cron_job_of_batch_v1_can_be_staged(api_version: str | None, kind: str | None) -> None:
    message = refusal(cronjob() | {"apiVersion": api_version, "kind": kind})
    shown = f"{api_version} {kind}" if kind else "missing"
    assert f"gives 'ridge-snow-update', whose kind is {shown}: only a batch/v1 CronJob can be staged" in message


def test_a_job_of_another_namespace_is_refused() -> None:
    assert built(cronjob(namespace="weather"), namespace="weather").jobs
    assert built(cronjob(), namespace="weather").jobs
    assert built(cronjob(namespace="weather"), namespace="").jobs
    message = refusal(cronjob(namespace="weather"), namespace="other")
    assert message == "job 'ridge-snow-update' wants namespace weather: the release goes to other"


@pytest.mark.parametrize("metadata", [None, "x", [], {}, {"name": None}, {"name": ""}, {"name": 5}])
def test_a_job_without_a_name_is_refused(metadata: object) -> None:
    nameless = {"metadata": metadata}
    assert "gives a resource (batch/v1 CronJob) without metadata.name: name it" in refusal(cronjob() | nameless)
    assert "gives a resource (no kind) without metadata.name: name it" in refusal(nameless)


def test_metadata_that_a_release_does_not_carry_is_refused() -> None:
    assert "sets metadata.finalizers, which a release does not carry" in refusal(cronjob(finalizers=["a/b"]))
    assert built(cronjob(finalizers=[], ownerReferences=None, generateName=None)).jobs


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("value", [{"a": 1}, {"a": {"b": "c"}}, ["a"], "a"])
def test_labels_and_annotations_must_be_strings(field: str, value: Any) -> None:
    message = refusal(cronjob(**{field: value}))
    assert message.startswith(f"job 'ridge-snow-update' of dataset ridge-snow: metadata.{field}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec", None, "spec is missing"),
        ("spec", "x", "spec must be an object"),
        ("spec.schedule", None, "spec.schedule is missing"),
        ("spec.schedule", 5, "spec.schedule must be a string"),
        ("spec.suspend", "no", "spec.suspend must be true or false"),
        ("spec.suspend", 1, "spec.suspend must be true or false"),
        ("spec.jobTemplate", None, "spec.jobTemplate is missing"),
        ("spec.jobTemplate", [], "spec.jobTemplate must be an object"),
        ("spec.jobTemplate.metadata", "x", "spec.jobTemplate.metadata must be an object"),
        ("spec.jobTemplate.metadata", {"labels": [1]}, "spec.jobTemplate.metadata.labels must be an object"),
        ("spec.jobTemplate.spec", True, "spec.jobTemplate.spec must be an object"),
        ("spec.jobTemplate.spec.completions", "5", "spec.jobTemplate.spec.completions must be a whole number"),
        ("spec.jobTemplate.spec.completions", True, "spec.jobTemplate.spec.completions must be a whole number"),
        ("spec.jobTemplate.spec.completions", 1001.0, "spec.jobTemplate.spec.completions must be a whole number"),
        ("spec.jobTemplate.spec.completionMode", 1, "spec.jobTemplate.spec.completionMode must be a string"),
        ("spec.jobTemplate.spec.template", None, "spec.jobTemplate.spec.template is missing"),
        (POD, None, f"{POD} is missing"),
        (f"{POD}.containers", None, f"{POD}.containers is missing"),
        (f"{POD}.containers", [], f"{POD}.containers must not be empty"),
        (f"{POD}.containers", {}, f"{POD}.containers must be a list"),
        (f"{POD}.containers", ["x"], f"{POD}.containers[0] must be an object"),
        (f"{POD}.containers.0.env", {"A": "b"}, f"{POD}.containers[0].env must be a list"),
        (f"{POD}.containers.0.env", [{}, "A"], f"{POD}.containers[0].env[1] must be an object"),
        (f"{POD}.containers.0.env", [{"name": 5}], f"{POD}.containers[0].env[0].name must be a string"),
        (f"{POD}.initContainers", "x", f"{POD}.initContainers must be a list"),
        (f"{POD}.initContainers", [{"env": 5}], f"{POD}.initContainers[0].env must be a list"),
    ],
)
def test_a_spec_without_its_parts_is_refused_by_the_missing_part(path: str, value: object, message: str) -> None:
    assert refusal(at(cronjob(), path, value)) == f"job 'ridge-snow-update' of dataset ridge-snow: {message}"


def test_every_problem_of_a_job_is_told_at_once() -> None:
    resource = at(at(cronjob(labels={"a": 1}), "spec.schedule", 5), f"{POD}.containers", [])
    assert refusal(resource) == (
        "job 'ridge-snow-update' of dataset ridge-snow: metadata.labels.a must be a string; "
        f"spec.schedule must be a string; {POD}.containers must not be empty"
    )


def test_indexed_workers_shorten_the_name() -> None:
    resource = cronjob(f"{'a' * 63}-validate")
    indexed = at(resource, "spec.jobTemplate.spec.completionMode", "Indexed")
    many = at(indexed, "spec.jobTemplate.spec.completions", 1001)
    other = RECORD.model_copy(update={"dataset_id": "a" * 63})
    lengths = [
        len(build(Dataset(dataset_id="a" * 63, cronjobs=[job]), other).jobs["validate"].name)
        for job in (resource, indexed, many, at(many, "spec.jobTemplate.spec.completionMode", "NonIndexed"))
    ]
    assert lengths == [50, 50, 49, 50]


def test_nulls_are_absent_and_other_empty_values_stay() -> None:
    resource = at(cronjob(), "spec.jobTemplate.spec.template.spec.securityContext", {"runAsUser": 0, "fsGroup": None})
    resource = at(resource, "spec.jobTemplate.spec.template.spec.containers.0.env", [{"name": "A", "value": None}])
    resource = at(resource, "spec.timeZone", None)
    resource = at(resource, "spec.jobTemplate.spec.template.spec.volumes", [{"name": "v", "emptyDir": {}}])
    found = built(at(resource, "metadata.labels", {"gone": None, "empty": ""})).jobs["update"]
    pod = found.spec["jobTemplate"]["spec"]["template"]["spec"]
    assert found.labels == {"empty": ""}
    assert "timeZone" not in found.spec
    assert found.spec["suspend"] is False
    assert pod["securityContext"] == {"runAsUser": 0}
    assert pod["containers"][0]["env"] == [{"name": "A"}]
    assert pod["volumes"] == [{"name": "v", "emptyDir": {}}]


ARGS = "spec.jobTemplate.spec.template.spec.containers.0.args"


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (ARGS, ["ok", "a\x7fb"], "Helm: spec.jobTemplate.spec.template.spec.containers[0].args[1] holds the c"),
        (ARGS, ["a\x85b"], "containers[0].args[0] holds the character U+0085, which YAML cannot carry"),
        (ARGS, ["\ufffe"], "containers[0].args[0] holds the character U+FFFE"),
        (ARGS, ["\ud83d"], "containers[0].args[0] holds the character U+D83D"),
        (
            "spec.jobTemplate.spec.template.metadata",
            {"labels": {"a\x80": "b"}},
            "metadata.labels has the key 'a\\x80', w",
        ),
        ("metadata.labels", {"team": "\x7f"}, "metadata.labels.team holds the character U+007F"),
        ("metadata.annotations", {"why": "\x9f"}, "metadata.annotations.why holds the character U+009F"),
        (
            "spec.jobTemplate.spec.template.metadata",
            {"labels": {"<<": "b"}},
            "template.metadata.labels has the key '<<', w",
        ),
        (ARGS, [float("nan")], "containers[0].args[0] is nan, which is not a number that JSON knows"),
        (ARGS, [float("-inf")], "containers[0].args[0] is -inf"),
        (ARGS, [2**53], "args[0] is 9007199254740992: Helm keeps integers exact only up to 9007199254740991"),
        (ARGS, [1e300], "args[0] is 1e+300: Helm keeps"),
        (ARGS, [-(2**53)], "args[0] is -9007199254740992: Helm keeps"),
    ],
)
def test_what_helm_cannot_carry_is_refused_with_its_path(path: str, value: object, where: str) -> None:
    message = refusal(at(cronjob(), path, value))
    assert message.startswith("job 'ridge-snow-update' of dataset ridge-snow cannot be passed to Helm: ")
    assert where in message


def test_what_helm_can_carry_is_kept() -> None:
    kept = [
        2**53 - 1,
        -(2**53) + 1,
        1.5,
        0,
        True,
        "\0",
        "\t\r\n",
        "é",
        "\ud7ff",
        "\ue000",
        "\ufeff",
        "\U0001f600",
        "",
        "{{ x }}",
    ]
    found = built(at(cronjob(), ARGS, kept)).jobs["update"]
    assert found.spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] == kept


def test_an_unwritable_record_is_refused_as_well() -> None:
    other = RECORD.model_copy(update={"stores": ["s3://a", "s3://\x7f"]})
    with pytest.raises(Refused, match=r"record\.stores\[1\] holds the character U\+007F"):
        build(Dataset(dataset_id="ridge-snow", cronjobs=[cronjob()]), other)


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x1b[2J", "\u202eb", "\u2066", "a\u200bb", "\x9b2J"])
@pytest.mark.parametrize("field", ["repository", "commit", "image", "template_path"])
def test_what_would_act_on_a_terminal_is_refused_in_a_record(field: str, text: str, hostile: Hostile) -> None:
    other = RECORD.model_copy(update={field: text})
    with pytest.raises(Refused, match=rf"record\.{field} holds the character U\+") as caught:
        build(Dataset(dataset_id="ridge-snow", cronjobs=[cronjob()]), other)
    hostile.tried("dataset objects", str(caught.value))


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (ARGS, ["a", None], "containers[0].args[1] is null: give it a value, or leave it out"),
        ("spec.jobTemplate.spec.template.spec.containers.0.command", [None], "containers[0].command[0] is null"),
        (
            "spec.jobTemplate.spec.template.spec.containers.0.env",
            [None],
            "containers[0].env[0] is null: give it a value",
        ),
        (
            "spec.jobTemplate.spec.template.spec.containers",
            [None],
            "spec.containers[0] is null: give it a value",
        ),
        ("spec.jobTemplate.spec.template.spec.volumes", [None], "spec.volumes[0] is null"),
        (ARGS, [10**5000], "args[0] is too large: Helm keeps integers exact only up to"),
        (
            "metadata.annotations",
            {"helm.sh/hook": "pre-install"},
            "metadata.annotations.helm.sh/hook is a mark",
        ),
        ("metadata.annotations", {"helm.sh/hook-weight": "-5"}, "annotations.helm.sh/hook-weight is a mark"),
        ("metadata.annotations", {"helm.sh/hook-delete-policy": "hook-succeeded"}, "helm.sh/hook-delete-policy is a"),
        (
            "metadata.annotations",
            {"helm.sh/resource-policy": "keep"},
            "helm.sh/resource-policy is a mark",
        ),
        (
            "metadata.annotations",
            {"meta.helm.sh/release-name": "x"},
            "meta.helm.sh/release-name is a mark",
        ),
        ("metadata.labels", {"helm.sh/chart": "x"}, "metadata.labels.helm.sh/chart is a mark that only Helm sets"),
    ],
)
def test_nulls_in_lists_and_helms_own_marks_are_refused_by_dataset_and_place(
    path: str, value: object, where: str, hostile: Hostile
) -> None:
    message = refusal(at(cronjob(), path, value))
    hostile.tried("dataset objects", message)
    assert message.startswith("job 'ridge-snow-update' of dataset ridge-snow")
    assert where in message


def test_a_value_that_is_nested_without_end_is_refused(hostile: Hostile) -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    message = refusal(at(cronjob(), ARGS, deep))
    hostile.tried("dataset objects", message)
    assert "is nested more than 60 levels: make it flatter" in message


@pytest.mark.parametrize(
    "edit",
    [
        lambda v: v["record"].update(branch="precious"),
        lambda v: v["record"].update(version="9.x"),
        lambda v: v["record"].update(version="9" * 5000),
        lambda v: v["record"].update(dataset_id="--server=x"),
        lambda v: v["record"].update(template_path="../../etc"),
        lambda v: v["record"].update(template_path="a/../../etc"),
        lambda v: v["record"].update(template_path="/etc"),
        lambda v: v["record"].update(template_path=":(glob)**"),
        lambda v: v["record"].update(image="i\x1b[2J"),
        lambda v: v["record"].update(stores=["s3://\u202e"]),
        lambda v: v["jobs"]["update"].update(name="--server=https://example.com"),
        lambda v: v["jobs"]["update"].update(name="ridge-snow-update"),
        lambda v: v["jobs"]["update"].update(name="staging-ridge-snow-v0-2-0-validate"),
        lambda v: v["jobs"].update({"--all": v["jobs"]["update"]}),
        lambda v: v["jobs"]["update"]["spec"].pop("jobTemplate"),
        lambda v: v["jobs"]["update"]["spec"].update(free=json.loads("[" * 100 + "]" * 100)),
        lambda v: v["jobs"]["update"]["spec"].update(free=["ok", None]),
        lambda v: v["jobs"]["update"]["labels"].update({"a\x7f": "b"}),
        lambda v: v.update(jobs={}),
        lambda v: v.update(jobs=[]),
        lambda v: v.update(suspend="yes"),
        lambda v: v.update(paused_keys="update"),
        lambda v: v.update(paused_keys=["--all"]),
        lambda v: v.update(paused_keys=["update", "\x1b[2J"]),
    ],
)
def test_a_record_that_does_not_follow_from_its_identity_is_refused(
    edit: Callable[[dict[str, Any]], object], hostile: Hostile
) -> None:
    value = built(cronjob()).model_dump()
    assert parse("r", value)
    edit(value)
    with pytest.raises(Refused, match="r has ") as caught:
        parse("r", value)
    hostile.tried("release records", str(caught.value))


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_record_is_a_traceback(value: Any) -> None:
    with pytest.raises(Refused):
        parse("r", {"record": value, "jobs": value, "suspend": value})
    with pytest.raises(Refused):
        parse("r", value)


def test_a_key_to_skip_that_no_job_has_is_refused() -> None:
    dataset = Dataset(dataset_id="ridge-snow", cronjobs=[cronjob(), cronjob("rs-archive")])
    values.check_skipped(dataset, ["update", "archive"], "rs")
    with pytest.raises(Refused, match=r"has no job 'archiv' to skip\. Did you mean 'archive'"):
        values.check_skipped(dataset, ["archiv"], "rs")


def test_release_labels_name_the_identity_and_every_job() -> None:
    found = built(cronjob(), cronjob("ridge-snow-archive-grib-files"))
    assert found.release_labels == {
        "staging-cronjobs/dataset-id": "ridge-snow",
        "staging-cronjobs/dataset-version": "0.2.0",
        "staging-cronjobs/job.staging-ridge-snow-v0-2-0-update": "update",
        "staging-cronjobs/job.staging-ridge-snow-v0-2-0-archive-grib-files": "archive-grib-files",
    }


def test_the_file_reads_the_same_under_both_versions_of_yaml() -> None:
    texts = [
        "1e3",
        "1234567e8",
        "08",
        "0o17",
        "y",
        "no",
        "1.10",
        "~",
        "null",
        "",
        "{{ x }}",
        "a: b",
        "12:30:00",
        " a\n ",
    ]
    resource = at(
        cronjob(), "spec.jobTemplate.spec.template.metadata", {"annotations": dict(zip(texts, texts, strict=True))}
    )
    found = built(at(resource, ARGS, texts))
    text = values.dump(found)
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(text) == found.model_dump()


KEYS = st.sampled_from(
    [
        "y",
        "N",
        "Yes",
        "no",
        "ON",
        "off",
        "True",
        "false",
        "Null",
        "null",
        "~",
        "",
        "1",
        "1e3",
        "0x1",
        "0o7",
        ".inf",
        "=",
        "<<",
    ]
) | st.text(st.sampled_from("aeyYnNoOuUlLsS019xX_-./:#?!&*|>%@`'\"[]{},~+ \n\té"), max_size=6)


@given(st.dictionaries(KEYS, KEYS))
def test_whatever_keys_there_are_both_versions_of_yaml_read_them_back(found: dict[str, str]) -> None:
    whole = built(cronjob())
    whole.jobs["update"].spec["free"] = found
    text = values.dump(whole)
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(text) == whole.model_dump()


def test_values_are_quoted_and_keys_only_where_they_must_be() -> None:
    lines = values.dump(built(cronjob(labels={"team": "snow", "example.org/on-call": "no", "on": "x", "1e3": "y"})))
    assert '  version: "0.2.0"\n' in lines and '"version"' not in lines
    assert '      team: "snow"\n      example.org/on-call: "no"\n      "on": "x"\n      "1e3": "y"\n' in lines


def test_an_object_that_stands_in_two_places_is_written_twice() -> None:
    shared = [{"name": "A", "value": "b"}]
    resource = at(
        cronjob(), "spec.jobTemplate.spec.template.spec.containers", [{"name": n, "env": shared} for n in "ab"]
    )
    text = values.dump(built(resource))
    assert text.count('"A"') == 2
    assert "*" not in text.replace("* * *", "")


def test_values_of_a_release_are_read_back() -> None:
    found = built(cronjob(labels={"team": "snow"}))
    assert values.parse("r", json.loads(found.model_dump_json())) == found


def test_a_record_of_a_newer_program_asks_for_an_update() -> None:
    value = built(cronjob()).model_dump()
    for newer in (2, 2.0):
        value["record"]["format"] = newer
        with pytest.raises(Refused, match=r"release r was made by a newer version .* known up to 1\): update"):
            values.parse("r", value)


@pytest.mark.parametrize("value", [None, "text", [], {}, {"record": None}, {"record": "x"}, {"image": "nginx"}])
def test_a_release_without_a_record_is_not_a_staged_version(value: object) -> None:
    with pytest.raises(Refused, match="release r is not a staged version, because it has no record"):
        values.parse("r", value)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"jobs": {"update": {"name": "n"}}}, "jobs.update.spec is missing"),
        ({"jobs": []}, "jobs must be an object"),
        ({"more": 1}, "more is not known here"),
        ({"suspend": "perhaps"}, "suspend must be true or false"),
        ({"record": {"dataset_id": "x"}}, "record.repository is missing"),
        ({"record": RECORD.model_dump() | {"format": "new"}}, "record.format must be 1"),
        ({"record": RECORD.model_dump() | {"format": 0}}, "record.format must be 1"),
    ],
)
def test_values_of_another_shape_are_refused_with_the_path(change: dict[str, Any], where: str) -> None:
    with pytest.raises(Refused) as caught:
        values.parse("r", built(cronjob()).model_dump() | change)
    assert f"release r has values of another shape: {where}" in str(caught.value)


def test_the_committed_schema_is_the_one_of_the_models() -> None:
    def without_doubled_constants(item: object) -> object:
        """Pydantic before 2.10 writes a constant as an enumeration of one as well."""
        if isinstance(item, dict):
            return {k: without_doubled_constants(v) for k, v in item.items() if not (k == "enum" and "const" in item)}
        return item

    made = without_doubled_constants(json.loads(values.schema()))
    assert (CHART / "values.schema.json").read_text(encoding="utf-8") == json.dumps(made, indent=2) + "\n"


def test_the_schema_is_small_and_needs_no_network() -> None:
    assert len(values.schema()) < 7000  # every revision of every release has it
    references = [part.split('"')[1] for part in values.schema().split('"$ref":')[1:]]
    assert references
    assert all(reference.startswith("#/") for reference in references)


TWO = (
    at(cronjob(), "spec.schedule", "15 */6 * * *"),
    at(cronjob("ridge-snow-validate"), "spec.schedule", "58 * * * *"),
)


def test_a_staggered_version_has_its_minutes_on_record_and_nothing_else_changes() -> None:
    made = built(*TWO)
    moved, told = values.staggered(made, 4)
    assert [job.spec["schedule"] for job in moved.jobs.values()] == ["19 */6 * * *", "58 * * * *"]
    assert told == ["validate is not staggered, its schedule stays 58 * * * *: 4 min later would be in the next hour"]
    assert moved.record.stagger == 4
    back = {key: job.model_copy(update={"spec": made.jobs[key].spec}) for key, job in moved.jobs.items()}
    assert moved.model_copy(update={"record": made.record, "jobs": back}) == made
    assert values.staggered(made, 0) == (made, [])


def test_a_release_from_before_stagger_is_read_as_not_staggered() -> None:
    document = built(*TWO).model_dump()
    assert document["record"].pop("stagger") == 0
    assert values.parse("r", document).record.stagger == 0
    for wrong in (10, -1, "5", 1.5):
        document["record"]["stagger"] = wrong
        with pytest.raises(Refused, match=r"record\.stagger"):
            values.parse("r", document)


def test_a_release_from_before_anybody_signed_is_read(hostile: Hostile) -> None:
    document = built(*TWO).model_dump()
    for field in ("actor", "subject", "run"):
        assert document["record"].pop(field) == ""
    assert values.parse("r", document).record == RECORD
    signed = {"actor": "octocat", "subject": "Tune: {{ it }}", "run": "https://github.com/x/y/actions/runs/1"}
    assert values.parse("r", {**document, "record": document["record"] | signed}).record.origin == signed
    wrong = {"actor": ["x" * 81, "a\nb", 5], "subject": ["x" * 121, "\x1b[31m", None]}
    wrong["run"] = ["http://github.com/x", "https://a/" + "x" * 300, "javascript:alert(1)", "https://a/\u202e"]
    for field, texts in wrong.items():
        for text in texts:
            with pytest.raises(Refused, match=rf"record\.{field} ") as caught:
                values.parse("r", {**document, "record": document["record"] | {field: text}})
            hostile.tried("release records", str(caught.value))
