"""What must hold before a deploy, and what is only warned of: what the pods would miss, or share with production."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..errors import Refused
from ..external import dataset_versions
from ..external.cluster import Cluster, plain
from ..external.git import Checkout
from ..model.catalogue import Dataset
from ..model.cronjob import pod_of
from ..model.settings import Settings
from ..model.staged_version import StagedVersion
from ..model.values import Values

# The fields of a pod's spec that name another object, wherever they stand: those with that object's name alone, ...
BARE = {
    "serviceAccountName": "ServiceAccount",
    "serviceAccount": "ServiceAccount",
    "priorityClassName": "PriorityClass",
}
# ... and those with one object, or several, that have it.
FIELDS = {
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
    "secret": "Secret",
    "nodePublishSecretRef": "Secret",
    "azureFile": "Secret",
    "imagePullSecrets": "Secret",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMap": "ConfigMap",
    "persistentVolumeClaim": "PersistentVolumeClaim",
}
# Their keys are anybody's own words.
FREE = frozenset({"nodeSelector", "matchLabels", "volumeAttributes", "options", "labels", "annotations"})
TRACKERS = ("argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")  # of others
TRACKING_LABEL = "app.kubernetes.io/instance"  # Argo CD's, where it goes by a label and no other one is set
STARTING, PULLING = "will not start without it", "may not pull their images"
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")  # no object has another, whatever kubectl makes of it
CANNOT = re.compile(r'cannot get resource "(\w+)"')
SHOWN = 3  # files that a sentence names
Reference = tuple[str, str, str]  # kind, name, and what the pods do without it


def check_committed(checkout: Checkout, *, allow_dirty: bool) -> None:
    """What runs must be what the recorded commit has; with `allow_dirty` the record says that it is not."""
    if allow_dirty or not (changed := checkout.uncommitted):
        return
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    raise Refused(
        f"{', '.join(changed[:SHOWN])}{more} in {checkout.folder}: not committed, so commit {checkout.head()[:12]} is "
        "not what would be deployed. Commit and push, or pass --allow-dirty."
    )


def check_place(own: Settings, main: Settings, where: str) -> None:
    """A deploy goes where main's settings say, or a cleanup, which goes by those, would never find it."""
    for name in ("namespace", "kube_context", "repository"):
        here, there = getattr(own, name), getattr(main, name)
        if here and here != there:
            setting = name.replace("_", "-")
            raise Refused(
                f"{setting} is {here!r} in this branch's pyproject.toml, and {repr(there) if there else 'not set'} on "
                f"{where}. A cleanup would look in the wrong place. Change it on {where} first, or remove it here."
            )


def check_template(dataset: Dataset, staged: StagedVersion, checkout: Checkout) -> str:
    """The template's path, when both the code and the template on this branch have the version that it names."""
    needed = (source := dataset_versions.source_of(checkout)) is None or source.needs_template
    if dataset.version is None or (needed and dataset.template_path is None):
        raise Refused(f"dataset {dataset.dataset_id} has no version and template. It cannot be staged.")
    _check_version(dataset.version, staged, "the code")
    version, where = dataset_versions.in_tree(checkout, dataset.template_path, staged.dataset_id)
    _check_version(version, staged, where)
    return dataset.template_path or ""


def _check_version(version: str, staged: StagedVersion, where: str) -> None:
    if version != staged.version:
        raise Refused(
            f"the template of {staged.dataset_id} is at version {version}, not {staged.version}, in {where}. "
            f"Set it to {staged.version}, or push to {StagedVersion(staged.dataset_id, version).branch}."
        )


def check_main(staged: StagedVersion, main: str, version: str | None) -> None:
    """Main must not have this version itself: production and the staged version would write the same stores."""
    if version == staged.version:
        raise Refused(
            f"{main} has version {version} of {staged.dataset_id} too: production already runs it. "
            "Stage another version."
        )


def check_new(staged: StagedVersion, main: str, elsewhere: Collection[str], production: Collection[str]) -> None:
    """A dataset that main does not have must really be new: not moved, and not running in production."""
    if elsewhere:
        raise Refused(
            f"{main} has {staged.dataset_id} elsewhere, in {min(elsewhere)}: its version cannot be compared. "
            "Move the template on main first, or back on this branch."
        )
    if production:
        raise Refused(
            f"{main} has no template of {staged.dataset_id}, yet its CronJob {min(production)} is in the namespace: "
            "production runs a version that cannot be compared. Put its template on main first."
        )


