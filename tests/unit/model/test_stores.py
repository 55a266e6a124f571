"""Which stores are one version's own, and which two are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_cronjobs.model import stores

VERSIONS = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda numbers: ".".join(map(str, numbers)))
FOLDERS = st.lists(st.sampled_from(["weather", "ridge-snow", "v0.3.0.icechunk", "A"]), max_size=4)


@pytest.mark.parametrize(
    "url",
    [
        "s3://weather/ridge/v0.3.0.icechunk",
        "s3://weather/ridge/0.3.0/data.zarr",
        "s3://weather/ridge-0-3-0",
        "gs://weather/ridge_v0-3-0.zarr",
        "/data/v0.3.0",
        "s3://weather/v0.3.0-1deg.zarr",
    ],
)
def test_a_store_with_the_version_in_its_url_is_its_own(url: str) -> None:
    assert stores.is_own(url, "0.3.0")


@pytest.mark.parametrize(
    "url",
    [
        "s3://weather/ridge/latest.icechunk",
        "s3://weather/ridge/v0.3.01.icechunk",
        "s3://weather/ridge/v0.3.0.1.icechunk",
        "s3://weather/ridge/v10.3.0",
        "s3://weather/ridge/v1.0.3.0",
        "s3://weather/ridge/1-0-3-0",
        "s3://weather/ridge/0-3-0-1",
        "s3://weather/ridge/v0.2.0",
        "s3://weather/ridge/rev0.3.0",
        "s3://weather/ridge/v0.3.0rc1",
        "s3://weather/ridge/0x3x0",
        "",
    ],
)
def test_a_store_that_other_versions_may_have_too_is_not(url: str) -> None:
    assert not stores.is_own(url, "0.3.0")


@given(VERSIONS, VERSIONS)
def test_no_store_is_that_of_two_versions(one: str, other: str) -> None:
    url = f"s3://weather-data/ridge-snow/v{one}.icechunk"
    assert stores.is_own(url, one)
    assert stores.is_own(url, other) == (one == other)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("s3://weather/a/v1.zarr", "s3://weather/a/v1.zarr"),
        ("s3://weather/a/v1.zarr/", "S3://weather//a/./v1.zarr"),
        ("s3://weather/a/v1.zarr", "s3://weather/a"),
        ("s3://weather/a", "s3://weather/a/v1.zarr"),
        ("s3://weather", "s3://weather/a/v1.zarr"),
    ],
)
def test_a_store_within_another_is_shared(ours: str, theirs: str) -> None:
    assert stores.first_shared(["s3://elsewhere/x", ours], ["s3://other/y", theirs]) == ours


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("s3://weather/a/v1.zarr", "s3://weather/a/v1.zarr2"),
        ("s3://weather/a", "s3://weather/ab"),
        ("s3://weather/a", "gs://weather/a"),
        ("s3://weather/a", "s3://weather/A"),
    ],
)
def test_stores_beside_each_other_are_not_shared(ours: str, theirs: str) -> None:
    assert stores.first_shared([ours], [theirs]) == ""


@given(FOLDERS, FOLDERS)
def test_sharing_goes_both_ways(one: list[str], other: list[str]) -> None:
    ours, theirs = ("/".join(["s3://bucket", *folders]) for folders in (one, other))
    assert bool(stores.first_shared([ours], [theirs])) == bool(stores.first_shared([theirs], [ours]))
    assert stores.first_shared([ours], [ours]) == ours


STORE = "s3://weather/a/v1.0.0"


@pytest.mark.parametrize("url", [STORE, f"{STORE}/", "S3://Weather//a/./v1.0.0"])
@pytest.mark.parametrize(
    "text",
    [
        STORE,
        f"{STORE}/",
        f"--to={STORE}/main --fast",
        f'{{"store": "{STORE}"}}',
        f"cp {STORE}, then stop",
        f"It is {STORE}.",
        "S3://WEATHER/a//v1.0.0/./x",
        f"x\n{STORE}\ny",
    ],
)
def test_a_store_is_found_in_a_text_however_it_is_written(url: str, text: str) -> None:
    assert stores.named_in(url, text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://weather/a/v1.0.0.1",
        "s3://weather/a/v1.0.01",
        "s3://weather/a/v1.0.0-rc",
        "s3://weather/a/v1.0.0_x",
        "s3://weather/a/V1.0.0",
        "gs://weather/a/v1.0.0",
        "xs3://weather/a/v1.0.0",
        "s3://weather/a",  # from which a job makes the URLs of all versions
        "s3://weather",
        "a/v1.0.0",
        "",
    ],
)
def test_what_is_beside_a_store_or_around_it_is_not_found(text: str) -> None:
    assert not stores.named_in(STORE, text)


def test_a_store_that_is_a_folder_is_found_in_a_text() -> None:
    assert stores.named_in("/data/v1", "cp x /data/v1/y") and not stores.named_in("/data/v1", "/old/data/v1")
    assert stores.named_in("data/v1", "cp data/v1/y x") and not stores.named_in("", "anything")
