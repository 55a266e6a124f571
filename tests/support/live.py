"""The real program and the objects of a real namespace, as the tests of tests/cluster use them."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pykube import HTTPClient

from controlplane.cluster import FOR_A_MOMENT, Cluster
from forks import PROGRAM, forks

IMAGE = "example.registry/reformatters:abc123"
LABEL = "staging-cronjobs/"
RUN_SECONDS = "staging-cronjobs.test/run-seconds"  # annotations of a pod: how long it runs, ...
EXIT_CODE = "staging-cronjobs.test/exit-code"  # ... and how it ends
FIVE_YEARS = 5 * 366 * 86400  # a CronJob for the 29th of February is due within them
SECONDS = 120  # that one run may take
BATCH = ("cronjobs", "jobs")  # every other kind that tests read is in the core group


@dataclass(frozen=True)
class Done:
    """How a run of the program ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What `-o json`, or `catalogue`, printed."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Staging:
    """`staging`, as a user has it installed, with a given helm and in one namespace.

    A call runs it in `folder` to its end, whatever its exit code: `staging(repository.path, "list", "-o", "json")`.
    It is forked where that makes no difference: see forks.py.
    """

    environment: Mapping[str, str]

    @classmethod
    def within(cls, cluster: Cluster, namespace: str, tools: str, home: Path) -> "Staging":
        """With these tools on PATH, a home of its own, and none of the machine's settings."""
        reach = {name: cluster.environment()[name] for name in ("KUBECONFIG", "KUBECACHEDIR")}
        # With both, the program has no need to read the kubeconfig: a process less in thousands of runs.
        own = {"PATH": tools, "STAGING_NAMESPACE": namespace, "STAGING_KUBE_CONTEXT": cluster.context}
        return cls({**outside_environment(home), **FOR_A_MOMENT, **reach, **own})

    def __call__(self, folder: Path, *args: str, given: str = "", **environment: str) -> Done:
        """Run it with `given` on standard input, and with more variables in its environment."""
        return Done(*forks().run(args, folder, {**self.environment, **environment}, given, SECONDS))

    def start(self, folder: Path, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start it, for tests that interrupt it or do something meanwhile; see `end`."""
        return subprocess.Popen(
            [PROGRAM, *args],
            cwd=folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *args: str, code: int = 0, given: str = "", **environment: str) -> Done:
        """Run it and see that it ends with this exit code."""
        done = self(folder, *args, given=given, **environment)
        assert done.code == code, f"staging {' '.join(args)} ended with {done.code}, not {code}:\n{done.stderr}"
        return done

    def tool(self, program: str, *args: str, given: str = "") -> Done:
        """Run the helm or kubectl that the program uses, in the same namespace, whatever its exit code."""
        command = [program, *args, "--namespace", self.environment["STAGING_NAMESPACE"]]
        environment = dict(self.environment)
        done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=SECONDS)
        return Done(done.returncode, done.stdout, done.stderr)

    def helm(self, *args: str) -> str:
        """The output of that helm, which must not fail."""
        done = self.tool("helm", *args)
        assert done.code == 0, f"helm {' '.join(args)}: {done.stderr}"
        return done.stdout

    def catalogue(self, folder: Path, image: str = IMAGE) -> list[dict[str, Any]]:
        """The datasets of a repository's work tree as it is."""
        return self.run(folder, "catalogue", "--docker-image", image).json


def with_program(staging: Staging, folder: Path, name: str, script: str) -> Staging:
    """The program with another one of that name on PATH; in the script `$REAL` is the one that it hides."""
    search = staging.environment["PATH"]
    folder.mkdir()
    file = folder / name
    file.write_text(f"#!/bin/sh\nREAL={shutil.which(name, path=search)}\n{script}\n")
    file.chmod(0o755)
    return Staging({**staging.environment, "PATH": f"{folder}{os.pathsep}{search}"})


def with_helm(staging: Staging, folder: Path, *, before: str = "", after: str = "") -> Staging:
    """The program with a helm on PATH that does these things around `helm upgrade`."""
    script = f'[ "$1" = upgrade ] || exec $REAL "$@"\n{before}\n$REAL "$@"\ncode=$?\n{after}\nexit $code'
    return with_program(staging, folder, "helm", script)


def end(process: subprocess.Popen[str], number: signal.Signals | None = None, seconds: float = 60) -> Done:
    """Send a started program a signal, if one is given, and wait for its end."""
    if number is not None:
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=seconds)
    return Done(process.returncode, stdout, stderr)


