"""Whose a CronJob is on the timeline: what labels say counts only as far as the name follows from it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hostile import Hostile
from staging_cronjobs.errors import Refused, Usage
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.model.settings import Settings
from staging_cronjobs.verbs import timeline

NOW = datetime(2026, 1, 5, 9, 7, tzinfo=UTC)
SNOW = "staging-ridge-snow-v0-2-0"


class Listed(Cluster):
    """A namespace of which the listing is known."""

    def __init__(self, *cronjobs: dict[str, Any]) -> None:
        super().__init__("my-cluster", "weather")
        object.__setattr__(self, "cronjobs", list(cronjobs))

    def get(self, plural: str, selector: str, *_: str) -> list[dict[str, Any]]:
        assert (plural, selector) == ("cronjobs", "")
        return self.__dict__["cronjobs"]


def plain(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"schedule": "0 * * * *"}}


def staged(
    name: str, release: str = SNOW, facts: tuple[str, str] = ("ridge-snow", "0.2.0"), key: str = "update"
) -> Any:
    labels = {"release": release, "dataset-id": facts[0], "dataset-version": facts[1]}
    marks = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "weather"}
    return plain(
        name,
        labels={f"staging-cronjobs/{label}": value for label, value in labels.items()},
        annotations={**marks, "staging-cronjobs/key": key},
    )


def found(*cronjobs: dict[str, Any], dataset_id: str = "", settings: Settings | None = None) -> list[tuple[str, ...]]:
    rows = timeline.look(Listed(*cronjobs), settings or Settings(), dataset_id, NOW).rows
    return [(row.job.kind, row.job.dataset_id, row.job.version, row.job.key, row.job.name) for row in rows]


def test_production_is_known_by_the_beginning_of_its_name_and_the_longest_wins() -> None:
    jobs = [
        staged(f"{SNOW}-update"),
        staged("staging-ridge-snow-forecast-v1-update", "staging-ridge-snow-forecast-v1", ("ridge-snow-forecast", "1")),
        *map(plain, ("ridge-snow-update", "ridge-snow-forecast-update", "snow-validate", "other-update")),
    ]
    everything = found(*jobs, settings=Settings(job_prefixes={"ridge-snow": "snow"}))
    assert everything == [
        ("production", "ridge-snow", "", "update", "ridge-snow-update"),
        ("production", "ridge-snow", "", "validate", "snow-validate"),
        ("staged", "ridge-snow", "0.2.0", "update", f"{SNOW}-update"),
        ("production", "ridge-snow-forecast", "", "update", "ridge-snow-forecast-update"),
        ("staged", "ridge-snow-forecast", "1", "update", "staging-ridge-snow-forecast-v1-update"),
        ("production", "", "", "", "other-update"),
    ]
    assert found(*jobs, dataset_id="other") == [("production", "other", "", "update", "other-update")]


def test_a_job_of_a_dataset_with_a_longer_id_is_not_taken_for_this_ones() -> None:
    names = (
        "ridge-snow-update",
        "ridge-snow-forecast-update",
        "ridge-snow-archive-grib-files",
        "ridge-snow-update-all",
    )
    rows = found(*map(plain, names), dataset_id="ridge-snow")
    assert [key for _, _, _, key, _ in rows] == ["archive-grib-files", "update", "update-all"]
    both = staged(f"{SNOW}-forecast-update", key="forecast-update")
    assert [key for *_, key, _ in found(both, *map(plain, names[:2]))] == [
        "forecast-update",
        "update",
        "forecast-update",
    ]


@pytest.mark.parametrize(
    "cronjob",
    [
        staged("ridge-snow-update"),  # a name that does not follow
        staged(f"{SNOW}-update", key="x\x1b[2J"),
        staged(f"{SNOW}-update", facts=("ridge-snow", "0.3.0")),
        staged(f"{SNOW}-update", facts=("-", "v1")),
        staged(f"{SNOW}-update", facts=("ridge-snow", "1" * 70)),
        plain(f"{SNOW}-update", labels={"staging-cronjobs/release": SNOW}),  # a copy, which no release owns
    ],
)
def test_what_only_says_that_it_is_ours_is_shown_as_unproven(cronjob: dict[str, Any], hostile: Hostile) -> None:
    name = cronjob["metadata"]["name"]
    assert found(cronjob) == [("unproven", "", "", "", name)]
    hostile.tried("dataset objects", name)


def test_a_paused_release_is_told_from_a_job_that_its_own_code_suspends() -> None:
    paused, own = staged(f"{SNOW}-update"), staged(f"{SNOW}-validate", key="validate")
    paused["metadata"]["annotations"]["staging-cronjobs/paused"] = "true"
    for cronjob in (paused, own):
        cronjob["spec"]["suspend"] = True
    rows = timeline.look(Listed(paused, own), Settings(), "", NOW).rows
    assert [(row.job.suspended, row.job.paused) for row in rows] == [(True, True), (True, False)]


def test_a_dataset_that_is_not_there_gets_the_nearest(hostile: Hostile) -> None:
    with pytest.raises(
        Refused, match=r"no CronJob of dataset ridge-snwo is in .*weather\. Did you mean 'ridge-snow'\?"
    ):
        found(staged(f"{SNOW}-update"), dataset_id="ridge-snwo")
    for word in ("../x", "Ridge", "a" * 64, "x\n", "$(id)", "-x", "\x1b[2J"):
        with pytest.raises(Usage, match=r"dataset id .* is not usable") as error:
            found(dataset_id=word)
        assert str(error.value).isprintable()
        hostile.tried("names from git", str(error.value))