def missing(cluster: Cluster, new: Values) -> list[str]:
    """One sentence for each thing that jobs name and the namespace does not have, or that could not be looked for."""
    wanted: dict[Reference, list[str]] = {}
    found: list[str] = []
    for key, job in new.jobs.items():
        for kind, name, effect in sorted(set(of(pod_of(job.spec)))):
            if NAME.fullmatch(name):
                wanted.setdefault((kind, name, effect), []).append(key)
            else:
                found.append(f"no {kind} can have the name {name!r}: the pods of {key} {effect}")
    if not wanted:
        return found
    # Only names come out of it: what is in a Secret is nobody's business here.
    names = sorted({f"{kind.lower()}/{name}" for kind, name, _ in wanted})
    result = cluster.kubectl("get", "--ignore-not-found", "-o", "name", "--", *names, check=False)
    barred = sorted(set(CANNOT.findall(result.stderr)))
    if result.code and not barred:
        return [*found, f"cannot look for what the jobs refer to: {plain(result)}"]
    lines = (line.partition("/") for line in result.stdout.split())
    where = f"namespace {cluster.namespace}"
    there = {(kind.partition(".")[0], name) for kind, _, name in lines}
    found += [
        f"{kind} {name} is not in {where}: the pods of {', '.join(keys)} {effect}"
        for (kind, name, effect), keys in sorted(wanted.items())
        if (kind.lower(), name) not in there and not any(resource.startswith(kind.lower()) for resource in barred)
    ]
    if barred:
        found.append(
            f"cannot check whether the {', '.join(barred)} that jobs refer to exist: the account may not get them"
        )
    return found


def tracked(new: Values) -> list[str]:
    """One sentence for each mark by which another tool takes a job for its own."""
    found = []
    for key, job in new.jobs.items():
        marks = sorted(mark for mark in {**job.labels, **job.annotations} if mark.startswith(TRACKERS))
        marks += [TRACKING_LABEL] if TRACKING_LABEL in job.labels else []
        found += [
            f"{key} carries {mark}: the tool that set it may change or delete the staged job. Leave it out of the "
            "dataset's own object"
            for mark in marks
        ]
    return found


def shared(new: Values, production: Mapping[str, str]) -> list[str]:
    """One sentence for each thing that a job would share with production, whose jobs' names are given by key."""
    found = []
    names = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, production.values()))})(?![\w-])")
    for key, job in new.jobs.items():
        pod = pod_of(job.spec)
        containers = [*(pod.get("initContainers") or ()), *pod["containers"]]
        claims = sorted({name for kind, name, _ in of(pod) if kind == "PersistentVolumeClaim"})
        # In its node's network a container's port is the node's: the API server says so too, by default.
        own = pod.get("hostNetwork")
        given = (port for c in containers for port in c.get("ports") or ())
        ports = sorted({taken for p in given if (taken := p.get("hostPort") or (own and p.get("containerPort")))})
        texts = [text for c in containers for text in _texts(c)] if production else []
        places = {(match[0], place) for place, text in texts for match in names.finditer(text)}
        found += [f"{key} mounts PersistentVolumeClaim {name}, as production does" for name in claims]
        found += [f"{key} takes port {port} of its node, as production does" for port in ports]
        found += [f"{key} has {name}, the name of production's job, in {place}" for name, place in sorted(places)]
    return found


def of(value: Any) -> Iterator[Reference]:
    """Everything that pods with this spec need from others; what is marked `optional` is left out."""
    for field, inner in value.items() if isinstance(value, Mapping) else ():
        if field in BARE and inner:
            yield BARE[field], inner, STARTING
        for source in inner if isinstance(inner, list) else [inner]:
            if field not in FREE and isinstance(source, Mapping):
                if field in FIELDS and (name := _name(source)):
                    yield FIELDS[field], name, PULLING if field == "imagePullSecrets" else STARTING
                yield from of(source)


def _name(source: Mapping[str, Any]) -> str | None:
    names = (source.get(field) for field in ("secretName", "claimName", "name"))
    return None if source.get("optional") else next(filter(None, names), None)


def _texts(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a job's name may stand, and how to do without it; CRON_JOB_NAME itself is the chart's."""
    for field in ("command", "args"):
        yield from ((f"{field}: use $(CRON_JOB_NAME)", text) for text in container.get(field) or ())
    for entry in container.get("env") or ():
        if entry["name"] != "CRON_JOB_NAME":
            yield f"variable {entry['name']}: use $(CRON_JOB_NAME), set before it", entry.get("value") or ""
