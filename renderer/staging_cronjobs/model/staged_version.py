"""The identity of a staged version, and every name that follows from it.

Names are made here and nowhere else, and nobody reads an identity back out of one: it is stored.
"""

import re
from dataclasses import dataclass

from ..errors import Refused, Usage

DATASET_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
KEY = DATASET_ID
BRANCH = re.compile(rf"stage/(?P<dataset_id>{DATASET_ID.pattern})/v(?P<version>{VERSION.pattern})")

ID_LIMIT = 63  # a label value (Kubernetes) and a DNS label
VERSION_LIMIT = 63  # a label value
RELEASE_LIMIT = 53  # Helm's own limit of a release name
JOB_LIMIT = 50  # Sentry cuts a monitor's slug at 50; a CronJob may have 52 (Kubernetes)
POD_LIMIT = 63  # an Indexed pod's host name, "<cronjob>-<8 digits>-<index>", is a DNS label
JOB_SUFFIX = 9  # "-" and the minutes since 1970, which the CronJob controller appends
SHARED_CUT = 8  # keys up to this long ("update", "validate") are cut at one place and share a prefix
DIGEST = 6  # characters of the id's hash in a name that was cut: 30 bits
SHOWN = 80  # characters of a wrong word that a message has


@dataclass(frozen=True, slots=True)
class StagedVersion:
    """One version of one dataset. Raises `Usage` for a malformed id or version."""

    dataset_id: str
    version: str

    def __post_init__(self) -> None:
        check_dataset_id(self.dataset_id)
        if not VERSION.fullmatch(self.version):
            raise Usage(
                f"version {shown(self.version)} is not usable: it must be numbers joined by dots, such as 0.3.0"
            )
        if (length := len(self.version)) > VERSION_LIMIT:
            raise Usage(
                f"version {shown(self.version)} has {length} characters: {VERSION_LIMIT} at most (a label's value); "
                "shorten it"
            )

    @classmethod
    def from_branch(cls, branch: str) -> "StagedVersion":
        """The staged version of a branch named `stage/<dataset id>/v<version>`. Nothing is guessed."""
        match = BRANCH.fullmatch(branch)
        if not match:
            raise Usage(
                f"branch {shown(branch)} does not name a staged version: it must be stage/<dataset id>/v<version>, "
                "such as stage/noaa-gfs-forecast/v0.3.0"
            )
        return cls(match["dataset_id"], match["version"])

    @property
    def branch(self) -> str:
        """The branch whose pushes deploy this version."""
        return f"stage/{self.dataset_id}/v{self.version}"

    @property
    def release(self) -> str:
        """The Helm release, 53 characters at most. Raises `Refused` when the version alone is too long."""
        room = RELEASE_LIMIT - len(self._around(""))
        return self._around(self._cut_id(room, "the release", RELEASE_LIMIT, "(Helm)"))

    def offset(self, most: int) -> int:
        """Minutes from 1 to `most` that are always the same for this staged version; 0 when `most` is 0."""
        from hashlib import sha256

        return 1 + int.from_bytes(sha256(self.branch.encode()).digest()[:8]) % most if most else 0

    def job_name(self, key: str, workers: int = 1) -> str:
        """The name of the job `key`: 50 characters at most, fewer for an Indexed job of over 1,000 workers.

        Raises `Refused` for a key that could be read as part of the id or version, or that cannot fit.
        """
        self._check_key(key)
        rest = len(self._around("")) + 1
        limit, why = JOB_LIMIT, "(Sentry cuts a longer monitor slug)"
        room = limit - rest - max(len(key), SHARED_CUT)  # short keys count as SHARED_CUT long: one cut for all
        if (fewer := job_limit(workers)) - rest - len(key) < room:
            limit, why = fewer, f"with {workers} Indexed workers (a pod's host name has {POD_LIMIT})"
            room = limit - rest - len(key)
        return f"{self._around(self._cut_id(room, f'job {key!r}', limit, why, key))}-{key}"

    def could_be_named(self, key: str, name: str) -> bool:
        """Whether a job `key` of this staged version can have had this name, with however many workers."""
        for workers in (1, *(10**digits + 1 for digits in range(3, 10))):  # a digit more, a character less
            try:
                if self.job_name(key, workers) == name:
                    return True
            except Refused:  # a key that none has, or no room for that many
                return False
        return False

    def _around(self, dataset_id: str) -> str:
        return f"staging-{dataset_id}-v{self.version.replace('.', '-')}"

    def _cut_id(self, room: int, what: str, limit: int, why: str, key: str = "") -> str:
        if len(self.dataset_id) <= room:
            return self.dataset_id
        stem = room - DIGEST - 1
        if stem < 1:
            excess = min(len(self.dataset_id), DIGEST + 2) - room
            if len(key) - excess >= SHARED_CUT:  # a shorter one gains nothing by being shorter still
                remedy = "key"
            else:
                remedy = "version" if len(self.version) > excess else "key and version together"
            counted = f" and its key counted as {SHARED_CUT}" if 0 < len(key) < SHARED_CUT else ""
            raise Refused(
                f"{what} of {self.dataset_id} v{self.version} cannot get a name. With the dataset id at its "
                f"shortest{counted}, it has {limit + excess} characters: {limit} at most {why}; "
                f"shorten the {remedy} by {excess}"
            )
        return f"{self.dataset_id[:stem].rstrip('-')}-{digest(self.dataset_id)}"

    def _check_key(self, key: str) -> None:
        segments = key.split("-")
        if not KEY.fullmatch(key):
            reason = "it must be lower-case letters and digits with single dashes inside"
        elif segments[0].isdigit():
            reason = "it begins with a number, which would read as part of the version"
        elif blur := next((s for s in segments if re.fullmatch("v[0-9]+", s)), None):
            reason = f"its part {blur!r} would read as the version"
        else:
            return
        raise Refused(f"job key {shown(key)} of {self.dataset_id} is not usable: {reason}; rename the job")


def check_dataset_id(dataset_id: str) -> None:
    """Raises `Usage` for what no dataset can be called."""
    if not DATASET_ID.fullmatch(dataset_id) or len(dataset_id) > ID_LIMIT:
        raise Usage(
            f"dataset id {shown(dataset_id)} is not usable: it must be lower-case letters and digits "
            f"with single dashes inside, {ID_LIMIT} characters at most"
        )


def job_limit(workers: int) -> int:
    """How long the name of a job may be whose last Indexed pod is number `workers - 1`."""
    return min(JOB_LIMIT, POD_LIMIT - JOB_SUFFIX - 1 - len(str(max(workers, 1) - 1)))


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare; none for what is no version."""
    usable = VERSION.fullmatch(version) and len(version) <= VERSION_LIMIT
    return tuple(map(int, version.split("."))) if usable else ()


def shown(word: str) -> str:
    """A word for a sentence: in quotes, and not too long."""
    return repr(word) if len(word) <= SHOWN else f"{word[:SHOWN]!r}…"


def digest(dataset_id: str) -> str:
    """The first characters of the lower-case base32 sha256 of the whole id."""
    from base64 import b32encode
    from hashlib import sha256

    return b32encode(sha256(dataset_id.encode()).digest()).decode().lower()[:DIGEST]
