"""The identity of a staged version and the names that follow from it."""

import re
from base64 import b32encode
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staging_cronjobs.errors import Refused, Usage
from staging_cronjobs.model.staged_version import StagedVersion, job_limit

LONG = "fjord-basin-ens-forecast-12-day-0-25-degree"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

# Segments that look like a version, a key, the cut of another id, or part of a border.
SEGMENTS = ["v", "v0", "v1", "v9", "vv1", "v1a", "0", "1", "10", "a", "b", "update", "validate", "staging", "zcjqf4"]
ids = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=12).map("-".join).filter(lambda id: len(id) <= 63)
versions = st.lists(st.sampled_from(["0", "1", "9", "10", "00"]), min_size=1, max_size=4).map(".".join)
keys = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("-".join)
workers = st.sampled_from([1, 10, 38, 100, 101, 1000, 1001, 10001])


def hash_of(dataset_id: str) -> str:
    return b32encode(sha256(dataset_id.encode()).digest()).decode().lower()[:6]


def cut(name: str, version: str, key: str = "") -> str:
    """The part of a name that stands for the dataset id."""
    end = f"-v{version.replace('.', '-')}" + (f"-{key}" if key else "")
    assert name.startswith("staging-") and name.endswith(end)
    return name[len("staging-") : -len(end)]


def job_name(dataset_id: str, version: str, key: str, workers: int = 1) -> str | None:
    """The job's name, None where it is refused."""
    try:
        return StagedVersion(dataset_id, version).job_name(key, workers)
    except Refused:
        return None


@pytest.mark.parametrize(
    ("branch", "dataset_id", "version"),
    [
        ("stage/noaa-gfs-forecast/v0.3.0", "noaa-gfs-forecast", "0.3.0"),
        ("stage/nasa-smap-level3-36km-v9/v1.0", "nasa-smap-level3-36km-v9", "1.0"),
        ("stage/a/v1", "a", "1"),
        ("stage/0-25/v00.10", "0-25", "00.10"),
        (f"stage/{'a' * 63}/v1", "a" * 63, "1"),
    ],
)
def test_a_branch_names_a_staged_version(branch: str, dataset_id: str, version: str) -> None:
    staged = StagedVersion.from_branch(branch)
    assert (staged.dataset_id, staged.version, staged.branch) == (dataset_id, version, branch)


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "main",
        "stage/a",
        "stage/a/",
        "stage/a/v",
        "stage/a/1.0",
        "stage/a/v1.",
        "stage/a/v.1",
        "stage/a/v1..2",
        "stage/a/v1-0",
        "stage/a/v1.0-rc1",
        "stage/a/V1.0",
        "stage/a/v1.0\n",
        "stage/a/v1.0 ",
        " stage/a/v1.0",
        "stage/a/v1.0/more",
        "x/stage/a/v1.0",
        "refs/heads/stage/a/v1.0",
        "Stage/a/v1.0",
        "stage//v1.0",
        "stage/A/v1.0",
        "stage/a_b/v1.0",
        "stage/a--b/v1.0",
        "stage/-a/v1.0",
        "stage/a-/v1.0",
        "stage/a/b/v1.0",
        "stage/a\n/v1.0",
        "stage/ä/v1.0",
        "stage/a\u0663/v1.0",
        "stage/a/v\u0661.\u0660",
        "stage/a/v1.²",
        "stage/$(id)/v1.0",
        f"stage/{'a' * 64}/v1",
    ],
)
def test_every_other_branch_is_refused_by_name(branch: str) -> None:
    with pytest.raises(Usage) as caught:
        StagedVersion.from_branch(branch)
    assert "is not usable" in str(caught.value) or repr(branch) in str(caught.value)


@pytest.mark.parametrize("dataset_id", ["", "A", "a_b", "a--b", "-a", "a-", "a\n", "ä", "a.b", "a/b", "a" * 64])
def test_a_malformed_id_is_usage(dataset_id: str) -> None:
    with pytest.raises(Usage, match=r"dataset id .* is not usable: it must be lower-case letters and digits"):
        StagedVersion(dataset_id, "1")


@pytest.mark.parametrize("version", ["", "v1", "1.", ".1", "1..2", "1.0\n", "1.0-rc1", "1-0", "\u0661", "latest"])
def test_a_malformed_version_is_usage(version: str) -> None:
    with pytest.raises(Usage, match=r"version .* is not usable: it must be numbers joined by dots"):
        StagedVersion("a", version)


