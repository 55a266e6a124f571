"""What Helm keeps of a release: a Secret for each revision. Read once, and checked where it enters.

Whoever may write Secrets in the namespace can write these, and Helm acts on the manifest and hooks that they hold. So
nothing of them is believed: not a name, not a label, not an object that Helm would create or delete.
"""

import gzip
import json
import os
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..errors import Outside, Refused, StagingError
from ..model.marks import LABEL
from ..model.staged_version import StagedVersion
from . import shell
from .cluster import Cluster, one_of

if TYPE_CHECKING:
    from ..model.values import Values

CHART = "staging-cronjobs"
DRIVERS = {
    "": "secrets",
    "secret": "secrets",
    "secrets": "secrets",
    "configmap": "configmaps",
    "configmaps": "configmaps",
}
TYPE = "helm.sh/release.v1"  # of Helm's Secrets; a ConfigMap has no type
NUMBER = re.compile("[0-9]{1,9}")  # of a revision
FIELD = re.compile("[a-z_]+")  # Go takes a field in other letters too, long s and Kelvin sign included
LISTED = "owner=helm,status!=superseded"  # the newest records, and few others
PREFIX = "staging-"  # with which each of our releases begins
LARGEST = 16 * 2**20  # bytes of one revision, unzipped: zipped, a Secret holds 1 MiB at the most (Kubernetes)
GOING = ("uninstalling", "uninstalled")  # what Helm says of a release whose cleanup has begun
STATES = ("deployed", "failed", "superseded", "unknown", "pending-install", "pending-upgrade", "pending-rollback")
FIELDS = {"apiVersion", "kind", "metadata", "spec"}  # what the chart writes; Go reads others without regard to case
MARKS = {"name", "namespace", "labels", "annotations"}
BREAKS = re.compile("[\r\x85\u2028\u2029]")  # where Helm's reader of YAML begins a new line too, and others do not
DIVIDES = re.compile(r"^---(?![ \t]*$).*", re.MULTILINE)  # so does Helm, at each line that begins like this


@dataclass(frozen=True)
class Revision:
    """One revision of a release as its Secret has it."""

    number: int
    status: str
    uid: str
    made: str  # when: a timestamp of Kubernetes
    values: "Values"
    labels: Mapping[str, str]
    manifest: str = field(repr=False)
    hooks: int  # how many
    name: str = ""  # of the Secret
    version: str = ""  # of the Secret, which every write changes
    namespace: str = ""

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return max((datetime.now(UTC) - datetime.fromisoformat(self.made)).total_seconds(), 0)

    @property
    def names(self) -> frozenset[str]:
        """The names of its CronJobs."""
        return frozenset(job.name for job in self.values.jobs.values())


@dataclass(frozen=True)
class Release:
    """A release: what its remaining revisions hold."""

    name: str
    revisions: tuple[Revision, ...]  # oldest first

    @property
    def newest(self) -> Revision:
        """The last revision: what was asked for last."""
        return self.revisions[-1]

    @property
    def status(self) -> str:
        """Helm's own word for the newest revision: deployed, failed, pending-…, uninstalling, uninstalled."""
        return self.newest.status

    @property
    def revision(self) -> int:
        """The newest revision's number."""
        return self.newest.number

    @property
    def age(self) -> float:
        """Seconds since the newest revision was made."""
        return self.newest.age

    @property
    def values(self) -> "Values":
        """What was asked for last."""
        return self.newest.values

    @property
    def live(self) -> bool:
        """Whether jobs of it may run: its cleanup has not begun."""
        return self.status not in GOING

    @property
    def pending(self) -> bool:
        """Whether a helm is at work on it, or was killed at work."""
        return self.status.startswith("pending")

    @property
    def before(self) -> Revision | None:
        """The revision to go back to when the newest one is pending. A helm killed late has superseded it already."""
        of = {r.status: r for r in self.revisions}  # the newest of each status
        return None if self.status == "pending-install" else of.get("deployed", of.get("superseded"))

    @property
    def runs(self) -> "Values | None":
        """The values of what runs: of a pending release what ran before. None when nothing does."""
        if not self.live:
            return None
        return self.values if not self.pending else self.before.values if self.before else None

    @property
    def labels(self) -> dict[str, str]:
        """Our labels of all remaining revisions together: the identity, and every job name there ever was."""
        return {k: v for r in self.revisions for k, v in r.labels.items() if k.startswith(LABEL)}

    @property
    def job_names(self) -> frozenset[str]:
        """Every job that a revision had: a dropped job's name stays known."""
        from ..model import values

        recorded = values.names_in(self.labels, self.values.record)
        return frozenset(recorded).union(*(r.names for r in self.revisions))

    @property
    def dropped(self) -> frozenset[str]:
        """Jobs on record that the newest revision no longer has."""
        return self.job_names - self.newest.names

    def same_as(self, other: "Release | None") -> bool:
        """Whether nothing has happened to it since `other` was read."""
        return other is not None and (self.newest.uid, self.status) == (other.newest.uid, other.status)


