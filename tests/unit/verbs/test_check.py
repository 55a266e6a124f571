"""Whether each dataset of a catalogue can be staged."""

from pathlib import Path
from typing import Any

import pytest

from repositories import make_repository
from staging_cronjobs.external import user_code
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.settings import Settings, load
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.verbs.check import Verdict, next_version, prove

STAGED = StagedVersion("ridge-snow", "0.2.0")


def cronjob(name: str, **job: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "worker"}]}
    spec = {"schedule": "0 5 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}, **job}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def dataset(dataset_id: str, *keys: str, version: str | None = "0.1.0", start: str = "", **more: Any) -> Dataset:
    jobs = [cronjob(f"{start or dataset_id}-{key}") for key in keys]
    return Dataset(dataset_id=dataset_id, version=version, cronjobs=jobs, **more)


def problem(*datasets: Dataset, **settings: Any) -> str:
    """The one problem that a catalogue has."""
    found = {v.problem for v in prove(datasets, Settings(**settings)) if v.problem}
    assert len(found) == 1, found
    return found.pop()


@pytest.mark.parametrize(
    ("version", "following"), [("0.1.0", "0.1.1"), ("0.9", "0.10"), ("9", "10"), ("1.0.99", "1.0.100")]
)
def test_the_next_version_raises_the_last_number(version: str, following: str) -> None:
    assert next_version(version) == following


def test_a_dataset_is_proven_at_its_present_and_next_version() -> None:
    assert prove([dataset("ridge-snow", "update", "validate")], Settings()) == [
        Verdict(
            "ridge-snow",
            version,
            f"staging-ridge-snow-{dashed}",
            {key: f"staging-ridge-snow-{dashed}-{key}" for key in ("update", "validate")},
        )
        for version, dashed in (("0.1.0", "v0-1-0"), ("0.1.1", "v0-1-1"))
    ]


def test_the_example_catalogue_can_be_staged(tmp_path: Path) -> None:
    settings = load(make_repository(tmp_path).path, {})
    found = prove(user_code.read(settings.datasets, settings, "i:1"), settings)
    assert [v.problem for v in found if v.problem] == []
    assert {v.dataset_id: v.absent for v in found if v.absent} == {
        "orchard-frost-climatology": "it has no jobs",
        "drifter-buoy-reports": "it has no version",
    }
    assert [(v.version, v.jobs["update"]) for v in found if v.dataset_id == "meadow-temperature-analysis-hourly"] == [
        ("1.4.0", "staging-meadow-temperature-q2m32u-v1-4-0-update"),
        ("1.4.1", "staging-meadow-temperature-q2m32u-v1-4-1-update"),
    ]


def test_archivers_and_datasets_without_jobs_are_nobodys_mistake() -> None:
    archiver = dataset("buoys", "archive-reports", version=None)
    idle = dataset("orchard")
    skipped = dataset("glacier", "archive")
    found = prove([archiver, idle, skipped], Settings(skip_jobs=("archive",)))
    assert [(v.dataset_id, v.absent) for v in found] == [
        ("buoys", "it has no version"),
        *[("orchard", "it has no jobs")] * 2,
        *[("glacier", "it has no jobs that are not skipped")] * 2,
    ]
    assert not any(v.problem for v in found)


def test_skipped_jobs_need_no_name() -> None:
    found = prove([dataset("glacier", "update", "archive-v2")], Settings(skip_jobs=("archive-v2",)))
    assert [list(v.jobs) for v in found] == [["update"], ["update"]]


def test_a_prefix_gives_the_keys() -> None:
    meadow = dataset("meadow-temperature", "update", start="mt")
    assert "is named neither meadow-temperature-<key>: rename it" in problem(meadow)
    found = prove([meadow], Settings(job_prefixes={"meadow-temperature": "mt"}))
    assert found[0].jobs == {"update": "staging-meadow-temperature-v0-1-0-update"}


def test_two_jobs_with_one_key_are_a_problem() -> None:
    both = dataset("ridge-snow", "update")
    both = both.model_copy(update={"cronjobs": [*both.cronjobs, cronjob("rs-update")]})
    assert problem(both, job_prefixes={"ridge-snow": "rs"}) == (
        "dataset ridge-snow gives two jobs with the key 'update': rename one (rs-update)"
    )


@pytest.mark.parametrize(
    ("found", "part"),
    [
        (dataset("ridge-snow", "v2-update"), "job key 'v2-update' of ridge-snow is not usable"),
        (dataset("ridge-snow", "u" * 40), "50 at most (Sentry cuts a longer monitor slug); shorten the key"),
        (dataset("Ridge", "update"), "dataset id 'Ridge' is not usable"),
        (dataset("ridge-snow", "update", version="0.1-rc"), "version '0.1-rc' is not usable"),
        (dataset("ridge-snow", "update", version=""), "version '' is not usable"),
        (dataset("ridge-snow", "update", version="1" * 40), "shorten the version"),
    ],
)
def test_what_has_no_name_is_a_problem(found: Dataset, part: str) -> None:
    problems = [v.problem for v in prove([found], Settings())]
    assert problems and all(part in text for text in problems)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"metadata": None}, "is named neither"),
        ({"metadata": "x"}, "is named neither"),
        ({"metadata": {"name": None}}, "is named neither"),
        (
            {"metadata": {"name": "ridge-snow-update", "labels": {"a": 1}}},
            "metadata.labels.a must be a string",
        ),
        ({"spec": None}, "spec is missing"),
        ({"spec": {"schedule": "x"}}, "spec.jobTemplate is missing"),
        ({"spec": {"schedule": "x", "jobTemplate": {"spec": []}}}, "spec.jobTemplate.spec must be an object"),
        ({"kind": "Job"}, "only a batch/v1 CronJob can be staged"),
        ({"metadata": {"name": "ridge-snow-update", "annotations": {"a": "\x7f"}}}, "holds the character U+007F"),
    ],
)
def test_what_a_deploy_would_refuse_is_a_problem(change: dict[str, Any], part: str) -> None:
    given = cronjob("ridge-snow-update") | change
    found = prove([Dataset(dataset_id="ridge-snow", version="0.1.0", cronjobs=[given])], Settings())
    assert [part in v.problem for v in found] == [True, True]


