"""Which staged version a name means that a person gives: only names that were made count, and nothing is guessed."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostile import Hostile
from staging_cronjobs.errors import StagingError, Usage
from staging_cronjobs.model.names_given import checked, meant_by
from staging_cronjobs.model.staged_version import StagedVersion

KEYS = ("update", "validate", "archive-grib-files")
SNOW, LATER, NESTED = (
    StagedVersion("ridge-snow", "0.2.0"),
    StagedVersion("ridge-snow", "0.2.1"),
    StagedVersion("a", "1"),
)
LONG = StagedVersion("fjord-basin-ens-forecast-12-day-0-25-degree", "0.4.0")
DASHED = StagedVersion("a-v1", "2.0")  # its release is staging-a-v1-v2-0, and a's is staging-a-v1
LIKE_A_JOB = StagedVersion("a-v1-update", "3")  # its release begins as a's job does


def jobs(staged: StagedVersion, keys: tuple[str, ...] = KEYS) -> dict[str, str]:
    return {staged.job_name(key): key for key in keys}


KNOWN = {staged: jobs(staged) for staged in (SNOW, LATER, NESTED, LONG, DASHED, LIKE_A_JOB)}
CONTROLLER, BY_HAND = "29926541", "140533"


@pytest.mark.parametrize("staged", KNOWN, ids=lambda staged: staged.branch)
def test_every_name_of_it_means_it(staged: StagedVersion) -> None:
    assert meant_by(staged.branch, KNOWN) == (staged, "")
    assert meant_by(staged.release, KNOWN) == (staged, "")
    for name, key in KNOWN[staged].items():
        for suffix in ("", CONTROLLER, BY_HAND, f"{BY_HAND}b"):
            job = f"{name}-{suffix}".rstrip("-")
            pods = (f"{job}-x7z9p", f"{job}-37-x7z9p", f"{f'{job}-'[:58]}x7z9p") if suffix else ()
            for word in (job, *pods):
                assert meant_by(checked(word), KNOWN) == (staged, key), word


@pytest.mark.parametrize("kind", ["cronjob/", "cronjob.batch/", "job.batch/", "jobs/", "pod/", "pods/"])
def test_as_kubectl_prints_it(kind: str) -> None:
    assert checked(f"{kind}{SNOW.release}-update") == f"{SNOW.release}-update"


def test_a_job_made_by_hand_counts_where_it_can_be_one_versions_alone() -> None:
    assert meant_by(f"{SNOW.release}-update-by-hand", KNOWN) == (SNOW, "update")
    both = f"{LIKE_A_JOB.job_name('update')}-by-hand"  # of LIKE_A_JOB, or of a's CronJob and called v3-update-by-hand
    with pytest.raises(Usage, match=r"could be of stage/a-v1-update/v3 or of stage/a/v1\. Give the branch"):
        meant_by(both, KNOWN)
    assert meant_by(both, {LIKE_A_JOB: KNOWN[LIKE_A_JOB]}) == (LIKE_A_JOB, "update")


@pytest.mark.parametrize(
    "word",
    [
        *("ridge-snow", "ridge-snow-update", f"{SNOW.release}-", f"{SNOW.release}-report", f"{SNOW.release}update"),
        *("stage/ridge-snow/v0.2", "staging-ridge-snow-v0-2", "staging-fjord-basin-ens-forecast-12-day-v0-4-0-update"),
        f"{SNOW.release}-updates-{CONTROLLER}",
    ],
)
def test_what_was_never_made_is_nobodys(word: str) -> None:
    assert meant_by(word, KNOWN) is None
    assert meant_by(word, {}) is None


HOSTILE = [
    *(
        "",
        "-",
        "--all",
        "../x",
        "a b",
        "a\nb",
        "$(touch x)",
        "`id`",
        "A",
        "stage/",
        "stage/x",
        "stage/x/v1/y",
        "\x1b[2J",
    ),
    *(
        "stage/ridge-snow/v0.2.0\n",
        "stage//v1",
        "pod/",
        "pod/-x",
        "job/pod/x",
        "x/y",
        "a" * 254,
        "\N{FULLWIDTH DIGIT ONE}",
    ),
    *("stage/ridge-snow/v0.2.0;id", f"secret/{SNOW.release}", "a.b", "a_b", "\ud800", "\u202ea"),
]


@pytest.mark.parametrize("word", HOSTILE)
def test_what_can_be_no_name_is_refused_in_one_line(word: str, hostile: Hostile) -> None:
    with pytest.raises(Usage, match=r"is no name of a staged version|does not name a staged version") as error:
        checked(word)
    assert str(error.value).isprintable() and len(str(error.value)) < 300
    hostile.tried("names from git", str(error.value))


@given(st.text(max_size=80) | st.from_regex(r"(stage|pod|staging)[-/a-z0-9v.]*"))
@example("stage/a/v1")
def test_a_checked_name_is_a_branch_or_a_name_that_kubernetes_takes(word: str) -> None:
    try:
        name = checked(word)
    except Usage:
        return
    assert re.fullmatch(r"[a-z0-9/.-]+", name) and word.endswith(name)


IDS = st.sampled_from(["a", "a-v1", "a-v1-update", "a-v1-v2", "a-123456", "update", "a-update-123456"])
VERSIONS = st.sampled_from(["1", "2", "1.2", "2.0"])
SUFFIXES = st.sampled_from([CONTROLLER, BY_HAND, f"{CONTROLLER}-x7z9p", f"{CONTROLLER}-3-x7z9p", "2992654x7z9p"])


@given(st.lists(st.tuples(IDS, VERSIONS), min_size=1, max_size=6, unique=True), SUFFIXES)
def test_a_made_name_means_its_own_version_or_is_refused_and_never_anothers(
    given: list[tuple[str, str]], suffix: str
) -> None:
    known = {staged: jobs(staged, ("update", "update-all")) for staged in (StagedVersion(*pair) for pair in given)}
    for staged, names in known.items():
        for name, key in names.items():
            try:
                assert meant_by(f"{name}-{suffix}", known) == (staged, key)
            except StagingError as error:
                assert isinstance(error, Usage) and staged.branch in str(error)
