"""Which staged job a CronJob of the kubectl way is: `stage-<id>-v<version with dashes>-<key>`."""

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staging_cronjobs.checks.staged_with_kubectl import Predecessor, check_stopped, matches
from staging_cronjobs.errors import Refused
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.settings import Settings
from staging_cronjobs.model.staged_version import StagedVersion

Catalogue = dict[str, set[str]]  # dataset id -> keys

# Segments that look like a version, a key, or part of a border; long ones, for ids that are cut.
SEGMENTS = ["v", "v0", "v1-0", "0", "1", "10", "a", "b", "update", "validate", "stage", "temperature"]
ids = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=8).map("-".join)
keys = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("-".join)
versions = st.lists(st.sampled_from(["0", "1", "9", "10", "00"]), min_size=1, max_size=4).map(".".join)
catalogues = st.dictionaries(ids, st.sets(keys, min_size=1, max_size=3), min_size=1, max_size=4)


def datasets(catalogue: Catalogue, start: str = "") -> list[Dataset]:
    """The datasets, whose production jobs are named by their ids, or by another start."""
    return [
        Dataset(
            dataset_id=dataset_id, cronjobs=[{"metadata": {"name": f"{start or dataset_id}-{key}"}} for key in keys]
        )
        for dataset_id, keys in catalogue.items()
    ]


def names(dataset_id: str, version: str, key: str) -> set[str]:
    """What the kubectl way may have called a job: as it is, or with the id cut so that 42 characters are enough."""
    end = f"-v{version.replace('.', '-')}-{key}"
    whole = f"stage-{dataset_id}{end}"
    excess = len(whole) - 42
    if not 0 < excess < len(dataset_id):
        return {whole}
    return {whole, f"stage-{dataset_id[:-excess].rstrip('-')}{end}"}


def found(name: str, catalogue: Catalogue) -> list[tuple[str, str, str]]:
    return [(m.dataset_id, m.version, m.key) for m in matches(name, datasets(catalogue), Settings())]


@given(catalogues, versions, st.data())
@example({"a": {"update", "0-update"}}, "1.0", None)
@example({"a-v1": {"update"}, "a": {"update"}}, "1", None)
def test_a_name_is_matched_by_all_that_make_it_and_by_nothing_else(
    catalogue: Catalogue, version: str, data: st.DataObject | None
) -> None:
    known = [(dataset_id, key) for dataset_id, keys in catalogue.items() for key in keys]
    for dataset_id, key in known if data is None else [data.draw(st.sampled_from(known))]:
        for name in names(dataset_id, version, key):
            all_found = found(name, catalogue)
            assert (dataset_id, version, key) in all_found
            assert len(all_found) == len(set(all_found))
            assert all(name in names(*one) and one[2] in catalogue[one[0]] for one in all_found)


@pytest.mark.parametrize(
    ("name", "staged"),
    [
        ("stage-ridge-snow-v0-2-0-update", ("ridge-snow", "0.2.0", "update")),
        ("stage-ridge-snow-v9-update", ("ridge-snow", "9", "update")),
        ("stage-ridge-snow-v1-00-20-3-archive-grib-files", ("ridge-snow", "1.00.20.3", "archive-grib-files")),
        ("stage-ridge-snow-forecast-v0-2-0-update", ("ridge-snow-forecast", "0.2.0", "update")),
        ("stage-canopy-v9-v0-4-update", ("canopy-v9", "0.4", "update")),
        ("stage-canopy-v9-update", ("canopy", "9", "update")),
        ("stage-meadow-temperature-a-v0-3-0-validate", ("meadow-temperature-analysis-hourly", "0.3.0", "validate")),
        ("stage-meadow-temperature-v10-30-0-validate", ("meadow-temperature-analysis-hourly", "10.30.0", "validate")),
    ],
)
def test_a_name_says_what_is_staged(name: str, staged: tuple[str, str, str]) -> None:
    catalogue = {
        "ridge-snow": {"update", "archive-grib-files"},
        "ridge-snow-forecast": {"update"},
        "canopy": {"update"},
        "canopy-v9": {"update"},
        "meadow-temperature-analysis-hourly": {"validate"},
    }
    assert found(name, catalogue) == [staged]