def test_names_that_fit_are_the_plain_ones() -> None:
    staged = StagedVersion("noaa-gfs-forecast", "0.3.0")
    assert staged.branch == "stage/noaa-gfs-forecast/v0.3.0"
    assert staged.release == "staging-noaa-gfs-forecast-v0-3-0"
    assert staged.job_name("update") == "staging-noaa-gfs-forecast-v0-3-0-update"
    assert staged.job_name("validate") == "staging-noaa-gfs-forecast-v0-3-0-validate"
    assert StagedVersion("nasa-smap-level3-36km-v9", "1.0").job_name("update") == (
        "staging-nasa-smap-level3-36km-v9-v1-0-update"
    )


@pytest.mark.parametrize(
    ("dataset_id", "release", "update", "archive"),
    [
        (
            LONG,
            "staging-fjord-basin-ens-forecast-12-day-{}-v0-3-0",
            "staging-fjord-basin-ens-for-{}-v0-3-0-update",
            "staging-fjord-bas-{}-v0-3-0-archive-grib-files",
        ),
        (
            "ecmwf-ifs-ens-forecast-15-day-0-25-degree",
            "staging-ecmwf-ifs-ens-forecast-15-day-0-{}-v0-3-0",
            "staging-ecmwf-ifs-ens-forec-{}-v0-3-0-update",
            "staging-ecmwf-ifs-{}-v0-3-0-archive-grib-files",
        ),
        (
            "a" * 63,
            f"staging-{'a' * 31}-{{}}-v0-3-0",
            f"staging-{'a' * 19}-{{}}-v0-3-0-update",
            f"staging-{'a' * 9}-{{}}-v0-3-0-archive-grib-files",
        ),
    ],
)
def test_a_long_id_is_cut_and_gets_its_hash(dataset_id: str, release: str, update: str, archive: str) -> None:
    staged = StagedVersion(dataset_id, "0.3.0")
    assert staged.release == release.format(hash_of(dataset_id))
    assert staged.job_name("update") == update.format(hash_of(dataset_id))
    assert staged.job_name("archive-grib-files") == archive.format(hash_of(dataset_id))


def test_the_hash_is_the_one_of_the_whole_id() -> None:
    assert hash_of(LONG) == "zcjqf4"
    assert StagedVersion(LONG, "0.3.0").release == "staging-fjord-basin-ens-forecast-12-day-zcjqf4-v0-3-0"
    assert StagedVersion(f"{LONG}s", "0.3.0").release.startswith("staging-fjord-basin-ens-forecast-12-day-")
    assert StagedVersion(f"{LONG}s", "0.3.0").release != StagedVersion(LONG, "0.3.0").release


def test_a_cut_that_lands_on_a_dash_drops_it() -> None:
    dataset_id = f"{'a' * 30}-{'b' * 20}"
    assert StagedVersion(dataset_id, "0.3.0").release == f"staging-{'a' * 30}-{hash_of(dataset_id)}-v0-3-0"


def test_a_release_is_cut_only_beyond_53_characters() -> None:
    assert StagedVersion("a" * 38, "0.3.0").release == f"staging-{'a' * 38}-v0-3-0"
    assert len(StagedVersion("a" * 38, "0.3.0").release) == 53
    assert StagedVersion("a" * 39, "0.3.0").release == f"staging-{'a' * 31}-{hash_of('a' * 39)}-v0-3-0"
    assert len(StagedVersion("a" * 39, "0.3.0").release) == 53


@pytest.mark.parametrize(("key", "longest"), [("validate", 26), ("archives9", 25), ("archive-grib-files", 16)])
def test_a_job_is_cut_only_beyond_50_characters(key: str, longest: int) -> None:
    assert StagedVersion("a" * longest, "0.3.0").job_name(key) == f"staging-{'a' * longest}-v0-3-0-{key}"
    assert len(StagedVersion("a" * longest, "0.3.0").job_name(key)) == 50
    longer = "a" * (longest + 1)
    assert (
        StagedVersion(longer, "0.3.0").job_name(key) == f"staging-{'a' * (longest - 7)}-{hash_of(longer)}-v0-3-0-{key}"
    )


