"""What was staged with `kubectl apply`, before there were releases: CronJobs named `stage-<id>-v<version>-<key>`."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Refused, StagingError
from ..external import cluster as clusters
from ..model.catalogue import Dataset
from ..model.cronjob import pod_of
from ..model.settings import Settings
from ..model.staged_version import StagedVersion
from ..model.values import key_of, name_of

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


def predecessors(datasets: Iterable[Dataset], settings: Settings, say: Callable[[str], object]) -> list[Predecessor]:
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


def suspended(cronjob: Mapping[str, Any]) -> bool:
    """Whether it is called like one that was staged so, and does not fire."""
    return name_of(cronjob).startswith(START) and bool(cronjob["spec"].get("suspend"))


def check_stopped(
    cronjobs: Mapping[str, Mapping[str, Any]],
    staged: StagedVersion,
    datasets: Collection[Dataset],
    settings: Settings,
    running: Callable[[Collection[str]], Collection[str]],
) -> None:
    """No such CronJob of this version may run beside its release, nor a Job of one. `cronjobs` are the namespace's.

    A name whose id was cut may be of several datasets: then the one that its command names is meant. `running` gives
    the Jobs that run of these CronJobs; it is asked only when there are some.
    """
    own = [d for d in datasets if d.dataset_id == staged.dataset_id]
    production = tuple(f"{settings.job_prefixes.get(d.dataset_id, d.dataset_id)}-" for d in datasets)
    found = [
        name
        for name, cronjob in sorted(cronjobs.items())
        if name.startswith(START) and not name.startswith(production)
        for one in matches(name, own, settings)
        if one.version == staged.version and staged.dataset_id in _meant(one, cronjob, datasets)
    ]
    firing = [f"CronJob {name} runs" for name in found if not suspended(cronjobs[name])]
    for what in firing or [f"Job {name} runs" for name in (running(found) if found else ())]:
        raise Refused(
            f"{what}, and writes the stores of {staged.dataset_id} v{staged.version}. It looks staged with kubectl "
            f"apply. {'Suspend it first.' if firing else 'Wait for its end, or delete it.'} docs/migrating.md has all "
            "steps from it to a release."
        )


def _meant(found: Predecessor, cronjob: Mapping[str, Any], datasets: Iterable[Dataset]) -> set[str]:
    """The ids that fit the name; of several, the longest that the job itself has in its text, if one has."""
    dashed, text = found.version.replace(".", "-"), json.dumps(pod_of(cronjob["spec"]))
    ids = {d.dataset_id for d in datasets if found.name in _old_names(d.dataset_id, dashed, found.key)}
    whole = {i for i in ids if found.name == f"{START}{i}-v{dashed}-{found.key}"}
    named = sorted((i for i in ids if i in text), key=len)
    return whole or {*named[-1:]} or ids


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
        except Refused:  # `staging check` says so
            continue
    return keys
