"""`staging check`: whether each dataset of a catalogue can be staged."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from ..checks.staged_with_kubectl import Predecessor
from ..errors import StagingError
from ..model.catalogue import Dataset
from ..model.settings import Settings
from ..model.staged_version import StagedVersion, numbers
from ..model.values import Record, build, key_of, name_of


@dataclass(frozen=True)
class Verdict:
    """Whether one dataset of a catalogue can be staged at a version."""

    dataset_id: str
    version: str | None
    release: str = ""
    jobs: dict[str, str] = field(default_factory=dict)  # key -> name
    absent: str = ""  # why there is nothing to stage, which is nobody's mistake
    problem: str = ""  # what must be mended before it can be staged
    kubectl_cronjobs: list[Predecessor] = field(default_factory=list)  # of any version of this dataset


def prove(datasets: Iterable[Dataset], settings: Settings, predecessors: Collection[Predecessor] = ()) -> list[Verdict]:
    """Every dataset at its present and its next version: its names, or why it cannot be staged."""
    datasets = list(datasets)
    verdicts = [_verdict(d, v, settings) for d in datasets for v in _versions(d)]
    makers: dict[str, str] = {name_of(c): f"the production job of {d.dataset_id}" for d in datasets for c in d.cronjobs}
    verdicts = [_without_collision(verdict, makers) for verdict in verdicts]
    return [replace(v, kubectl_cronjobs=[p for p in predecessors if p.dataset_id == v.dataset_id]) for v in verdicts]


def next_version(version: str) -> str:
    """The version with its last number raised by one."""
    rest, dot, last = version.rpartition(".")
    return f"{rest}{dot}{int(last) + 1}"


def _versions(dataset: Dataset) -> list[str | None]:
    version = dataset.version
    return [version, next_version(version)] if version and numbers(version) else [version]


def _verdict(dataset: Dataset, version: str | None, settings: Settings) -> Verdict:
    if version is None:
        return Verdict(dataset.dataset_id, None, absent="it has no version")
    prefix = settings.job_prefixes.get(dataset.dataset_id, "")
    try:
        staged = StagedVersion(dataset.dataset_id, version)
        if all(key_of(name_of(c), dataset.dataset_id, prefix) in settings.skip_jobs for c in dataset.cronjobs):
            absent = "it has no jobs" + (" that are not skipped" if dataset.cronjobs else "")
            return Verdict(dataset.dataset_id, version, staged.release, absent=absent)
        new = build(
            dataset,
            _record(staged, dataset.stores),
            skip=settings.skip_jobs,
            prefix=prefix,
            namespace=settings.namespace,
        )
        return Verdict(dataset.dataset_id, version, staged.release, {key: job.name for key, job in new.jobs.items()})
    except StagingError as error:
        return Verdict(dataset.dataset_id, version, problem=str(error))


def _record(staged: StagedVersion, stores: list[str]) -> Record:
    """The record of a staged version that is only tried."""
    return Record(
        repository="",
        dataset_id=staged.dataset_id,
        version=staged.version,
        branch=staged.branch,
        commit="",
        image="",
        template_path="",
        stores=stores,
    )


def _without_collision(verdict: Verdict, makers: dict[str, str]) -> Verdict:
    us = f"{verdict.dataset_id} v{verdict.version}"
    for name in (*verdict.jobs.values(), verdict.release):
        if name and (other := makers.setdefault(name, us)) != us:
            return Verdict(verdict.dataset_id, verdict.version, problem=f"its name {name} is also that of {other}")
    return verdict