def find(cluster: Cluster, name: str) -> Release | None:
    """The release of that name, in whatever state. Raises `Refused` when it is not a staged version."""
    found, unproven = histories(cluster, [name])
    if unproven:
        raise Refused(unproven[name])
    return found[0] if found else None


def own(cluster: Cluster, staged: StagedVersion) -> Release | None:
    """The release of a staged version. Raises `Refused` when it is another's, or has what `check` refuses."""
    if release := find(cluster, staged.release):
        check_whose(release, staged)
        check(release)
    return release


def check_whose(release: Release, staged: StagedVersion) -> None:
    """Raises `Refused` when the release of this name is another staged version's."""
    if (facts := release.values.record).staged_version != staged:
        whose = f"{facts.dataset_id} v{facts.version}, not to {staged.branch}"
        raise Refused(f"release {release.name} belongs to {whose}. Nothing was touched.")


def listing(cluster: Cluster) -> tuple[list[Release], dict[str, str]]:
    """All releases of this chart with their newest revision alone, by name; and why others cannot be read, by name.

    Raises `Outside` where there is nothing of Helm's because the namespace does not exist.
    """
    return listings(cluster)[cluster.namespace]


def listings(cluster: Cluster) -> dict[str, tuple[list[Release], dict[str, str]]]:
    """The same as `listing` for each namespace, by its name."""
    there: dict[str, list[dict[str, Any]]] = {} if cluster.everywhere else {cluster.namespace: []}
    if not (items := _items(cluster, LISTED)):
        cluster.require_namespace()
    for item in items:
        there.setdefault(item["metadata"]["namespace"], []).append(item)
    return {namespace: _newest(*_sorted(items, None)) for namespace, items in there.items()}


def _newest(found: Mapping[str, list[Revision]], unproven: dict[str, str]) -> tuple[list[Release], dict[str, str]]:
    newest = {name: max(revisions, key=lambda r: r.number) for name, revisions in found.items()}
    return [Release(name, (newest[name],)) for name in sorted(newest)], unproven


def histories(cluster: Cluster, names: Collection[str]) -> tuple[list[Release], dict[str, str]]:
    """The releases of these names with all their revisions; and why others cannot be read, by name."""
    if not names:
        return [], {}
    found, unproven = _sorted(_items(cluster, f"owner=helm,{one_of('name', names)}"), names)
    return [Release(n, tuple(sorted(found[n], key=lambda r: r.number))) for n in sorted(found)], unproven


def _sorted(
    items: Iterable[dict[str, Any]], names: Collection[str] | None
) -> tuple[dict[str, list[Revision]], dict[str, str]]:
    """The revisions of releases of this chart, or of these names, by name, and why others cannot be read."""
    found: dict[str, list[Revision]] = {}
    unproven: dict[str, str] = {}
    for item in items:
        labels = item["metadata"].get("labels", {})
        name = str(labels.get("name", ""))
        if names is not None and name not in names:
            continue
        # What cannot be read counts when it may be ours: Helm loses our labels in a rollback, and leaves the name.
        ours = bool(names) or name.startswith(PREFIX) or any(label.startswith(LABEL) for label in labels)
        try:
            content = _content(item)
            if names or _chart(content) == CHART or (ours and not _chart(content)):
                found.setdefault(name, []).append(_revision(name, item, content))
        except StagingError as error:
            if ours:
                unproven[name or item["metadata"]["name"]] = str(error)
    return {name: revisions for name, revisions in found.items() if name not in unproven}, unproven


