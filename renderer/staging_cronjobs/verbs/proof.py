"""The proof that a whole catalogue can be staged, and what of it was staged with `kubectl apply`, before releases.

Such CronJobs are named `stage-<id>-v<version>-<key>`.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from ..errors import Refused, StagingError
from ..external import cluster as clusters
from ..model.catalogue import Dataset
from ..model.settings import Settings
from ..model.staged_version import StagedVersion, numbers
from ..model.values import Record, build, key_of, name_of
from . import Say

START = "stage-"
DASHED = re.compile("[0-9]+(-[0-9]+)*")
OLD_LIMIT = 42  # a longer name may have its id cut, without a hash
PATIENCE = "--request-timeout=3s"  # a check may run before every commit


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What one such CronJob stages."""

    name: str
    dataset_id: str
    version: str
    key: str


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


def predecessors(datasets: Iterable[Dataset], settings: Settings, say: Say) -> list[Predecessor]:
    """Those in the namespace, with a notice of each. Without a kubeconfig there are none; no failure is an error."""
    datasets = list(datasets)
    try:
        # Without a namespace `connect` has to read the kubeconfig, and so finds out whether it has the context.
        cluster = clusters.connect(replace(settings, namespace=""))
        cluster = replace(cluster, namespace=settings.namespace or cluster.namespace)
    except StagingError:
        return []
    try:
        there = {name_of(c) for c in cluster.get("cronjobs", "", PATIENCE)}
    except StagingError as error:
        say(f"notice: cannot look for CronJobs that were staged with kubectl apply: {error}")
        return []
    production = {name_of(c) for d in datasets for c in d.cronjobs}
    named = {n: matches(n, datasets, settings) for n in sorted(there - production) if n.startswith(START)}
    for name, possible in named.items():
        what = ", or ".join(f"{p.key} of {p.dataset_id} v{p.version}" for p in possible)
        say(f"notice: CronJob {name}: {what or 'no dataset and job in the catalogue have this name'}")
    if named:
        say(f"notice: these look staged with kubectl apply ({cluster}). docs/migrating.md turns them into releases")
    return [p for possible in named.values() for p in possible]


def matches(name: str, datasets: Iterable[Dataset], settings: Settings) -> list[Predecessor]:
    """Every staged job that has this name; two or more make it ambiguous."""
    found = []
    for dataset in datasets:
        for key in sorted(_old_keys(dataset, settings.job_prefixes.get(dataset.dataset_id, ""))):
            dashed = name.removesuffix(f"-{key}").rpartition("-v")[2]
            if DASHED.fullmatch(dashed) and name in _old_names(dataset.dataset_id, dashed, key):
                found.append(Predecessor(name, dataset.dataset_id, dashed.replace("-", "."), key))
    return found


def _old_names(dataset_id: str, dashed: str, key: str) -> set[str]:
    """With the whole id, and with the id cut as the names of the kubectl way were."""
    room = OLD_LIMIT - len(f"{START}-v{dashed}-{key}")
    ids = {dataset_id, dataset_id[:room].rstrip("-")} if room > 0 else {dataset_id}
    return {f"{START}{part}-v{dashed}-{key}" for part in ids}


def _old_keys(dataset: Dataset, prefix: str) -> set[str]:
    keys = set()
    for cronjob in dataset.cronjobs:
        try:
            keys.add(key_of(name_of(cronjob), dataset.dataset_id, prefix))
        except Refused:  # `prove` says so
            continue
    return keys
