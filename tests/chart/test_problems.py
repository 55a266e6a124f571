"""What the chart refuses: every problem of a values file in one complaint, in the words that Python has for it."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rendering import Object, RenderError, hand_made, render_chart, spec
from staging_cronjobs.errors import StagingError
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.settings import Settings
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Record, build
from staging_cronjobs.verbs import check

CRON_JOB = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec()}
JOB, POD = "jobTemplate.spec", "jobTemplate.spec.template.spec"
UNUSABLE = "is not usable: it must be lower-case letters and digits with single dashes inside"
LONG, MANY = "a" * 51, "b" * 50
TOO_LONG = "characters: 50 at most (Sentry cuts a longer monitor slug); shorten it"


def problems(helm: Path, values: Object) -> list[str]:
    """The lines of the chart's own complaint, which is all that helm says."""
    with pytest.raises(RenderError) as caught:
        render_chart(helm, values)
    before, _, lines = caught.value.stderr.partition("This release cannot be rendered:\n")
    assert re.fullmatch(r"Error: execution error at \(staging-cronjobs/templates/cronjobs.yaml:\d+:\d+\): \n\n", before)
    lines, _, after = lines.partition("\n\n")
    assert after.strip() == "Use --debug flag to render out invalid YAML"
    return [line.removeprefix("- ") for line in lines.splitlines()]


def named(**names: str) -> Object:
    found = hand_made(*names)
    for key, name in names.items():
        found["jobs"][key]["name"] = name
    return found


def at(path: str, value: object) -> Object:
    """A spec with another value at a dotted path."""
    found: Any = spec()
    place = found
    *folders, last = path.split(".")
    for folder in folders:
        place = place[int(folder)] if isinstance(place, list) else place.setdefault(folder, {})
    place[last] = value
    return found


LABELS = "jobTemplate.metadata.labels"
VARIABLE, NO_TEXT = [{"env": [{"name": 5}]}], "got number, want null or string"
# what stands at a path -> the place that is wrong, and what Helm and Python say of it
MISSHAPEN: list[tuple[str, object, str, str, str]] = [
    ("schedule", 5, "schedule", "got number, want string", "must be a string"),
    ("suspend", "no", "suspend", "got string, want null or boolean", "must be true or false"),
    ("jobTemplate", [], "jobTemplate", "got array, want object", "must be an object"),
    ("jobTemplate.metadata", "x", "jobTemplate.metadata", "got string, want null or object", "must be an object"),
    (LABELS, ["a"], LABELS, "got array, want null or object", "must be an object"),
    (f"{JOB}.completionMode", 1, f"{JOB}.completionMode", "got number, want null or string", "must be a string"),
    (f"{JOB}.completions", "x", f"{JOB}.completions", "got string, want null or integer", "must be a whole number"),
    (f"{JOB}.completions", True, f"{JOB}.completions", "got boolean, want null or integer", "must be a whole number"),
    (f"{JOB}.completions", 1.5, f"{JOB}.completions", "got number, want null or integer", "must be a whole number"),
    (f"{JOB}.template.metadata", [], f"{JOB}.template.metadata", "got array, want null or object", "must be an object"),
    (POD, "x", POD, "got string, want object", "must be an object"),
    (f"{POD}.containers", [], f"{POD}.containers", "minItems: got 0, want 1", "must not be empty"),
    (f"{POD}.containers", [{}, 3], f"{POD}.containers.1", "got number, want object", "must be an object"),
    (f"{POD}.containers.0.env", {}, f"{POD}.containers.0.env", "got object, want null or array", "must be a list"),
    (f"{POD}.containers.0.env", [{}, "A"], f"{POD}.containers.0.env.1", "got string, want object", "must be an object"),
    (f"{POD}.initContainers", "x", f"{POD}.initContainers", "got string, want null or array", "must be a list"),
    (f"{POD}.initContainers", VARIABLE, f"{POD}.initContainers.0.env.0.name", NO_TEXT, "must be a string"),
]


