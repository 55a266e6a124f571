"""Whose a release and its CronJobs are."""

from typing import Any

import pytest

from catalogues import record
from staging_cronjobs.checks import ownership
from staging_cronjobs.errors import Refused
from staging_cronjobs.external.helm_record import Release, Revision
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Record, Values

STAGED = StagedVersion("ridge-snow", "0.2.0")


def release(of: Record, status: str = "deployed") -> Release:
    values = Values(record=of, jobs={})
    made = "2026-11-25T00:00:00Z"
    return Release(STAGED.release, (Revision(3, status, "uid-3", made, values, {}, "", 0),))


def test_a_release_of_the_same_staged_version_is_upgraded() -> None:
    ownership.check_identity(None, record())
    ownership.check_identity(release(record(repository="Dynamical-Demo/Weather")), record())
    ownership.check_identity(release(record(commit="old", image="old", branch="stage/x/v1")), record())


@pytest.mark.parametrize(
    ("changes", "whose"),
    [
        ({"dataset_id": "ridge"}, "ridge v0.2.0 of dynamical-demo/weather"),
        ({"version": "0.3.0"}, "ridge-snow v0.3.0 of dynamical-demo/weather"),
        ({"repository": "somebody/weather"}, "ridge-snow v0.2.0 of somebody/weather"),
    ],
)
def test_a_release_of_another_staged_version_is_refused(changes: dict[str, str], whose: str) -> None:
    with pytest.raises(Refused) as caught:
        ownership.check_identity(release(record(**changes)), record())
    assert str(caught.value).startswith(
        f"release staging-ridge-snow-v0-2-0 belongs to {whose}, not to ridge-snow v0.2.0 of dynamical-demo/weather. "
    )
    renamed = 'set repository = "somebody/weather" in [tool.staging-cronjobs]'
    assert (renamed in str(caught.value)) == ("repository" in changes)


def test_a_cron_job_of_somebody_else_is_not_overwritten() -> None:
    ownership.check_free({}, STAGED.release)
    by_hand: dict[str, Any] = {"metadata": {"name": "b"}}
    helms = {"metadata": {"name": "a", "annotations": {"meta.helm.sh/release-name": "other"}}}
    with pytest.raises(Refused, match=r"CronJob b is there already and is not from Helm\. Release staging-ridge-snow"):
        ownership.check_free({"b": by_hand}, STAGED.release)
    with pytest.raises(Refused, match=r"CronJob a is there already and belongs to release other\. Release staging"):
        ownership.check_free({"b": by_hand, "a": helms}, STAGED.release)
