"""What must hold before a deploy, and the proof that a whole catalogue can be staged. Nothing here asks the outside."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .catalogue import Dataset
from .errors import Refused, StagingError
from .objects import owner
from .predecessors import Predecessor
from .releases import Release
from .settings import Settings
from .staged_version import StagedVersion
from .values import Record, build, key_of, name_of


def check_template(dataset: Dataset, staged: StagedVersion) -> str:
    """The template's path, when the code on this branch has the version that the branch names."""
    if dataset.version is None or dataset.template_path is None:
        raise Refused(f"dataset {dataset.dataset_id} has no version and template: it cannot be staged")
    if dataset.version != staged.version:
        raise Refused(
            f"the template of {dataset.dataset_id} is at version {dataset.version}, not {staged.version}: "
            f"set it to {staged.version}, or push to {StagedVersion(dataset.dataset_id, dataset.version).branch}"
        )
    return dataset.template_path


def check_main(staged: StagedVersion, main: str, version: str | None) -> None:
    """Main must not have this version itself: production and the staged version would write the same stores."""
    if version == staged.version:
        raise Refused(
            f"{main} has version {version} of {staged.dataset_id} too: production already runs it; "
            "stage another version"
        )


def check_new(staged: StagedVersion, main: str, elsewhere: Collection[str], production: Collection[str]) -> None:
    """A dataset that main does not have must really be new: not moved, and not running in production."""
    if elsewhere:
        raise Refused(
            f"{main} has {staged.dataset_id} elsewhere, in {min(elsewhere)}: its version cannot be compared; "
            "move the template on main first, or back on this branch"
        )
    if production:
        raise Refused(
            f"{main} has no template of {staged.dataset_id}, yet its CronJob {min(production)} is in the namespace: "
            "production runs a version that cannot be compared; put its template on main first"
        )


def check_identity(release: Release | None, record: Record) -> None:
    """An existing release of this name must be of the same staged version, or its jobs would be pruned."""
    if release is None:
        return
    theirs, ours = ((r.repository, r.dataset_id, r.version) for r in (release.values.record, record))
    if theirs != ours:
        raise Refused(
            f"release {release.name} belongs to {theirs[1]} v{theirs[2]} of {theirs[0]}, "
            f"not to {ours[1]} v{ours[2]} of {ours[0]}: clean that one up first, or use another version or namespace"
        )


def check_free(foreign: Mapping[str, Mapping[str, Any]], release: str) -> None:
    """No CronJob of somebody else may have the name of a job: it would be overwritten."""
    if not foreign:
        return
    maker = owner(foreign[name := min(foreign)])[0]
    raise Refused(
        f"CronJob {name} is there already and {f'belongs to release {maker}' if maker else 'is not from Helm'}: "
        f"release {release} would overwrite it; delete or rename it first"
    )


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
    *rest, last = version.split(".")
    return ".".join([*rest, str(int(last) + 1)])


def _versions(dataset: Dataset) -> list[str | None]:
    version = dataset.version
    return [version, next_version(version)] if version and version.split(".")[-1].isdecimal() else [version]


def _verdict(dataset: Dataset, version: str | None, settings: Settings) -> Verdict:
    if version is None:
        return Verdict(dataset.dataset_id, None, absent="it has no version")
    prefix = settings.job_prefixes.get(dataset.dataset_id, "")
    try:
        staged = StagedVersion(dataset.dataset_id, version)
        if all(key_of(name_of(c), dataset.dataset_id, prefix) in settings.skip_jobs for c in dataset.cronjobs):
            absent = "it has no jobs" + (" that are not skipped" if dataset.cronjobs else "")
            return Verdict(dataset.dataset_id, version, staged.release, absent=absent)
        new = build(dataset, _record(staged), skip=settings.skip_jobs, prefix=prefix, namespace=settings.namespace)
        return Verdict(dataset.dataset_id, version, staged.release, {key: job.name for key, job in new.jobs.items()})
    except StagingError as error:
        return Verdict(dataset.dataset_id, version, problem=str(error))


def _record(staged: StagedVersion) -> Record:
    """The record of a staged version that is only tried."""
    return Record(
        repository="",
        dataset_id=staged.dataset_id,
        version=staged.version,
        branch=staged.branch,
        commit="",
        image="",
        template_path="",
        stores=[],
    )


def _without_collision(verdict: Verdict, makers: dict[str, str]) -> Verdict:
    us = f"{verdict.dataset_id} v{verdict.version}"
    for name in (*verdict.jobs.values(), verdict.release):
        if name and (other := makers.setdefault(name, us)) != us:
            return Verdict(verdict.dataset_id, verdict.version, problem=f"its name {name} is also that of {other}")
    return verdict
