"""Thousands of staged versions, quickly: Helm's records and the CronJobs written through the API, like a real one."""

import copy
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pykube import HTTPClient

from records import packed, unpacked
from staging_cronjobs.model import marks, values
from staging_cronjobs.model.staged_version import StagedVersion

NEVER = "0 0 29 2 *"  # nothing may fire while times are measured
AT_ONCE = 8
Object = dict[str, Any]


def write(client: HTTPClient, namespace: str, like: str, versions: Iterable[str]) -> None:
    """Releases of more versions of a dataset, like the real release of that name."""
    secrets = _listed(client, namespace, "v1", f"secrets?labelSelector=owner=helm,name={like},status=deployed")
    cronjobs = _listed(client, namespace, "batch/v1", f"cronjobs?labelSelector=staging-cronjobs/release={like}")
    content = unpacked(secrets[0])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda v: _write_one(client, namespace, secrets[0], content, cronjobs, v), versions):
            pass


def _write_one(
    client: HTTPClient, namespace: str, secret: Object, content: Object, cronjobs: list[Object], version: str
) -> None:
    old = values.parse(secret["metadata"]["labels"]["name"], content["config"])
    before, after = old.record.staged_version, StagedVersion(old.record.dataset_id, version)
    renamed = {before.release: after.release, before.branch: after.branch}
    renamed |= {job.name: after.job_name(key) for key, job in old.jobs.items()}
    renamed |= {f"v{before.version}": f"v{after.version}"}
    new = _replaced(content, renamed)
    new["version"] = 1
    new["config"]["record"]["version"] = version
    new["manifest"] = new["manifest"].replace(f'dataset-version: "{before.version}"', f'dataset-version: "{version}"')
    made = values.parse(after.release, new["config"])
    labels = {**secret["metadata"]["labels"], "name": after.release, "version": "1"}
    labels = {k: v for k, v in labels.items() if not k.startswith(marks.LABEL)} | made.release_labels
    name = f"sh.helm.release.v1.{after.release}.v1"
    record = {"type": secret["type"], "metadata": {"name": name, "labels": labels}, "data": {"release": packed(new)}}
    _create(client, namespace, "v1", "secrets", record)
    for cronjob in cronjobs:
        one = _replaced({"metadata": _own(cronjob), "spec": cronjob["spec"]}, renamed)
        one["metadata"]["labels"][f"{marks.LABEL}dataset-version"] = version
        one["spec"]["schedule"] = NEVER
        _create(client, namespace, "batch/v1", "cronjobs", one)


def _own(thing: Object) -> Object:
    return {field: copy.deepcopy(thing["metadata"][field]) for field in ("name", "labels", "annotations")}


def _replaced(value: Any, words: dict[str, str]) -> Any:
    """The same with other words in every text."""
    if isinstance(value, dict):
        return {_replaced(k, words): _replaced(v, words) for k, v in value.items()}
    if isinstance(value, list):
        return [_replaced(v, words) for v in value]
    for old, new in words.items() if isinstance(value, str) else ():
        value = value.replace(old, new)
    return value


def _listed(client: HTTPClient, namespace: str, version: str, url: str) -> list[Object]:
    answer = client.get(version=version, namespace=namespace, url=url)
    answer.raise_for_status()
    return answer.json()["items"]


def _create(client: HTTPClient, namespace: str, version: str, plural: str, thing: Object) -> None:
    answer = client.post(version=version, namespace=namespace, url=plural, json=thing)
    answer.raise_for_status()