def check(release: Release) -> None:
    """Helm creates and deletes what a record says: that must be CronJobs of this release alone.

    Raises `Refused` naming the first thing that is not.
    """
    of = {r.status: r for r in release.revisions}  # the newest of each status
    for revision in (release.newest, of.get("deployed"), of.get("superseded")):  # what Helm may go back to
        if revision and (problem := _foreign(revision.manifest, revision.hooks, revision.namespace, revision.names)):
            raise Refused(
                f"Helm's record of release {release.name}, revision {revision.number}, has {problem}. "
                "Helm would act on it, and no staged version has such a thing. Nothing was touched. Find out who wrote "
                "it. To take the release away by hand, delete its CronJobs, then the Secrets labelled "
                f"owner=helm,name={release.name}, with kubectl"
            )


def forget(cluster: Cluster, releases: Collection[Release]) -> dict[str, Outside]:
    """Delete the records of releases as they were read, where `helm uninstall` would go by the name alone.

    A revision that came after, or changed, stays. Gives what was in the way then, or of a deletion, by release.
    """
    failed: dict[str, Outside] = {}

    def delete(release: Release, revision: Revision) -> None:
        try:
            cluster.delete(driver(), revision.name, uid=revision.uid, resourceVersion=revision.version)
        except Outside as error:
            failed[release.name] = error

    shell.together([partial(delete, release, older) for release in releases for older in release.revisions[:-1]])
    # The newest last: until then `helm list` shows that it is not done.
    shell.together([partial(delete, release, release.newest) for release in releases if release.name not in failed])
    return failed


def give_up(cluster: Cluster, release: Release) -> None:
    """Write into the record of a helm that was killed that it has failed: what Helm upgrades is not locked then.

    No object of the release is touched. Raises `Outside` when the record is not as it was read.
    """
    kind, newest = driver(), release.newest
    for item in _items(cluster, f"owner=helm,name={release.name},version={newest.number}"):
        content, metadata = _content(item), item["metadata"]
        if (metadata["uid"], metadata["labels"].get("status")) != (newest.uid, newest.status):
            continue
        content["info"] |= {"status": "failed", "description": "its helm was killed"}
        text = b64encode(gzip.compress(json.dumps(content).encode()))
        data = {"release": (b64encode(text) if kind == "secrets" else text).decode()}
        failed = {**item, "data": data, "metadata": {**metadata, "labels": {**metadata["labels"], "status": "failed"}}}
        if cluster.put(kind, failed):
            return
    raise Outside(f"{cluster}: somebody has changed release {release.name} just now")


def driver() -> str:
    """The kind of object that holds Helm's records. Raises `Refused` for one that cannot be read here."""
    name = os.environ.get("HELM_DRIVER", "")
    if name not in DRIVERS:
        raise Refused(f"HELM_DRIVER is {name!r}: only secret and configmap keep a record that can be read here")
    return DRIVERS[name]


