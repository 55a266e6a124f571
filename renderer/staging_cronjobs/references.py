"""What the pods of a release need from its namespace, and what they would share with production's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .cluster import Cluster, plain
from .values import Values

KINDS = {
    "secret": "Secret",
    "configmap": "ConfigMap",
    "serviceaccount": "ServiceAccount",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "priorityclass": "PriorityClass",
}
# The fields of a pod's spec that name another object, wherever they stand.
FIELDS = {
    "secretKeyRef": "secret",
    "secretRef": "secret",
    "secret": "secret",
    "nodePublishSecretRef": "secret",
    "azureFile": "secret",
    "imagePullSecrets": "secret",
    "configMapKeyRef": "configmap",
    "configMapRef": "configmap",
    "configMap": "configmap",
    "serviceAccountName": "serviceaccount",
    "serviceAccount": "serviceaccount",
    "persistentVolumeClaim": "persistentvolumeclaim",
    "priorityClassName": "priorityclass",
}
CANNOT = re.compile(r'cannot get resource "(\w+)"')
Reference = tuple[str, str]  # kind, as in KINDS, and name


def missing(cluster: Cluster, new: Values) -> list[str]:
    """One sentence for each thing that jobs name and the namespace does not have, or that could not be looked for."""
    wanted: dict[Reference, list[str]] = {}
    for key, job in new.jobs.items():
        for reference in sorted(set(of(_pod(job.spec)))):
            wanted.setdefault(reference, []).append(key)
    if not wanted:
        return []
    # Only names come out of it: what is in a Secret is nobody's business here.
    names = (f"{kind}/{name}" for kind, name in sorted(wanted))
    result = cluster.kubectl("get", *names, "--ignore-not-found", "-o", "name", check=False)
    barred = sorted(set(CANNOT.findall(result.stderr)))
    if result.code and not barred:
        return [f"what the jobs refer to could not be looked for: {plain(result)}"]
    lines = (line.partition("/") for line in result.stdout.split())
    where = f"namespace {cluster.namespace}"
    there = {(kind.partition(".")[0], name) for kind, _, name in lines}
    found = [
        f"{KINDS[kind]} {name} is not in {where}: the pods of {', '.join(keys)} will not start without it"
        for (kind, name), keys in sorted(wanted.items())
        if (kind, name) not in there and not any(resource.startswith(kind) for resource in barred)
    ]
    if barred:
        found.append(
            f"whether the {', '.join(barred)} that jobs refer to exist is unknown: the account may not get them"
        )
    return found


def shared(new: Values, production: Mapping[str, str]) -> list[str]:
    """One sentence for each thing that a job would share with production, whose jobs' names are given by key."""
    found = []
    names = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, production.values()))})(?![\w-])")
    for key, job in new.jobs.items():
        pod = _pod(job.spec)
        containers = [*pod.get("initContainers", ()), *pod["containers"]]
        claims = sorted({name for kind, name in of(pod) if kind == "persistentvolumeclaim"})
        ports = sorted({p["hostPort"] for c in containers for p in c.get("ports", ()) if p.get("hostPort")})
        places = {place for c in containers for place, text in _texts(c) if production and names.search(text)}
        found += [f"{key} mounts PersistentVolumeClaim {name}, as production does" for name in claims]
        found += [f"{key} takes port {port} of its node, as production does" for port in ports]
        found += [f"{key} has the name of production's job in {place}" for place in sorted(places)]
    return found


def of(value: Any) -> Iterator[Reference]:
    """Everything that pods with this spec cannot start without; what is marked `optional` is left out."""
    for field, inner in value.items() if isinstance(value, Mapping) else ():
        for source in inner if isinstance(inner, list) else [inner]:
            if field in FIELDS and (name := _name(source)):
                yield FIELDS[field], name
            yield from of(source)


def _name(source: Any) -> str | None:
    if not isinstance(source, Mapping):
        return source
    names = (source.get(field) for field in ("secretName", "claimName", "name"))
    return None if source.get("optional") else next(filter(None, names), None)


def _texts(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a job's name may stand; CRON_JOB_NAME is the chart's."""
    for field in ("command", "args"):
        yield from ((field, text) for text in container.get(field, ()))
    for entry in container.get("env", ()):
        if entry["name"] != "CRON_JOB_NAME":
            yield entry["name"], entry.get("value", "")


def _pod(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return spec["jobTemplate"]["spec"]["template"]["spec"]
