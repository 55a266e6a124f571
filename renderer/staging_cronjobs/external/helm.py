"""Helm releases of the chart: the record of what is staged, read and written through helm."""

import json
import os
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AGAIN, Outside, Refused, Unfinished
from ..model import values
from ..model.values import JOB_LABEL, LABEL, Values
from . import shipped
from .cluster import Cluster, plain

CHART = str(shipped.path("chart", "charts/staging-cronjobs"))
OLDEST_KUBERNETES = "1.29.0"  # the chart's kubeVersion
DRIVERS = {
    "": "secrets",
    "secret": "secrets",
    "secrets": "secrets",
    "configmap": "configmaps",
    "configmaps": "configmaps",
}
REJECTIONS = (" is invalid: ", "cannot be handled as", "denied the request", "denied request")  # of bad objects
HALFWAY = "an error occurred while "  # how Helm begins what it says of a rollback, or its own uninstall, that failed
GOING = ("uninstalling", "uninstalled")  # what Helm says of a release whose cleanup has begun
PREAMBLE = re.compile(r'^(Error from server \(\w+\): )?(error when creating "STDIN": )?')
SEPARATOR = re.compile("^---$", re.MULTILINE)
NAME = re.compile('^  name: "?([^"\n]+)', re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """What Helm's record holds of one release."""

    name: str
    status: str  # Helm's own word for the newest revision: deployed, failed, pending-…, uninstalling, uninstalled
    revision: int
    age: float  # seconds since the newest revision was made
    deployed: int | None  # the newest revision that was deployed before this one, if one is left to go back to
    values: Values
    labels: Mapping[str, str]  # ours, of all remaining revisions together

    @property
    def live(self) -> bool:
        """Whether jobs of it may run: its cleanup has not begun."""
        return self.status not in GOING

    @property
    def pending(self) -> bool:
        """Whether a helm is at work on it, or was killed at work."""
        return self.status.startswith("pending")

    @property
    def job_names(self) -> frozenset[str]:
        """Every job that any remaining revision had: a dropped job's name stays known."""
        recorded = {name for label, name in self.labels.items() if label.startswith(JOB_LABEL)}
        return frozenset(recorded | {job.name for job in self.values.jobs.values()})

    @property
    def dropped(self) -> frozenset[str]:
        """Jobs on record that the newest revision no longer has."""
        return self.job_names - {job.name for job in self.values.jobs.values()}


def find(cluster: Cluster, name: str) -> Release | None:
    """The release of that name, in whatever state. Raises `Refused` when it is not a staged version."""
    records = _records(cluster, name)
    if not records:
        return None
    newest = records[-1]["metadata"]
    return Release(
        name,
        status=newest["labels"]["status"],
        revision=_revision(records[-1]),
        age=_age(newest["creationTimestamp"]),
        deployed=_deployed(records),
        values=values_of(cluster, name),
        labels={k: v for r in records for k, v in r["metadata"]["labels"].items() if k.startswith(LABEL)},
    )


def status(cluster: Cluster, name: str) -> str | None:
    """Helm's word for the state that a release is in now; None when there is none."""
    records = _records(cluster, name)
    return records[-1]["metadata"]["labels"]["status"] if records else None


def listing(cluster: Cluster) -> list[dict[str, Any]]:
    """`helm list` of this chart's releases in every state but superseded. Raises `Refused` for an unknown driver."""
    _driver()
    states = ("--deployed", "--failed", "--pending", "--uninstalling", "--uninstalled")
    rows = json.loads(cluster.helm("list", *states, "--max", "0", "-o", "json").stdout)
    return [row for row in rows if row["chart"].startswith("staging-cronjobs-")]


def values_of(cluster: Cluster, name: str) -> Values:
    """The values of a release. Raises `Refused` when it is not a staged version."""
    return values.parse(name, json.loads(cluster.helm("get", "values", name, "-o", "json").stdout))


def dry_run(cluster: Cluster, release: str, new: Values, known: Collection[str]) -> dict[str, dict[str, Any]]:
    """The CronJobs by name, as the API server would have them, its defaults included. Nothing is created.

    `known` are jobs that exist already; one that a quota leaves no room for beside itself is left out. Raises `Refused`
    with the chart's or the server's reasons, unknown fields among them.
    """
    _driver()  # first: with a database as its record, Helm would look for that even here
    # Offline, helm compares the chart's floor with the version helm was built for; upgrade asks the cluster itself.
    command = (
        "template",
        release,
        CHART,
        "-f",
        "-",
        "--kube-version",
        OLDEST_KUBERNETES,
    )
    manifest = cluster.helm(*command, stdin=values.dump(new), check=False)
    if manifest.code:
        raise Refused(f"the chart refuses the values of {release}: {plain(manifest)}")
    made, complaints = _asked(cluster, manifest.stdout, known)
    if not complaints:
        return made
    # Some complaints name no object, so each is asked for alone.
    objects = {match[1]: text for text in SEPARATOR.split(manifest.stdout) if (match := NAME.search(text))}
    found = [f"{name}: {line}" for name, text in objects.items() for line in _asked(cluster, text, known)[1]]
    if any(word in line for line in found for word in REJECTIONS):
        raise Refused(f"the API server refuses jobs of {release}: {'; '.join(found)}; fix the dataset's code")
    raise Outside(f"{cluster}: the jobs of {release} could not be checked: {'; '.join(found)}")


def upgrade(cluster: Cluster, release: str, new: Values, kept: Mapping[str, str], description: str) -> None:
    """`helm upgrade --install`, rolled back when it fails. Raises `Outside` with Helm's words, or `Unfinished`.

    `kept` are labels of earlier revisions: Helm forgets them with an old revision, after a rollback, and when it
    installs over a release that was uninstalled.
    """
    # Without server-side apply Helm 4 does as Helm 3: a person's `kubectl patch` never blocks an upgrade.
    flags = ("--atomic",) if cluster.helm_major == 3 else ("--rollback-on-failure", "--server-side=false")
    marks = ",".join(f"{k}={v}" for k, v in {**kept, **new.release_labels}.items())
    command = (
        "upgrade",
        "--install",
        release,
        CHART,
        "-f",
        "-",
        "--labels",
        marks,
        *flags,
    )
    wait = ("--timeout", cluster.timeout, "--description", description)
    result = cluster.helm(*command, *wait, stdin=values.dump(new), check=False)
    if result.code and HALFWAY in result.stderr:
        raise Unfinished(f"{cluster}: helm could not deploy {release}, nor roll it back: {plain(result)}; {AGAIN}")
    if result.code:
        raise Outside(f"{cluster}: helm could not deploy {release} and rolled it back: {plain(result)}")
    # Helm ends well when it could not write down that an install is done; every later upgrade would take it for a lock.
    if not kept and {r["metadata"]["labels"]["status"] for r in _records(cluster, release)} == {"pending-install"}:
        raise Unfinished(
            f"{cluster}: the jobs of {release} are there, but helm could not record it as deployed: does the account "
            f"lack the right to update {_driver()}?"
        )


def rollback(cluster: Cluster, release: str, revision: int) -> None:
    """`helm rollback`: it also frees a release whose upgrade was killed."""
    cluster.helm("rollback", release, str(revision), "--timeout", cluster.timeout)


def uninstall(cluster: Cluster, release: str, *, keep_history: bool) -> None:
    """Delete the objects and wait for them; with `keep_history` the record stays, as `uninstalled`.

    A release that is already gone is done. Helm's word is no proof that the objects are gone: see `objects.remains`.
    """
    flags = ("--keep-history",) if keep_history else ()
    waits = ("--wait", "--cascade", "foreground", "--timeout", cluster.timeout)
    result = cluster.helm("uninstall", release, *flags, *waits, check=False)
    if result.code and "not found" not in result.stderr:
        raise Outside(f"{cluster}: helm could not uninstall {release}: {plain(result)}")


def _asked(cluster: Cluster, manifest: str, known: Collection[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The objects as the API server would create them, and what it has against that."""
    # Not `apply`: for objects that exist it sends a patch, which is decoded less strictly and quoted in every error.
    strict = ("create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "json")
    # What exists cannot be created, so the server is asked about another of the same length.
    probes = {name: f"{name[:-6]}{secrets.token_hex(3)}" for name in known}
    text = NAME.sub(lambda line: line[0].replace(line[1], probes.get(line[1], line[1])), manifest)
    verdict = cluster.kubectl(*strict, stdin=text, check=False)
    made, said = verdict.stdout.replace("\n}\n{", "\n},\n{"), verdict.stderr
    for name, probe in probes.items():
        made, said = made.replace(probe, name), said.replace(probe, name)
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("Warning:")]
    # Quota comes after validation, and an upgrade needs no more of it for a job that exists.
    fine = ("(AlreadyExists)", *(f'"{name}" is forbidden: exceeded quota' for name in known))
    complaints = [PREAMBLE.sub("", line) for line in lines if verdict.code and not any(words in line for words in fine)]
    return {item["metadata"]["name"]: item for item in json.loads(f"[{made}]")}, complaints


def _driver() -> str:
    driver = os.environ.get("HELM_DRIVER", "")
    if driver not in DRIVERS:
        raise Refused(f"HELM_DRIVER is {driver!r}: only secret and configmap keep a record that can be read here")
    return DRIVERS[driver]


def _records(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """What Helm keeps of a release's remaining revisions, oldest first."""
    return sorted(cluster.get(_driver(), f"owner=helm,name={name}"), key=_revision)


def _deployed(records: Sequence[Mapping[str, Any]]) -> int | None:
    """The revision to go back to. An upgrade that is killed late has marked it as superseded already."""
    revisions = {r["metadata"]["labels"]["status"]: _revision(r) for r in records}  # the newest of each status
    if records[-1]["metadata"]["labels"]["status"] == "pending-install":
        return None
    return revisions.get("deployed", revisions.get("superseded"))


def _revision(record: Mapping[str, Any]) -> int:
    return int(record["metadata"]["labels"]["version"])


def _age(timestamp: str) -> float:
    from datetime import UTC, datetime

    return max((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds(), 0)
