"""The chart with nothing but helm: values written by hand, many jobs, and what a release costs the cluster."""

import base64

from compatibility import examples
from live import Namespace, Staging
from rendering import CHART, RELEASE, Object, as_json, hand_made

RARELY = "0 0 29 2 *"


def install(staging: Staging, release: str, values: str) -> None:
    done = staging.tool("helm", "install", release, str(CHART), "--values", "-", given=values)
    assert done.code == 0, done.stderr


def many(count: int) -> Object:
    found = hand_made(*(f"part-{number}" for number in range(count)))
    for job in found["jobs"].values():
        job["spec"]["schedule"] = RARELY
    return found


def test_fifty_jobs_are_one_release(staging: Staging, live: Namespace) -> None:
    values = many(50)
    install(staging, RELEASE, as_json(values))
    assert live.names("cronjobs", f"staging-cronjobs/release={RELEASE}") == sorted(
        job["name"] for job in values["jobs"].values()
    )
    assert staging.helm("list", "--short").split() == [RELEASE]
    staging.helm("uninstall", RELEASE, "--wait")
    assert live.leftovers() == []


def test_the_largest_dataset_is_stored_in_less_than_20_kb(staging: Staging, live: Namespace) -> None:
    largest = max(examples(), key=lambda example: len(example.values))
    install(staging, largest.release, largest.values)
    stored = live.get("secrets", f"sh.helm.release.v1.{largest.release}.v1")["data"]
    assert 0 < sum(len(base64.b64decode(value)) for value in stored.values()) < 20_000