@dataclass(frozen=True)
class Verdict:
    """What the API server said to a request."""

    code: int
    body: dict[str, Any]
    warnings: str = ""

    @property
    def accepted(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        return self.body.get("message", "")


SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"  # of the Jobs that no person made
WRITTEN = {"cronjobs": "generation", "secrets": "resourceVersion", "configmaps": "resourceVersion"}


@dataclass(frozen=True)
class Namespace:
    """One namespace, asked through pytest-helm-charts' client: no kubectl is started."""

    client: HTTPClient = field(repr=False)
    cluster: Cluster = field(repr=False)
    name: str

    def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind (its plural) that carry the labels of the selector."""
        answer = self.client.get(
            version=_version(kind), namespace=self.name, url=f"{kind}?labelSelector={quote(selector)}"
        )
        answer.raise_for_status()
        return answer.json()["items"]

    def state(self, *kinds: str, selector: str = "") -> dict[str, object]:
        """All that a command could change of such objects, and nothing that a schedule does meanwhile."""
        found: dict[str, object] = {}
        for kind in kinds:
            for meta in (thing["metadata"] for thing in self.all(kind, selector)):
                marks = {part: meta.get(part) for part in ("uid", "labels", "annotations", "deletionTimestamp")}
                if SCHEDULED not in (meta.get("annotations") or {}):
                    found[f"{kind}/{meta['name']}"] = marks | {"written": meta.get(WRITTEN.get(kind, ""))}
        return found

    def names(self, kind: str, selector: str = "") -> list[str]:
        """The names of such objects, sorted."""
        return sorted(found["metadata"]["name"] for found in self.all(kind, selector))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object; raises when there is none."""
        answer = self.client.get(version=_version(kind), namespace=self.name, url=f"{kind}/{name}")
        answer.raise_for_status()
        return answer.json()

    def create(self, thing: Mapping[str, Any], *, dry_run: bool = False) -> Verdict:
        """Ask the API server to create an object; gives its verdict."""
        kind = f"{thing['kind'].lower()}s{'?dryRun=All' if dry_run else ''}"
        answer = self.client.post(version=thing["apiVersion"], namespace=self.name, url=kind, json=dict(thing))
        return Verdict(answer.status_code, answer.json(), answer.headers.get("Warning", ""))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object without waiting for what it owns."""
        answer = self.client.delete(
            version=_version(kind), namespace=self.name, url=f"{kind}/{name}", json={"propagationPolicy": "Background"}
        )
        answer.raise_for_status()

    def replace(self, thing: Mapping[str, Any], *, dry_run: bool = False) -> Verdict:
        """Ask the API server to put an object in place of the one of its name; gives its verdict."""
        url = f"{thing['kind'].lower()}s/{thing['metadata']['name']}{'?dryRun=All' if dry_run else ''}"
        answer = self.client.put(version=thing["apiVersion"], namespace=self.name, url=url, json=dict(thing))
        return Verdict(answer.status_code, answer.json(), answer.headers.get("Warning", ""))

    def patch(
        self, kind: str, name: str, change: Mapping[str, Any], *, subresource: str = "", how: str = "strategic-merge"
    ) -> None:
        """Patch an object as `kubectl patch` does."""
        answer = self.client.patch(
            version=_version(kind),
            namespace=self.name,
            url=f"{kind}/{name}{subresource and f'/{subresource}'}?fieldManager=kubectl-patch",
            headers={"Content-Type": f"application/{how}-patch+json"},
            json=dict(change),
        )
        answer.raise_for_status()

    def kubectl(self, *args: str, given: str | None = None) -> str:
        """kubectl's output; raises `controlplane.binaries.UnavailableError` with its words when it fails."""
        return self.cluster.kubectl("--namespace", self.name, *args, given=given)

    def fire(self, cron_job: str) -> None:
        """Make the CronJob controller itself fire a CronJob now: it believes that its last run is years ago.

        For schedules that fire rarely: one that is due again within the test fires again.
        """
        long_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - FIVE_YEARS))
        answer = self.client.patch(
            version="batch/v1",
            namespace=self.name,
            url=f"cronjobs/{cron_job}/status",
            headers={"Content-Type": "application/merge-patch+json"},
            json={"status": {"lastScheduleTime": long_ago}},
        )
        answer.raise_for_status()

    def jobs_of(self, cron_job: str) -> list[dict[str, Any]]:
        """The Jobs that a CronJob owns."""
        jobs = self.all("jobs")
        return [j for j in jobs if cron_job in {o["name"] for o in j["metadata"].get("ownerReferences", [])}]

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the events about the objects of that name."""
        return [(e["reason"], e["message"]) for e in self.all("events") if e["involvedObject"]["name"] == name]

    def run_job(self, cron_job: str, name: str) -> None:
        """Fire a CronJob by hand, as its users do."""
        self.kubectl("create", "job", f"--from=cronjob/{cron_job}", name)

    def leftovers(self) -> list[str]:
        """Whatever still carries a label of ours or is a record of Helm's, as kind/name."""
        found = []
        for kind in ("cronjobs", "jobs", "pods", "secrets", "configmaps"):
            for thing in self.all(kind):
                labels = thing["metadata"].get("labels", {})
                if any(label.startswith(LABEL) for label in labels) or labels.get("owner") == "helm":
                    found.append(f"{kind}/{thing['metadata']['name']}")
        return found