def test_a_job_of_another_namespace_is_a_problem() -> None:
    given = cronjob("ridge-snow-update")
    given["metadata"]["namespace"] = "weather"
    found = Dataset(dataset_id="ridge-snow", version="0.1.0", cronjobs=[given])
    assert "wants namespace weather: the release goes to other" in problem(found, namespace="other")
    assert not any(v.problem for v in prove([found], Settings(namespace="weather")))


def test_indexed_workers_count() -> None:
    job = cronjob(f"{'a' * 63}-validate", completionMode="Indexed", completions=1001)
    found = prove([Dataset(dataset_id="a" * 63, version="0.1.0", cronjobs=[job])], Settings())
    assert [len(v.jobs["validate"]) for v in found] == [49, 49]


def test_a_name_that_production_has_is_a_problem() -> None:
    odd = dataset("staging-ridge-snow-v0-1-0", "update", version=None)
    found = prove([dataset("ridge-snow", "update"), odd], Settings())
    name = "staging-ridge-snow-v0-1-0-update"
    assert found[0].problem == f"its name {name} is also that of the production job of staging-ridge-snow-v0-1-0"
    assert found[0].jobs == {}
    assert (found[1].problem, found[2].problem) == ("", "")


def test_one_name_for_two_datasets_is_a_problem_of_the_second() -> None:
    long = "fjord-basin-ens-forecast-12-day-0-25-degree"
    twin = dataset("fjord-basin-ens-for-zcjqf4", "update", version="0.3.0")
    found = prove([dataset(long, "update", version="0.3.0"), twin], Settings())
    name = "staging-fjord-basin-ens-for-zcjqf4-v0-3-0-update"
    assert [bool(v.problem) for v in found] == [False, False, True, True]
    assert found[2].problem == f"its name {name} is also that of {long} v0.3.0"
