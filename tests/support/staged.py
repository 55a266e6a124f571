"""Staged versions made quickly: what `staging deploy` leaves behind, without asking any dataset's code."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from catalogues import cron_job
from live import IMAGE, RUN_SECONDS, Namespace, Staging
from repositories import Repository
from sentry_server import CONFIG, Project, SentryServer
from staging_cronjobs.model import values
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Record, Values

CHART = Path(__file__).parents[2] / "charts" / "staging-cronjobs"
OWNER = "dynamical-demo/weather"
KEYS = ("update", "validate")


@dataclass(frozen=True)
class Place:
    """Where staged versions are made: the program, its namespace, and the repository that it is run in."""

    staging: Staging
    live: Namespace
    repository: Repository


def install(
    staging: Staging,
    repository: Repository,
    staged: StagedVersion,
    keys: Iterable[str] = KEYS,
    *,
    owner: str = OWNER,
    seconds: int = 0,
) -> Values:
    """Helm's release of a staged version with jobs that never fire by themselves and run for `seconds`."""
    jobs = [cron_job(f"{staged.dataset_id}-{key}") for key in keys]
    for job in jobs:
        job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {RUN_SECONDS: str(seconds)}}
    dataset = Dataset(dataset_id=staged.dataset_id, version=staged.version, cronjobs=jobs)
    record = Record(
        repository=owner,
        dataset_id=staged.dataset_id,
        version=staged.version,
        branch=staged.branch,
        commit=repository.git("rev-parse", "main"),
        image=IMAGE,
        template_path=repository.template_path(staged.dataset_id),
        stores=[f"s3://weather-data/{staged.dataset_id}/v{staged.version}.icechunk"],
    )
    made = values.build(dataset, record)
    marks = ",".join(f"{label}={value}" for label, value in made.release_labels.items())
    command = ("upgrade", "--install", staged.release, str(CHART), "-f", "-", "--labels", marks)
    done = staging.tool("helm", *command, given=values.dump(made))
    assert done.code == 0, done.stderr
    return made


def push(repository: Repository, staged: StagedVersion) -> str:
    """A stage branch at main's commit; gives the commit."""
    repository.git("push", "--quiet", "origin", f"main:refs/heads/{staged.branch}")
    return repository.git("rev-parse", "main")


def push_other(repository: Repository, staged: StagedVersion) -> str:
    """Another commit on the stage branch, whatever it is at; gives the commit."""
    commit = repository.git("commit-tree", "-m", "Change", "-p", "main", "main^{tree}")
    repository.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{staged.branch}")
    return commit


@dataclass(frozen=True)
class Sentry:
    """A Sentry with one project, and someone's right to its monitors."""

    server: SentryServer
    project: Project
    token: str

    @property
    def settings(self) -> dict[str, str]:
        """What `staging` needs in its environment to find it, without a token."""
        names = {"SENTRY_ORG": self.server.organization, "SENTRY_PROJECT": self.project.slug}
        return {"SENTRY_URL": self.server.url, **names}

    @property
    def environment(self) -> dict[str, str]:
        """All that `staging` needs in its environment."""
        return {**self.settings, "SENTRY_AUTH_TOKEN": self.token}

    def check_in(self, *slugs: str) -> None:
        """Every job reports once, as it does at its start: that makes its monitor."""
        for slug in slugs:
            self.server.check_in(slug, self.project, CONFIG)

    def slugs(self) -> list[str]:
        """The monitors that the project has."""
        return self.server.slugs(self.project)

    def deleted(self) -> list[str]:
        """The paths that someone asked it to delete."""
        return [request.path for request in self.server.asked("DELETE")]


def names(staged: StagedVersion, keys: Iterable[str] = KEYS) -> list[str]:
    """The CronJobs, and so the monitors, of a staged version."""
    return [staged.job_name(key) for key in keys]