def make_job(live: Namespace, cronjob: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> str:
    """A Job as the controller makes it from a CronJob, with other fields or annotations of its pods; gives its name."""
    made = live.get("cronjobs", cronjob)
    template = made["spec"]["jobTemplate"]
    template["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations or {})
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cronjob, "uid": made["metadata"]["uid"]}
    name = f"{cronjob}-29000000"
    metadata = {**template["metadata"], "name": name, "ownerReferences": [owner | {"controller": True}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] | spec}
    assert live.create(job).accepted
    return name


def make_unfinished(live: Namespace, cronjob: str, how: str) -> str:
    """A Job that has not ended: `scheduled`, `just made`, or `between attempts`, both without a pod; gives its name."""
    if how == "scheduled":
        return make_job(live, cronjob)
    if how == "just made":
        return make_job(live, cronjob, managedBy="example.com/nobody")  # who would write its status
    name = make_job(live, cronjob, {RUN_SECONDS: "0", EXIT_CODE: "1"}, backoffLimit=6)

    def failed_once() -> bool:
        status = live.get("jobs", name).get("status", {})
        return bool(status.get("failed") and not status.get("active"))

    wait_until(failed_once, what="the end of its first attempt")
    return name


class Production:
    """CronJobs that are not ours: what they are once created, they must still be when a test ends."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.created: dict[str, dict[str, Any]] = {}

    def __call__(self, cron_jobs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Create CronJobs with kubectl; gives them by name, as the API server has them now."""
        objects = {"apiVersion": "v1", "kind": "List", "items": list(cron_jobs)}
        self.namespace.kubectl("create", "--filename=-", given=json.dumps(objects))
        names = {item["metadata"]["name"] for item in objects["items"]}
        new = {c["metadata"]["name"]: c for c in self.namespace.all("cronjobs") if c["metadata"]["name"] in names}
        self.created |= new
        return new

    def changes(self) -> list[str]:
        """One line for each of them that is gone or that someone wrote to; their own runs change nothing here."""
        now = {found["metadata"]["name"]: found for found in self.namespace.all("cronjobs")}
        return [
            f"{name} is gone" if name not in now else f"{name} changed: {_written(before)} -> {_written(now[name])}"
            for name, before in self.created.items()
            if name not in now or _written(now[name]) != _written(before)
        ]


def cron_jobs_of(catalogue: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The CronJobs of all datasets of a catalogue."""
    return [cron_job for dataset in catalogue for cron_job in dataset["cronjobs"]]


def wait_until(true: Callable[[], object], seconds: float = 60, what: str = "it") -> None:
    """Wait for something that must become true; fails when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} was not so within {seconds:.0f} s"
        time.sleep(0.1)


def outside_environment(home: Path) -> dict[str, str]:
    """An environment that shares no settings with the machine: an empty home and no git configuration."""
    return {
        "HOME": str(home),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }


def _written(cron_job: Mapping[str, Any]) -> dict[str, Any]:
    """What only those who write to spec or metadata change; their names and times are among the writers."""
    metadata = {k: v for k, v in cron_job["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    writers = [entry for entry in cron_job["metadata"].get("managedFields", []) if entry.get("subresource") != "status"]
    return {"metadata": metadata, "writers": writers, "spec": cron_job["spec"]}


def _version(kind: str) -> str:
    return "batch/v1" if kind in BATCH else "v1"
