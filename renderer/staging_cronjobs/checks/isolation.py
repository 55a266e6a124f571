"""One writer for each store: what else in the namespace writes, and what a job may write outside of its stores."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from ..errors import Refused
from ..external import dataset_versions, kubectl
from ..external.cluster import Cluster
from ..external.git import same_repository
from ..external.main_settings import Place
from ..model import command_line, stores
from ..model.catalogue import Dataset
from ..model.cronjob import pod_of
from ..model.marks import STORES
from ..model.settings import TABLE, Settings
from ..model.values import Values, key_of, name_of
from . import staged_with_kubectl

ARCHIVER = re.compile(r"(?<![a-z])archiv")  # what a job is called that keeps what it reads, for all versions together
TWO_WRITERS = "Two writers would damage it."

Writer = tuple[str, list[str]]  # who, and its stores


def check_own(new: Values, settings: Settings) -> None:
    """Every store must have the version in its URL, or the next version would write there too."""
    version = new.record.version
    for url in new.record.stores if settings.store_isolation == "version" else ():
        if not stores.is_own(url, version):
            raise Refused(
                f"the store {url} of {new.record.dataset_id} does not have version {version} in its URL, so other "
                f"versions may write there too. Put v{version} in it, or set "
                f'store-isolation = "none" in {TABLE} if your versions are apart in another way'
            )


def check_going(cluster: Cluster, place: Place, going: Values) -> None:
    """Nothing else may write the stores of a version that is deployed and is to go on. No user code runs.

    Whether main has the version by now, only a checkout of its repository can tell.
    """
    there, facts, checkout = kubectl.everything(cluster), going.record, place.checkout
    if checkout and same_repository(checkout.repository, facts.repository):
        main = dataset_versions.on_main(checkout, [facts.template])
        if facts.version in main[facts.template].versions:
            raise Refused(
                f"{checkout.remote}/{checkout.main} has version {facts.version} of {facts.dataset_id} too, so "
                f"production writes its stores, and two writers would damage them. Take the staged version away with "
                f"`{command_line.staging('cleanup', '--promoted')}`."
            )
    check_alone(cluster, place.settings, there, (), going)


def check_alone(
    cluster: Cluster,
    settings: Settings,
    cronjobs: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[Dataset],
    new: Values,
) -> None:
    """Nothing else in the namespace, whose CronJobs these are, may write one of the stores, or in one, or around one.

    Raises `Refused` for a release that does not say where it writes.
    """
    for who, theirs in chain(_writers(cluster, settings, cronjobs, datasets, new), _named(new, cronjobs.values())):
        if url := stores.first_shared(new.record.stores, theirs):
            raise Refused(f"{who} writes {url} too. {TWO_WRITERS} Remove one of them first, or use another store.")


def _writers(
    cluster: Cluster,
    settings: Settings,
    cronjobs: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[Dataset],
    new: Values,
) -> Iterator[Writer]:
    """What writes in the namespace beside this version: other releases, and the datasets that production runs."""
    release = new.record.staged_version.release
    for name, cronjob in sorted(cronjobs.items()):
        other = kubectl.release_of(cronjob)
        if other and other != release and kubectl.owner(cronjob) == (other, cluster.namespace):
            yield f"CronJob {name} of release {other}", _recorded(name, cronjob)
    for dataset in datasets:
        start = settings.job_prefixes.get(dataset.dataset_id, dataset.dataset_id)
        names = [name for name in cronjobs if name.startswith(f"{start}-")]
        if names and dataset.dataset_id != new.record.dataset_id:
            yield f"production's CronJob {min(names)} of dataset {dataset.dataset_id}", dataset.stores


def _named(new: Values, cronjobs: Iterable[Mapping[str, Any]]) -> Iterator[Writer]:
    """The CronJobs of no release that name one of the stores in their command or variables: production's, that is."""
    for cronjob in cronjobs:
        if not kubectl.release_of(cronjob) and not staged_with_kubectl.suspended(cronjob):
            texts = [*_texts(pod_of(cronjob["spec"]))]
            found = [url for url in new.record.stores if any(stores.named_in(url, text) for text in texts)]
            yield f"production's CronJob {name_of(cronjob)}", found


def _texts(value: Any) -> Iterator[str]:
    """All texts within what JSON can hold."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def archivers(new: Values) -> list[str]:
    """One sentence for each job that by its name writes outside of the stores."""
    return [
        f"{key} may write outside of this version's stores, where production's job writes too: its name or command "
        f'says that it archives. If so, leave it out: skip-jobs = ["{key}"] in {TABLE}'
        for key, job in new.jobs.items()
        if _archives(key, job.spec)
    ]


def archiving(datasets: Iterable[Dataset], settings: Settings) -> tuple[str, str] | None:
    """What to know of jobs that by their name write outside of the stores, and the setting that leaves them out."""
    keys = sorted({key for dataset in datasets if dataset.version for key in _archiving(dataset, settings)})
    if not keys:
        return None
    text = (
        f"{', '.join(keys)} may write outside of a version's stores, where production's job writes too. If so, leave "
        f"them out in {TABLE}"
    )
    return text, f"skip-jobs = {json.dumps([*settings.skip_jobs, *keys], ensure_ascii=False)}"


def _archiving(dataset: Dataset, settings: Settings) -> list[str]:
    prefix = settings.job_prefixes.get(dataset.dataset_id, "")
    keyed = ((_key(name_of(c), dataset.dataset_id, prefix), c["spec"]) for c in dataset.cronjobs)
    return [key for key, spec in keyed if key and key not in settings.skip_jobs and _archives(key, spec)]


def _key(name: str, dataset_id: str, prefix: str) -> str:
    try:
        return key_of(name, dataset_id, prefix)
    except Refused:  # `staging check` says so
        return ""


def _archives(key: str, spec: Mapping[str, Any]) -> bool:
    return any(ARCHIVER.search(text) for text in (key, *_commands(pod_of(spec))))


def _recorded(name: str, cronjob: Mapping[str, Any]) -> list[str]:
    text = (cronjob["metadata"].get("annotations") or {}).get(STORES, "")  # the chart always writes it
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(url, str) for url in found):
        raise Refused(
            f"CronJob {name} does not say where it writes: its annotation {STORES} is missing, or is no list of "
            "stores. So it may write the same. Deploy its version again, or delete that CronJob."
        )
    return found


def _commands(pod: Mapping[str, Any]) -> Iterator[str]:
    for container in pod["containers"]:
        yield from container.get("command") or ()
        yield from container.get("args") or ()