def test_a_value_of_another_kind_is_refused_by_its_place_in_the_chart_and_in_python(any_helm: Path) -> None:
    values = hand_made(*(f"job-{number:02}" for number in range(len(MISSHAPEN))))
    told = []
    for (key, job), (path, value, place, in_helm, in_python) in zip(values["jobs"].items(), MISSHAPEN, strict=True):
        job["spec"] = at(path, value)
        told.append(f"- at '/jobs/{key}/spec/{place.replace('.', '/')}': {in_helm}\n")
        with pytest.raises(StagingError) as caught:
            staged({"name": "ridge-snow-update"}, at(path, value))
        shown = re.sub(r"\.(\d+)", r"[\1]", f"spec.{place}")
        assert str(caught.value) == f"job 'ridge-snow-update' of dataset ridge-snow: {shown} {in_python}"
    with pytest.raises(RenderError) as refused:
        render_chart(any_helm, values)
    assert [line for line in told if line not in refused.value.stderr] == []


def test_what_must_be_there_is_missed_by_its_place_in_the_chart_and_in_python(any_helm: Path) -> None:
    required = ["schedule", "jobTemplate", JOB, f"{JOB}.template", POD, f"{POD}.containers"]
    values = hand_made(*(f"job-{number}" for number in range(len(required))))
    told = []
    for (key, job), path in zip(values["jobs"].items(), required, strict=True):
        without = at(path, None)
        *folders, last = path.split(".")
        del functools.reduce(dict.__getitem__, folders, without)[last]
        job["spec"] = without
        told.append(f"- at '/{'/'.join(('jobs', key, 'spec', *folders))}': missing property '{last}'\n")
        with pytest.raises(StagingError, match=rf"ridge-snow: spec\.{re.escape(path)} is missing$"):
            staged({"name": "ridge-snow-update"}, without)
    with pytest.raises(RenderError) as refused:
        render_chart(any_helm, values)
    assert [line for line in told if line not in refused.value.stderr] == []


def test_what_may_be_missing_may_be_null_in_the_chart_and_in_python(any_helm: Path) -> None:
    optional = ["suspend", "jobTemplate.metadata", LABELS, f"{JOB}.completionMode", f"{JOB}.completions"]
    optional += [f"{JOB}.template.metadata", f"{POD}.initContainers", f"{POD}.containers.0.env"]
    values = hand_made(*(f"job-{number}" for number in range(len(optional))))
    for job, path in zip(values["jobs"].values(), optional, strict=True):
        job["spec"] = at(path, None)
        staged({"name": "ridge-snow-update"}, at(path, None))
    assert render_chart(any_helm, values).count("kind: CronJob") == len(optional)


def staged(metadata: Object, given: Object) -> None:
    """What Python makes of a job."""
    record = Record.model_validate(hand_made()["record"])
    build(Dataset(dataset_id="ridge-snow", cronjobs=[{**CRON_JOB, "metadata": metadata, "spec": given}]), record)


def test_every_problem_is_told_at_once(helm: Path) -> None:
    values = named(
        archive="Not_A_Name",
        backfill="123-456",
        clean="staging-a-v1-clean",
        copy="staging-a-v1-clean",
        update=LONG,
        validate=MANY,
    )
    values["jobs"]["validate"]["spec"]["jobTemplate"]["spec"] |= {"completionMode": "Indexed", "completions": 10_001}
    values["jobs"]["copy"]["annotations"] = {"since": "an hour\n", "why": "a\x7fb"}
    values["record"] |= {"dataset_id": "", "version": "0.2-rc"}
    assert problems(helm, values) == [
        f'record.dataset_id "" {UNUSABLE}, 63 characters at most',
        'record.version "0.2-rc" is not usable: it must be numbers joined by dots, such as 0.3.0',
        f'jobs.archive.name "Not_A_Name" {UNUSABLE}',
        'jobs.backfill.name "123-456" is not usable: it must have a letter (Sentry refuses an all-digit slug)',
        'jobs.copy.name "staging-a-v1-clean" is also that of jobs.clean: rename one',
        f'jobs.update.name "{LONG}" has 51 {TOO_LONG}',
        f'jobs.validate.name "{MANY}" has 50 characters: 48 at most with 10001 Indexed workers '
        "(a pod's host name has 63); shorten it",
        "jobs.copy.annotations.why holds a character that YAML cannot carry (U+007F to U+009F, U+FFFE or U+FFFF): "
        "remove it",
    ]