@pytest.mark.parametrize(
    "name",
    [
        "stage-ridge-snow-v0-2-0-archive",  # no such key
        "stage-ridge-v0-2-0-update",  # half an id, which nothing had to cut
        "stage-ridge-snows-v0-2-0-update",
        "stage-ridge-snow-0-2-0-update",
        "stage-ridge-snow-v0-2-0update",
        "stage-ridge-snow-v0--2-update",
        "stage-ridge-snow-v-update",
        "stage-ridge-snow-vx-update",
        "stage-ridge-snow-v0-2-0",
        "staging-ridge-snow-v0-2-0-update",
        "ridge-snow-update",
    ],
)
def test_nothing_is_guessed(name: str) -> None:
    assert found(name, {"ridge-snow": {"update"}}) == []


def test_what_two_jobs_may_be_called_is_ambiguous() -> None:
    assert found("stage-a-v1-0-update", {"a": {"update", "0-update"}}) == [
        ("a", "1", "0-update"),
        ("a", "1.0", "update"),
    ]
    twins = {f"meadow-temperature-{kind}": {"validate"} for kind in ("analysis", "archive")}
    assert [one[0] for one in found("stage-meadow-temperature-a-v0-3-0-validate", twins)] == list(twins)


def test_keys_come_from_the_prefix_that_is_set() -> None:
    meadow = datasets({"meadow-temperature": {"update"}}, start="mt")
    name = "stage-meadow-temperature-v1-update"
    assert matches(name, meadow, Settings()) == []
    prefixed = Settings(job_prefixes={"meadow-temperature": "mt"})
    assert matches(name, meadow, prefixed) == [Predecessor(name, "meadow-temperature", "1", "update")]


MEADOW = StagedVersion("meadow-temperature-analysis-hourly", "0.3.0")
CUT = "stage-meadow-temperature-a-v0-3-0-validate"


def running(name: str, command: str, **spec: bool) -> dict[str, dict[str, Any]]:
    """A CronJob of the namespace, by its name."""
    pod = {"containers": [{"name": "worker", "command": ["weather", "update", command]}]}
    job = {"jobTemplate": {"spec": {"template": {"spec": pod}}}}
    return {name: {"metadata": {"name": name}, "spec": {**job, **spec}}}


def nothing(_: Collection[str]) -> list[str]:
    """No Job of any CronJob runs."""
    return []


@pytest.mark.parametrize(
    ("name", "command", "refused"),
    [
        (CUT, MEADOW.dataset_id, True),
        (CUT, "all", True),  # whose it is cannot be told
        (CUT, "meadow-temperature-anomaly", False),  # which has the same name when cut
        (CUT, "meadow-temperature-analysis-hourly-2", False),
        (CUT.replace("v0-3-0", "v0-3-1"), MEADOW.dataset_id, False),
        (CUT.replace("validate", "update"), MEADOW.dataset_id, False),  # no job of it
        ("stage-meadow-temperature-analysis-hourly-v0-3-0-validate", "meadow-temperature-anomaly", True),
        ("meadow-temperature-analysis-hourly-validate", MEADOW.dataset_id, False),
    ],
)
def test_what_runs_the_kubectl_way_is_known_by_its_name_and_where_that_was_cut_by_its_command(
    name: str, command: str, refused: bool
) -> None:
    others = datasets({"meadow-temperature-anomaly": set(), "meadow-temperature-analysis-hourly-2": set()})
    known, settings = [*datasets({MEADOW.dataset_id: {"validate"}}), *others], Settings()
    check_stopped(running(name, command, suspend=True), MEADOW, known, settings, nothing)
    for there in (running(name, command), running(name, command, suspend=False)):
        if refused:
            with pytest.raises(Refused, match=f"^CronJob {name} runs, "):
                check_stopped(there, MEADOW, known, settings, nothing)
        else:
            check_stopped(there, MEADOW, known, settings, nothing)


def test_a_production_job_that_is_named_like_one_is_none() -> None:
    known = datasets({"stage-ridge-v1-0": {"update"}, "ridge": {"update"}})
    there = running("stage-ridge-v1-0-update", "ridge")
    check_stopped(there, StagedVersion("ridge", "1.0"), known, Settings(), nothing)


def test_a_job_of_a_suspended_one_still_writes() -> None:
    known, there = datasets({MEADOW.dataset_id: {"validate"}}), running(CUT, MEADOW.dataset_id, suspend=True)
    with pytest.raises(Refused, match=f"^Job {CUT}-29926541 runs, .* Wait for its end, or delete it."):
        check_stopped(there, MEADOW, known, Settings(), lambda names: [f"{name}-29926541" for name in names])
    other = StagedVersion(MEADOW.dataset_id, "0.4.0")
    check_stopped(there, other, known, Settings(), lambda _: pytest.fail("nobody need be asked"))