def test_a_short_key_is_cut_where_validate_is() -> None:
    assert StagedVersion("a" * 26, "0.3.0").job_name("run") == f"staging-{'a' * 26}-v0-3-0-run"
    longer = "a" * 27
    assert StagedVersion(longer, "0.3.0").job_name("run") == f"staging-{'a' * 19}-{hash_of(longer)}-v0-3-0-run"


@pytest.mark.parametrize(
    ("workers", "limit"),
    [
        *((few, 50) for few in (0, 1, 10, 11, 38, 100, 101, 1000)),
        *((1001, 49), (10_000, 49), (10_001, 48)),
    ],
)
def test_many_indexed_workers_shorten_a_name(workers: int, limit: int) -> None:
    assert job_limit(workers) == limit
    name = StagedVersion("a" * 63, "0.3.0").job_name("validate", workers)
    assert len(name) == limit
    assert len(f"{name}-29000000-{max(workers, 1) - 1}") <= 63


@given(ids, versions, workers)
@example("a" * 63, "0.3.0", 1000)
def test_update_and_validate_share_their_prefix(dataset_id: str, version: str, workers: int) -> None:
    update, validate = (job_name(dataset_id, version, key, min(workers, 1000)) for key in ("update", "validate"))
    assert update is not None and validate is not None
    assert update.removesuffix("update") == validate.removesuffix("validate")


@given(ids, versions, workers)
def test_more_workers_of_update_do_not_part_it_from_validate(dataset_id: str, version: str, workers: int) -> None:
    staged = StagedVersion(dataset_id, version)
    update, validate = staged.job_name("update", workers), staged.job_name("validate")
    assert update.removesuffix("update") == validate.removesuffix("validate")


@given(ids, versions, keys, workers)
def test_version_and_key_stay_whole_and_last(dataset_id: str, version: str, key: str, workers: int) -> None:
    staged, dashed = StagedVersion(dataset_id, version), version.replace(".", "-")
    names = [(staged.release, f"-v{dashed}", 53)]
    if name := job_name(dataset_id, version, key, workers):
        names.append((name, f"-v{dashed}-{key}", 50))
        assert len(f"{name}-29000000-{workers - 1}") <= 63
    for name, end, limit in names:
        assert NAME.fullmatch(name) and len(name) <= limit
        assert name.startswith("staging-") and name.endswith(end)
        middle = name[len("staging-") : -len(end)]
        kept = middle.removesuffix(f"-{hash_of(dataset_id)}")
        assert middle == dataset_id or (kept != middle and dataset_id.startswith(kept))


@given(ids, versions, keys, ids, versions, keys)
@example("a", "1", "update", "a-v1", "1", "update")
@example("a-v1", "0", "b", "a", "1.0", "b")
def test_different_staged_versions_never_get_one_name(
    id_1: str, version_1: str, key_1: str, id_2: str, version_2: str, key_2: str
) -> None:
    first, second = (id_1, version_1, key_1), (id_2, version_2, key_2)
    name = job_name(*first)
    if name is not None and name == job_name(*second):
        assert (version_1, key_1) == (version_2, key_2)
        assert id_1 == id_2 or is_the_cut_of_the_other(cut(name, version_1, key_1), id_1, id_2)
    release = StagedVersion(id_1, version_1).release
    if release == StagedVersion(id_2, version_2).release:
        assert version_1 == version_2
        assert id_1 == id_2 or is_the_cut_of_the_other(cut(release, version_1), id_1, id_2)


def is_the_cut_of_the_other(part: str, id_1: str, id_2: str) -> bool:
    """Whether one id is, letter for letter, what the other is cut to."""
    return any(
        part == short != long and part.endswith(f"-{hash_of(long)}") for short, long in ((id_1, id_2), (id_2, id_1))
    )


@given(ids, versions, keys)
@example("a-v9", "1.0", "b-v")
def test_a_job_name_has_one_reading(dataset_id: str, version: str, key: str) -> None:
    name = job_name(dataset_id, version, key)
    if name is None:
        return
    for reading in readings(name):
        if reading[1:] != (version, key):
            assert job_name(*reading) != name


@given(ids, versions)
def test_a_release_name_has_one_reading(dataset_id: str, version: str) -> None:
    release = StagedVersion(dataset_id, version).release
    for other_id, other_version, _ in readings(f"{release}-key"):
        if other_version != version:
            assert StagedVersion(other_id, other_version).release != release