def test_the_chart_alone_says_what_is_missing(helm: Path) -> None:
    assert problems(helm, {}) == [
        f'record.dataset_id "" {UNUSABLE}, 63 characters at most',
        'record.version "" is not usable: it must be numbers joined by dots, such as 0.3.0',
        "jobs is empty: a staged version has at least one job; add it",
    ]


def test_a_version_that_no_label_can_hold_is_refused(helm: Path) -> None:
    values, long = hand_made(), "9" * 64
    values["record"]["version"] = long
    line = f'record.version "{long}" has 64 characters: 63 at most (a label\'s value); shorten it'
    assert problems(helm, values) == [line]


@pytest.mark.parametrize("field", ["dataset_id", "version"])
def test_a_record_holds_the_identities_that_python_takes(helm: Path, field: str) -> None:
    for text, usable in {
        "dataset_id": {"a": True, "0": True, "a" * 63: True, "a" * 64: False, "a--b": False, "A": False, "a\n": False},
        "version": {"0": True, "1.10": True, "2024.05.01": True, "1.": False, "v1": False, ".1": False, "1\n": False},
    }[field].items():
        values = hand_made()
        values["record"][field] = text
        identity = {"dataset_id": "ridge-snow", "version": "0.2.0", field: text}
        if usable:
            assert render_chart(helm, values) and StagedVersion(**identity)
            continue
        with pytest.raises(StagingError) as caught:
            StagedVersion(**identity)
        (said,) = problems(helm, values)
        assert said.partition(" is not usable: ")[2] == str(caught.value).partition(" is not usable: ")[2] != ""


def test_only_names_that_kubernetes_and_sentry_both_keep_are_accepted(helm: Path) -> None:
    names = dict(enumerate(["", "-a", "a-", "a--b", "a.b", "A", "a_b", "ä", "a b", "a\n", "staging-\u0663"]))
    found = problems(helm, named(**{f"job-{number:02}": name for number, name in names.items()}))
    assert len(found) == len(names)
    assert all(f"jobs.job-{number:02}.name " in line and line.endswith(UNUSABLE) for number, line in enumerate(found))


def test_only_keys_that_a_label_and_python_take_are_accepted(helm: Path) -> None:
    for key in ("Up date/ä", "", "a--b", "a-", "x\n"):
        with pytest.raises(StagingError) as caught:
            StagedVersion("ridge-snow", "0.2.0").job_name(key)
        assert UNUSABLE in str(caught.value)
        assert problems(helm, named(**{key: "a"})) == [f"job key {quoted(key)} {UNUSABLE}, 63 characters at most"]
    assert problems(helm, named(**{"k" * 64: "a"})) == [f'job key "{"k" * 64}" {UNUSABLE}, 63 characters at most']
    assert render_chart(helm, named(**{"k" * 63: "a"}))


def test_a_key_or_a_name_of_several_lines_stays_on_one_line(helm: Path) -> None:
    values = named(**{"a\nb": "n\n" * 30, "update": "n\n" * 30})
    values["jobs"]["a\nb"]["spec"]["schedule"] = " "
    name = quoted("n\n" * 30)
    assert problems(helm, values) == [
        f'job key "a\\nb" {UNUSABLE}, 63 characters at most',
        f'jobs["a\\nb"].name {name} {UNUSABLE}',
        f"jobs.update.name {name} {UNUSABLE}",
        f'jobs.update.name {name} is also that of jobs["a\\nb"]: rename one',
    ]


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# Indexed workers -> how long a name may be; None: not Indexed
LIMITS = {None: 50, 1: 50, 10: 50, 11: 50, 100: 50, 101: 50, 1000: 50, 1001: 49, 10_000: 49, 10_001: 48, 1_000_000: 47}


def of_length(extra: int) -> Object:
    """A job for each number of workers, with a name as long as it may be and some characters more."""
    values = hand_made(*(f"{workers or 'any'}" for workers in LIMITS))
    for (workers, limit), job in zip(LIMITS.items(), values["jobs"].values(), strict=True):
        job["name"] = f"{'n' * (limit + extra - 8)}{workers or 0:08}"
        mode = {"completionMode": "Indexed"} if workers else {"completionMode": "NonIndexed"}
        job["spec"]["jobTemplate"]["spec"] |= {**mode, "completions": workers or 1_000_000}
    return values


