"""Helm releases and the objects behind them: all that is asked of, or done to, a namespace of a cluster."""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import shell, values
from .errors import Outside, Refused
from .settings import Settings
from .values import JOB_LABEL, LABEL, Values

OLDEST_HELM = (3, 18, 5)  # the values.schema.json engine changed there
DRIVERS = {"": "secrets", "secret": "secrets", "secrets": "secrets", "configmap": "configmaps"}
DRIVERS["configmaps"] = DRIVERS["configmap"]
IN_CLUSTER = "in-cluster"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Release:
    """What Helm's record holds of one release."""

    name: str
    status: str  # Helm's own word for the newest revision: deployed, failed, pending-…, uninstalling, uninstalled
    revision: int
    values: Values
    job_names: frozenset[str]  # every job of every remaining revision: a dropped job's name stays known

    @property
    def live(self) -> bool:
        """Whether jobs of it may run: its cleanup has not begun."""
        return self.status not in ("uninstalling", "uninstalled")


@dataclass(frozen=True)
class Cluster:
    """One namespace of one cluster, reached through helm and kubectl."""

    context: str
    namespace: str
    timeout: str = "5m"  # Helm's --timeout

    def __str__(self) -> str:
        return f"context {self.context}, namespace {self.namespace}"

    @cached_property
    def helm_major(self) -> int:
        """3 or 4. Raises `Outside` for a Helm older than 3.18.5."""
        text = shell.run("helm", "version", "--template", "{{.Version}}").stdout.strip()
        numbers = tuple(int(n) for n in text.lstrip("v").split("-")[0].split("+")[0].split(".") if n.isdigit())
        if numbers < OLDEST_HELM:
            raise Outside(f"helm is {text}: {'.'.join(map(str, OLDEST_HELM))} or newer is needed; update it")
        return numbers[0]

    def find(self, name: str) -> Release | None:
        """The release of that name, in whatever state. Raises `Refused` when it is not a staged version."""
        revisions = [item["metadata"]["labels"] for item in self._get(_records(), f"owner=helm,name={name}")]
        if not revisions:
            return None
        newest = max(revisions, key=lambda labels: int(labels["version"]))
        text = self._helm("get", "values", name, "-o", "json").stdout
        found = values.parse(name, json.loads(text))
        recorded = {v for labels in revisions for k, v in labels.items() if k.startswith(JOB_LABEL)}
        names = frozenset(recorded | {job.name for job in found.jobs.values()})
        return Release(name, newest["status"], int(newest["version"]), found, names)

    def cronjobs(self) -> list[dict[str, Any]]:
        """The CronJobs that staged releases own: our label, and Helm's mark of the same release."""
        found = self._get("cronjobs", f"{LABEL}release")
        return [c for c in found if owner(c) == (c["metadata"]["labels"][f"{LABEL}release"], self.namespace)]

    def existing(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        """Those of the CronJobs `names` that exist, whoever made them."""
        if not names:
            return {}
        text = self._kubectl("get", "cronjobs", *sorted(names), "--ignore-not-found", "-o", "json").stdout
        found = json.loads(text) if text.strip() else {"items": []}
        return {c["metadata"]["name"]: c for c in found.get("items", [found])}

    def remains(self, release: Release) -> list[str]:
        """What still exists of a release: its CronJobs, their Jobs, and the pods of those, as kind/name."""
        selector = f"{LABEL}release={release.name}"
        names = set(release.job_names)
        cronjobs = {c["metadata"]["name"] for c in self._get("cronjobs", selector) if owner(c)[0] == release.name}
        jobs = {j["metadata"]["name"] for j in self._get("jobs", selector) if _made_by(j, "CronJob", names)}
        pods = {p["metadata"]["name"] for p in self._get("pods", selector) if _made_by_job(p, jobs, names)}
        kinds = {"cronjob": cronjobs & names, "job": jobs, "pod": pods}
        return [f"{kind}/{name}" for kind, found in kinds.items() for name in sorted(found)]

    def listing(self) -> list[dict[str, Any]]:
        """`helm list` of this chart's releases in every state but superseded."""
        states = ("--deployed", "--failed", "--pending", "--uninstalling", "--uninstalled")
        rows = json.loads(self._helm("list", *states, "--max", "0", "-o", "json").stdout)
        return [row for row in rows if row["chart"].startswith("staging-cronjobs-")]

    def record(self, name: str) -> values.Record:
        """The record in a release's values."""
        return values.parse(name, json.loads(self._helm("get", "values", name, "-o", "json").stdout)).record

    def dry_run(self, release: str, text: str) -> None:
        """Ask the API server whether it would take every object, unknown fields included. Nothing is created.

        Raises `Refused` with the chart's or the server's reasons.
        """
        manifest = self._helm("template", release, str(chart()), "-f", "-", stdin=text, check=False)
        if manifest.code:
            raise Refused(f"the chart refuses the values of {release}: {_plain(manifest)}")
        strict = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
        verdict = self._kubectl(*strict, stdin=manifest.stdout, check=False)
        if verdict.code:
            ours = any(word in verdict.stderr for word in ("(Invalid)", "(BadRequest)", "validat", "unknown field"))
            if ours:
                raise Refused(
                    f"the API server refuses the jobs of {release}: {_plain(verdict)}; fix the dataset's code"
                )
            raise Outside(f"{self}: the jobs of {release} could not be checked: {_plain(verdict)}")

    def upgrade(self, release: str, text: str, labels: Mapping[str, str], description: str) -> None:
        """`helm upgrade --install`, rolled back when it fails. Raises `Outside` with Helm's words."""
        # Without server-side apply Helm 4 does as Helm 3: a person's `kubectl patch` never blocks an upgrade.
        flags = ("--atomic",) if self.helm_major == 3 else ("--rollback-on-failure", "--server-side=false")
        marks = ",".join(f"{k}={v}" for k, v in labels.items())
        command = ("upgrade", "--install", release, str(chart()), "-f", "-", "--labels", marks, *flags)
        result = self._helm(*command, "--timeout", self.timeout, "--description", description, stdin=text, check=False)
        if result.code:
            raise Outside(f"{self}: helm could not deploy {release} and rolled it back: {_plain(result)}")

    def uninstall(self, release: str, *, keep_history: bool) -> None:
        """Delete the objects and wait for them; with `keep_history` the record stays, as `uninstalled`.

        A release that is already gone is done. Helm's word is not proof that the objects are gone: see `remains`.
        """
        flags = ("--keep-history",) if keep_history else ()
        waits = ("--wait", "--cascade", "foreground", "--timeout", self.timeout)
        result = self._helm("uninstall", release, *flags, *waits, check=False)
        if result.code and "not found" not in result.stderr:
            raise Outside(f"{self}: helm could not uninstall {release}: {_plain(result)}")

    def _helm(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        where = () if self.context == IN_CLUSTER else ("--kube-context", self.context)
        return self._run("helm", *args, "--namespace", self.namespace, *where, stdin=stdin, check=check)

    def _kubectl(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        where = () if self.context == IN_CLUSTER else ("--context", self.context)
        return self._run("kubectl", *args, "--namespace", self.namespace, *where, stdin=stdin, check=check)

    def _run(self, program: str, *args: str, stdin: str, check: bool) -> shell.Result:
        result = shell.run(program, *args, stdin=stdin, check=False)
        if check and result.code:
            raise Outside(f"{self}: {program} {args[0]} failed: {_plain(result)}")
        return result

    def _get(self, plural: str, selector: str) -> list[dict[str, Any]]:
        # --raw is several times faster than -o json, which converts every object.
        group = {"cronjobs": "/apis/batch/v1", "jobs": "/apis/batch/v1"}.get(plural, "/api/v1")
        path = f"{group}/namespaces/{self.namespace}/{plural}?labelSelector={quote(selector)}"
        return json.loads(self._kubectl("get", "--raw", path).stdout)["items"]


def connect(settings: Settings) -> Cluster:
    """The cluster and namespace that the settings and the kubeconfig name; nothing is asked of the cluster itself."""
    if settings.kube_context and settings.namespace:
        return Cluster(settings.kube_context, settings.namespace, settings.timeout)
    choice = ("--context", settings.kube_context) if settings.kube_context else ()
    result = shell.run("kubectl", "config", "view", "--minify", "-o", "json", *choice, check=False)
    if result.code:
        if "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_file() and not settings.kube_context:
            return Cluster(IN_CLUSTER, settings.namespace or SERVICE_ACCOUNT.read_text().strip(), settings.timeout)
        raise Outside(
            f"no cluster is named: {_plain(result)}; set KUBECONFIG, choose a context with "
            "`kubectl config use-context`, or pass --kube-context"
        )
    view = json.loads(result.stdout)
    context = (view.get("contexts") or [{}])[0]
    namespace = settings.namespace or context.get("context", {}).get("namespace") or "default"
    return Cluster(context.get("name", view.get("current-context", "")), namespace, settings.timeout)


def chart() -> Path:
    """The chart's folder: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).with_name("chart")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "charts" / "staging-cronjobs"


def owner(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The Helm release and its namespace that a resource carries the marks of; empty strings without."""
    annotations = resource["metadata"].get("annotations", {})
    return annotations.get("meta.helm.sh/release-name", ""), annotations.get("meta.helm.sh/release-namespace", "")


def _records() -> str:
    driver = os.environ.get("HELM_DRIVER", "")
    if driver not in DRIVERS:
        raise Refused(f"HELM_DRIVER is {driver!r}: only secret and configmap keep a record that can be read here")
    return DRIVERS[driver]


def _owners(resource: Mapping[str, Any], kind: str) -> set[str]:
    return {o["name"] for o in resource["metadata"].get("ownerReferences", []) if o["kind"] == kind}


def _made_by(job: Mapping[str, Any], kind: str, names: Iterable[str]) -> bool:
    return bool(_owners(job, kind) & set(names))


def _made_by_job(pod: Mapping[str, Any], jobs: Collection[str], names: Iterable[str]) -> bool:
    """Whether a Job of ours made the pod, even if that Job itself is gone: its name begins with the CronJob's."""
    makers = _owners(pod, "Job")
    return bool(makers & set(jobs)) or any(m.startswith(f"{name}-") for m in makers for name in names)


def _plain(result: shell.Result) -> str:
    """A tool's complaint on one line, without its warnings and prefixes."""
    lines = [line.strip() for line in (result.stderr or result.stdout).splitlines()]
    lines = [
        line for line in lines if line and not line.startswith(("Warning:", "WARNING:", "level=WARN", "Use --debug"))
    ]
    text = "; ".join(line.removeprefix("Error: ").removeprefix("error: ") for line in lines)
    return text.strip("; ") or f"exit code {result.code}"