def _items(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    """Helm's records. Helm does not look at a Secret's type, so one of another type counts where it has a record."""
    asked = shell.begin(lambda: cluster.get(driver(), selector))
    from ..model import values  # noqa: F401 - pydantic takes as long as the answer does

    items = asked()
    return [item for item in items if item.get("type", TYPE) == TYPE or "release" in (item.get("data") or {})]


def _chart(content: Mapping[str, Any]) -> str:
    """The name of a record's chart; empty where it has none."""
    try:
        return str(content["chart"]["metadata"]["name"])
    except (KeyError, TypeError):
        return ""


def _revision(name: str, item: Mapping[str, Any], content: Mapping[str, Any]) -> Revision:
    """One revision, whose Secret holds `content`. Raises `Refused` for what Helm and this program did not write."""
    metadata, labels = item["metadata"], item["metadata"].get("labels", {})
    number, status = labels.get("version", ""), labels.get("status", "")
    if not NUMBER.fullmatch(number) or status not in (*STATES, *GOING):
        raise Refused(f"Helm's record {metadata['name']!r} has no revision and status that Helm writes")
    manifest, hooks, config = content.get("manifest", ""), content.get("hooks"), content.get("config")
    # Helm goes by the Secret's name, by its labels or by what it holds, now this and now that.
    held = [content.get(field) for field in ("name", "version", "namespace")] + [content["info"].get("status")]
    written = f"sh.helm.release.v1.{name}.v{number}"
    if held != [name, int(number), metadata["namespace"], status] or metadata["name"] != written:
        raise Refused(f"Helm's record {metadata['name']!r} is not of release {name}, revision {number}, {status}")
    if item.get("type", TYPE) != TYPE or not isinstance(manifest, str):
        raise Refused(f"Helm's record {metadata['name']!r} is not one that Helm writes")
    from ..model import values

    found = values.parse(name, config)
    if (own := found.record.staged_version.release) != name:
        raise Refused(f"release {name} has the record of {own}, so this program did not make it. Nothing was touched")
    return Revision(
        int(number),
        status,
        metadata["uid"],
        metadata["creationTimestamp"],
        found,
        {k: v for k, v in labels.items() if k.startswith(LABEL)},
        manifest,
        len(hooks) if isinstance(hooks, list) else int(hooks is not None),
        metadata["name"],
        metadata["resourceVersion"],
        metadata["namespace"],
    )


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    """The record itself: JSON, zipped, in base64, and for Kubernetes in base64 again."""
    try:
        text = item["data"]["release"]
        zipped = b64decode(b64decode(text) if "type" in item else text)
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        content = json.loads(unzip.decompress(zipped, LARGEST), object_pairs_hook=_once)
        if unzip.unconsumed_tail or not all(map(FIELD.fullmatch, (*content, *content["info"]))):
            raise ValueError("too large, or with a field that Helm would take for another")
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content["info"], dict):
        raise Refused(f"Helm's record {item['metadata']['name']!r} cannot be read: it is not what Helm writes")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: of two, Go merges what Python drops."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


@cache  # a command asks again before each thing that Helm does, and to read YAML takes longest of all
def _foreign(manifest: str, hooks: int, namespace: str, names: frozenset[str]) -> str:
    """The first thing that a revision would have Helm do beside its own CronJobs; empty without one."""
    if hooks:
        return "hooks"
    manifest = BREAKS.sub("\n", manifest)
    if line := DIVIDES.search(manifest):
        return f"the line {line[0][:80]!a} in its manifest"
    return next((problem for thing in _documents(manifest) for problem in _alien(thing, namespace, names)), "")


def _documents(manifest: str) -> Iterator[object]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    try:
        # Helm writes no references, and a few of them can stand for gigabytes.
        if "&" in manifest and any(isinstance(event, AliasEvent) for event in YAML(typ="base").parse(manifest)):
            yield "references of YAML"
        # Every scalar is a text, and `<<` a key like others: Helm writes some texts so that they read as tags of YAML.
        yield from (thing for thing in YAML(typ="base").load_all(manifest) if thing)
    except (YAMLError, ValueError, RecursionError):
        yield "what is no YAML"


def _alien(thing: object, namespace: str, names: Collection[str]) -> Iterator[str]:
    if not isinstance(thing, dict) or thing.keys() - FIELDS or not isinstance(thing.get("metadata"), dict):
        yield "an object in its manifest that is no CronJob"
        return
    metadata = thing["metadata"]
    kind, name = f"{thing.get('apiVersion')} {thing.get('kind')}", metadata.get("name")
    if kind != "batch/v1 CronJob" or name not in names or metadata.keys() - MARKS:
        yield f"{kind} {name!r} in its manifest"
    elif metadata.get("namespace", namespace) != namespace:
        yield f"CronJob {name} of namespace {metadata['namespace']!r} in its manifest"