def test_names_at_their_limits_are_rendered(helm: Path) -> None:
    values = of_length(0)
    values["jobs"]["shortest"] = hand_made()["jobs"]["update"] | {"name": "a"}
    on_a_dash = [StagedVersion(f"{'a' * length}-{'b' * 40}", "0.3.0").job_name("update") for length in (17, 18, 19)]
    assert [len(name) for name in on_a_dash] == [48, 47, 48]  # the second cut lands on the dash, which goes
    for number, name in enumerate(on_a_dash):
        values["jobs"][f"cut-{number}"] = hand_made()["jobs"]["update"] | {"name": name}
    rendered = render_chart(helm, values, release="r" * 53)
    assert {job["name"] for job in values["jobs"].values()} == set(re.findall(r"^  name: (\S+)$", rendered, re.M))


def test_one_character_more_is_refused(helm: Path) -> None:
    expected = []
    for workers, limit in LIMITS.items():
        name = f"{'n' * (limit - 7)}{workers or 0:08}"
        why = (
            f"with {workers} Indexed workers (a pod's host name has 63)"
            if limit < 50
            else "(Sentry cuts a longer monitor slug)"
        )
        expected.append(
            f'jobs.{workers or "any"}.name "{name}" has {limit + 1} characters: {limit} at most {why}; shorten it'
        )
    assert sorted(problems(helm, of_length(1))) == sorted(expected)


def test_a_release_of_54_characters_is_refused_by_helm_itself(helm: Path) -> None:
    with pytest.raises(RenderError, match="the length must not be longer than 53"):
        render_chart(helm, hand_made(), release="r" * 54)
    with pytest.raises(StagingError, match=r"has 54 characters: 53 at most \(Helm\); shorten the version by 1"):
        assert StagedVersion("ridge-snow", "1" * 36).release


def test_python_says_of_a_name_what_the_chart_says(helm: Path) -> None:
    twin = "staging-ridge-v1-0-update"
    values = named(clean=twin, copy=twin, long="a" * 51, many="b" * 50, upper="Update")
    values["jobs"]["many"]["spec"]["jobTemplate"]["spec"] |= {"completionMode": "Indexed", "completions": 1001}
    ridge, wave = StagedVersion("ridge", "1.0"), StagedVersion("a", "0.1.0")
    said = [shadowed(ridge)]
    for staged, key, workers in ((wave, "k" * 34, 1), (wave, "k" * 33, 1001), (ridge, "Update", 1)):
        with pytest.raises(StagingError) as caught:
            staged.job_name(key, workers)
        said.append(str(caught.value))
    same = re.compile(r"has \d+ characters: .*; shorten|is not usable: .* inside|name \S+ is also that of")
    assert same.findall("\n".join(problems(helm, values)).replace('"', "")) == same.findall("\n".join(said))
    assert len(same.findall("\n".join(said))) == 4


def shadowed(staged: StagedVersion) -> str:
    """What `staging check` says when production has a job of the name that a staged one would get."""
    own, other = (
        Dataset(dataset_id=id, version=staged.version, cronjobs=[{**CRON_JOB, "metadata": {"name": name}}])
        for id, name in ((staged.dataset_id, f"{staged.dataset_id}-update"), ("other", staged.job_name("update")))
    )
    return check.prove([own, other], Settings())[0].problem


def test_marks_that_only_helm_sets_are_refused_as_python_refuses_them(helm: Path) -> None:
    values = hand_made("update")
    marks = {"helm.sh/hook": "pre-install", "helm.sh/resource-policy": "keep", "meta.helm.sh/release-name": "x"}
    values["jobs"]["update"] |= {"annotations": marks, "labels": {"helm.sh/chart": "x"}}
    words = "is a mark that only Helm sets: remove it"
    with pytest.raises(StagingError) as caught:
        staged({"name": "ridge-snow-update", "annotations": marks, "labels": {"helm.sh/chart": "x"}}, spec())
    said = str(caught.value).partition("ridge-snow: ")[2].split("; ")
    lines = [f"metadata.{line.removeprefix('jobs.update.')}" for line in problems(helm, values)]
    assert (
        lines
        == said
        == [
            f"metadata.labels.helm.sh/chart {words}",
            *(f"metadata.annotations.{mark} {words}" for mark in marks),
        ]
    )
