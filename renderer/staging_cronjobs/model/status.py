"""How staged versions and their jobs stand: what `staging status` finds out, as plain facts."""

from dataclasses import dataclass
from datetime import datetime

from .runs import Run
from .staged_version import numbers

UNKNOWN = "unknown"  # it could not be asked
UNREADABLE = "unreadable"  # main has something for this dataset, and its version cannot be told


@dataclass(frozen=True)
class Problem:
    """What is not as it should be, in words, and the commands that mend it or show more."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobStanding:
    """One job of a staged version, and its CronJob."""

    key: str
    name: str
    schedule: str
    time_zone: str | None
    suspended: bool | None  # None: its CronJob is missing
    last_success: str | None  # a timestamp; None: none is known
    last_failure: Run | None  # of the Jobs that still exist
    running: tuple[Run, ...]
    next_fire: datetime | None  # None: suspended, or it cannot be told
    monitor: str  # empty: not asked; `none`, or Sentry's words
    known: bool  # False: its Jobs could not be listed
    paused: bool = False  # alone, whatever its version is


@dataclass(frozen=True)
class Standing:
    """One staged version."""

    release: str
    status: str  # Helm's word; `unproven`, or `not deployed` for a branch without a release
    dataset_id: str = ""
    version: str = ""
    paused: bool = False
    revision: int = 0
    created: str = ""  # its first CronJob
    updated: str = ""  # its newest revision
    repository: str = ""
    ours: bool = False  # whether it is of this checkout's repository
    branch: str = ""
    commit: str = ""
    actor: str = ""  # who deployed it
    subject: str = ""  # of the commit
    run: str = ""  # the workflow run that deployed it: an https address
    stagger: int = 0  # minutes by which its schedules were moved
    head: str | None = UNKNOWN  # the commit of the branch; None: it is gone
    behind: int | None = None  # how many commits of main it lacks; None: unknown
    main: str | None = UNKNOWN  # main's version; None: main does not have the dataset
    jobs: tuple[JobStanding, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()  # what is right so, and worth knowing

    @property
    def clean_commit(self) -> str:
        """The commit that was deployed, without the mark of uncommitted changes."""
        return self.commit.removesuffix("-dirty")

    @property
    def legacy(self) -> bool:
        """Whether main has a newer version."""
        return numbers(self.main or "") > numbers(self.version)