def readings(name: str) -> Iterator[tuple[str, str, str]]:
    """Every (id, version, key) that a job's name might stand for, written out in full."""
    parts = name.split("-")[1:]
    for start in range(1, len(parts)):
        for end in range(start + 1, len(parts)):
            version = ".".join(parts[start:end]).removeprefix("v")
            if parts[start].startswith("v") and re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
                yield "-".join(parts[:start]), version, "-".join(parts[end:])


def test_only_an_id_that_is_the_cut_of_another_shares_its_name() -> None:
    twin = f"fjord-basin-ens-for-{hash_of(LONG)}"
    assert StagedVersion(twin, "0.3.0").job_name("update") == StagedVersion(LONG, "0.3.0").job_name("update")
    assert StagedVersion(twin, "0.3.0").release != StagedVersion(LONG, "0.3.0").release


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("1-update", "it begins with a number, which would read as part of the version"),
        ("25", "it begins with a number, which would read as part of the version"),
        ("v1", "its part 'v1' would read as the version"),
        ("update-v2", "its part 'v2' would read as the version"),
        ("v1-0-update", "its part 'v1' would read as the version"),
        ("", "it must be lower-case letters and digits with single dashes inside"),
        ("Update", "it must be lower-case letters"),
        ("up--date", "it must be lower-case letters"),
        ("update-", "it must be lower-case letters"),
        ("-update", "it must be lower-case letters"),
        ("update\n", "it must be lower-case letters"),
        ("up.date", "it must be lower-case letters"),
        ("\u0663", "it must be lower-case letters"),
    ],
)
def test_a_key_that_blurs_the_border_is_refused_with_the_reason(key: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        StagedVersion("tide-level", "1.0").job_name(key)
    assert f"job key {key!r} of tide-level is not usable: {reason}" in str(caught.value)
    assert str(caught.value).endswith("; rename the job")


@pytest.mark.parametrize("key", ["update", "v", "va1", "v1a", "a1", "update-2", "level3", "archive-grib-files", "vv1"])
def test_other_keys_are_accepted(key: str) -> None:
    assert StagedVersion("tide-level", "1.0").job_name(key) == f"staging-tide-level-v1-0-{key}"


def test_a_version_too_long_for_its_release_says_by_how_much() -> None:
    with pytest.raises(
        Refused,
        match=r"the release of tide-level v1{37} .* has 55 characters: 53 at most \(Helm\); shorten the version by 2",
    ):
        assert StagedVersion("tide-level", "1" * 37).release
    assert len(StagedVersion("tide-level", "1" * 35).release) == 53


@given(ids, st.integers(1, 45), st.integers(1, 60), workers)
@example("tide-level", 32, 6, 1)
@example("tide-level", 20, 20, 1)
@example("a", 1, 60, 10_001)
@example("a", 45, 60, 1)
def test_what_cannot_fit_fits_once_the_named_part_is_shortened(id: str, version: int, key: int, workers: int) -> None:
    """By exactly as much as the message says, and not by one less."""
    try:
        StagedVersion(id, "1" * version).job_name("k" * key, workers)
        return
    except Refused as error:
        refused = re.search(
            r"has (\d+) characters: (\d+) at most .*; shorten the (key and version together|key|version) by (\d+)$",
            str(error),
        )
    assert refused is not None
    assert int(refused[1]) - int(refused[2]) == int(refused[4])
    for missing, fits in ((0, True), (1, False)):
        excess = int(refused[4]) - missing
        if refused[3] == "key":
            shorter = (version, key - excess)
        elif refused[3] == "version":
            shorter = (version - excess, key)
        else:
            shorter = (version - (excess - (key - 8)), 8)
        name = job_name(id, "1" * shorter[0], "k" * shorter[1], workers)
        assert (name is not None) is fits


def test_the_minutes_of_a_version_are_always_the_same_and_spread() -> None:
    offsets = [StagedVersion("ridge-snow", f"0.{n}.0").offset(5) for n in range(200)]
    assert offsets[:6] == [StagedVersion("ridge-snow", f"0.{n}.0").offset(5) for n in range(6)]
    assert StagedVersion("ridge-snow", "0.2.0").offset(5) == 1  # kept: a release made long ago is rendered again
    assert set(offsets) == {1, 2, 3, 4, 5} and min(map(offsets.count, range(1, 6))) > 20
    assert {StagedVersion("ridge-snow", "0.2.0").offset(most) for most in (0, 1)} == {0, 1}
