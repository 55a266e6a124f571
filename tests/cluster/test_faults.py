"""Interrupted anywhere: the same command finishes the work, until then the version is shown, and nothing else is lost.

The fault matrix kills `staging` at every point of its work and prints at the end what became of it.
"""

import json
import re
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

from catalogues import FILE, cron_job, dataset, make_catalogue_repository, write_catalogue
from controlplane.cluster import Cluster
from controlplane.fixtures import fresh_namespace
from faults import (
    Door,
    Gate,
    Hold,
    Matrix,
    Point,
    RefusedError,
    Request,
    Run,
    let_pushes_be_killed,
    make_wrappers,
    points,
    staging_command,
)
from live import IMAGE, LABEL, Done, Namespace, Production, Staging, wait_until
from repositories import Repository
from sentry_server import Fault, SentryServer
from staged import CHART, RUN_SECONDS, Sentry
from staging_cronjobs.model import values
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Record
from watching import fire_all, history, make_canary, watched

DONE, REFUSED, OUTSIDE, UNFINISHED, SUPERSEDED = 0, 3, 4, 5, 6
KILLED = -signal.SIGKILL
VERSION = "0.3.0"
OWNER = "dynamical-demo/datasets"
PYPROJECT = f'[tool.staging-cronjobs]\ndatasets = ["{FILE}"]\n'
KEYS = ("update", "validate")
DROPPED = "archive-files"  # a key that the code had once
NEWER = "plot"  # a key that the newer commit adds
ALL = (*KEYS, DROPPED)
STATES = ("--deployed", "--failed", "--pending", "--uninstalling", "--uninstalled")
LOCK = {"STAGING_TIMEOUT": "6s"}  # a dead lock is one of 12 s
AT_ONCE = 5
POOL = [f"fault-{number:02}" for number in range(1, 70)]  # dataset ids, one for each case


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """Counts what the tests of this file find out; printed at the end of the run."""
    plugin = Matrix()
    request.config.pluginmanager.register(plugin, "fault-matrix")
    return plugin


def entry(dataset_id: str, version: str, keys: Iterable[str]) -> dict[str, Any]:
    """A dataset of the catalogue: jobs that never fire by themselves and run for ever."""
    jobs = [cron_job(f"{dataset_id}-{key}") for key in keys]
    for job in jobs:
        job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {RUN_SECONDS: "3600"}}
    return dataset(dataset_id, version, *jobs)


@pytest.fixture
def helm_major(helm: Path) -> str:
    """Such as helm-v4."""
    return helm.parent.name.partition(".")[0]


@dataclass
class World:
    """A namespace, a repository whose stage branches all have one commit, and everything that stands beside them."""

    staging: Staging
    live: Namespace
    gate: Gate
    wrappers: Path
    repository: Repository
    newer: Repository  # a clone one commit on, with one more job
    sentry: Sentry
    environment: Mapping[str, str] = field(default_factory=dict)

    def push(self, targets: Iterable[StagedVersion], repository: Repository | None = None) -> None:
        """Set stage branches to the commit of a work tree."""
        refs = [f"+HEAD:refs/heads/{staged.branch}" for staged in targets]
        if refs:
            (repository or self.repository).git("push", "--quiet", "origin", *refs)

    def heads(self) -> dict[str, str]:
        lines = (line.split("\t") for line in self.repository.git("ls-remote", "--heads", "origin").splitlines())
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in lines}

    def values(self, staged: StagedVersion, keys: Iterable[str], owner: str = OWNER) -> values.Values:
        record = Record(
            repository=owner,
            dataset_id=staged.dataset_id,
            version=staged.version,
            branch=staged.branch,
            commit=self.repository.git("rev-parse", "main"),  # so that a deploy has something to change
            image=IMAGE,
            template_path=entry(staged.dataset_id, staged.version, ())["template_path"],
            stores=[],
        )
        return values.build(Dataset(**entry(staged.dataset_id, staged.version, keys)), record)

    def helm_upgrade(
        self, staged: StagedVersion, keys: Iterable[str] = KEYS, owner: str = OWNER, *flags: str
    ) -> list[str]:
        """The command line of an upgrade by hand, with its values in a file."""
        made = self.values(staged, keys, owner)
        file = self.gate.folder / f"{staged.release}-{time.monotonic_ns()}.yaml"
        file.write_text(values.dump(made))
        marks = ",".join(f"{label}={value}" for label, value in made.release_labels.items())
        return ["upgrade", "--install", staged.release, str(CHART), "-f", str(file), "--labels", marks, *flags]

    def install(self, staged: StagedVersion, *keys: str, owner: str = OWNER) -> None:
        """A release as `staging deploy` leaves it."""
        self.staging.helm(*self.helm_upgrade(staged, keys or KEYS, owner))

    def fire(self, staged: StagedVersion, key: str = "update") -> None:
        """A Job of a CronJob, as its controller makes it; it runs for ever."""
        made = self.live.get("cronjobs", staged.job_name(key))
        name, template = made["metadata"]["name"], made["spec"]["jobTemplate"]
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": made["metadata"]["uid"]}
        owners = [owner | {"controller": True, "blockOwnerDeletion": True}]
        metadata = {**template.get("metadata", {}), "name": f"{name}-29000000", "ownerReferences": owners}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
        assert self.live.create(job).accepted

    def run(
        self,
        door: Door,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        kill: str = "",
    ) -> Run:
        """Start a program behind the gate, with the wrappers before the tools."""
        variables = {**self.environment, **(environment or {})}
        where = folder or self.repository.path
        return Run(self.staging, self.wrappers, door, where, command, environment=variables, kill=kill)

    def start(self, name: str, *args: str) -> Run:
        """Start `staging` so, through a door that lets everything pass."""
        return self.run(self.gate.door(name), staging_command(*args))

    def strike(self, command: Sequence[str], change: int, environment: Mapping[str, str] | None = None) -> Door:
        """Kill a program once the API server has carried out its change of that number."""
        door, started = self.gate.door(f"struck-{time.monotonic_ns()}"), []

        def after(request: Request) -> None:
            if request.number == change:
                wait_until(lambda: started, what="the start")
                started[0].kill()

        door.after = after
        started.append(self.run(door, command, environment))
        assert started[0].end().code == KILLED, started[0].stderr
        return door

    def now(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> Done:
        """Run `staging` to its end, with nothing in between."""
        variables = {**self.environment, **(environment or {})}
        return self.staging(folder or self.repository.path, *command, **variables)

    def helm_command(self, *args: str) -> list[str]:
        """The command line of a helm in the namespace."""
        return ["helm", *args, "--namespace", self.live.name]

    def objects(self) -> dict[str, dict[str, Any]]:
        """Everything in the namespace that could be ours, as kind/name."""
        kinds = ("cronjobs", "jobs", "pods", "secrets", "configmaps")
        return {f"{kind}/{found['metadata']['name']}": found for kind in kinds for found in self.live.all(kind)}

    def shown(self) -> dict[str, str]:
        """What `staging list` shows, and `helm list` as well: releases with their status."""
        rows = {row["release"]: row["status"] for row in self.now(["list", "-o", "json"]).json}
        by_helm = json.loads(self.staging.helm("list", *STATES, "--max", "0", "-o", "json"))
        statuses = {row["name"]: row["status"] for row in by_helm}
        assert rows.items() <= statuses.items()
        return rows


def names(staged: StagedVersion, *keys: str) -> set[str]:
    return {staged.job_name(key) for key in keys}


def remains(objects: Mapping[str, dict[str, Any]], staged: StagedVersion, foreign: Iterable[str]) -> list[str]:
    """What exists of a staged version: its record, and whatever carries its label and is not known as foreign."""
    marks = {(f"{LABEL}release", staged.release), ("name", staged.release)}
    labels = {name: found["metadata"].get("labels", {}) for name, found in objects.items()}
    return sorted(name for name in labels.keys() - set(foreign) if marks & labels[name].items())


def two_projects(server: SentryServer) -> Sentry:
    """A Sentry whose first project is ours; the token may delete the monitors of both."""
    project, other = server.add_project("weather"), server.add_project("other")
    return Sentry(server, project, server.add_token([project, other]))


def state(thing: Mapping[str, Any]) -> object:
    """What may not change in an object of somebody else; what runs of it may write its status."""
    metadata = thing["metadata"]
    writes = [entry for entry in metadata.get("managedFields", []) if entry.get("subresource") != "status"]
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), writes


@contextmanager
def a_world(staging: Staging, live: Namespace, folder: Path, ids: Sequence[str]) -> Generator[World]:
    """These datasets, of which main has another version."""
    repository = make_catalogue_repository(folder / "repository", [entry(i, "0.2.0", KEYS) for i in ids], PYPROJECT)
    let_pushes_be_killed(repository.remote)
    repository.git("checkout", "--quiet", "-b", "staged")
    write_catalogue(repository, [entry(i, VERSION, KEYS) for i in ids])
    repository.commit("Stage everything")
    newer = Repository(folder / "newer", repository.remote)
    repository.git("clone", "--quiet", str(repository.path), str(newer.path))
    newer.git("remote", "set-url", "origin", str(repository.remote))
    newer.git("config", "user.name", "Datasets")
    newer.git("config", "user.email", "datasets@example.org")
    newer.write(FILE, json.dumps([entry(i, VERSION, (*KEYS, NEWER)) for i in ids]))
    newer.commit("Add a job")
    wrappers = make_wrappers(folder / "wrappers")
    (folder / "runs").mkdir()
    with SentryServer() as server, Gate(live.client, folder / "runs") as gate:
        sentry = two_projects(server)
        # Hundreds of runs: the context need not be asked for.
        known = {"STAGING_KUBE_CONTEXT": live.client.config.current_context}
        yield World(staging, live, gate, wrappers, repository, newer, sentry, known | sentry.environment)


@pytest.fixture
def world(staging: Staging, live: Namespace, tmp_path: Path) -> Iterator[World]:
    """A world in the test's own namespace."""
    with a_world(staging, live, tmp_path, POOL) as world:
        yield world


# The matrix


@dataclass
class Case:
    """One staged version whose command is killed once, and what is run then."""

    kind: str
    staged: StagedVersion
    point: Point
    prepare: Callable[["Case"], None]
    command: Sequence[str]  # what is killed
    follow: str  # "cleanup", "deploy", or "newer": a deploy of the newer commit
    sentry: Sentry
    recorded: set[str]  # every job name that the release must know
    strange: list[str] = field(default_factory=list)  # monitors of others, by id
    code: int = KILLED
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kind}, {self.point.name}, then {self.follow} ({self.staged.dataset_id})"


class Killing:
    """All cases of one major of Helm, in one namespace, several at once: each is foreign to the others."""

    def __init__(self, world: World, production: Production, stack: ExitStack) -> None:
        self.world = world
        self.production = production
        self.stack = stack
        self.free = iter(POOL)
        self.foreign: dict[str, object] = {}
        self.foreign_heads: dict[str, str] = {}

    # What stands beside

    def surround(self) -> None:
        """Objects of others with names and labels like ours."""
        world, ids = self.world, POOL
        template = entry(ids[0], VERSION, ("update",))["cronjobs"][0]
        copies = []
        for dataset_id in ids:
            release = StagedVersion(dataset_id, VERSION).release
            metadata = {"name": f"copy-of-{dataset_id}", "labels": {f"{LABEL}release": release}}
            if dataset_id > ids[20]:
                metadata["annotations"] = {"meta.helm.sh/release-name": "other"}
            copies.append(template | {"metadata": metadata})
        plain = [template | {"metadata": {"name": f"{dataset_id}-update"}} for dataset_id in ids[:10]]
        self.production([*copies, *plain])
        for dataset_id in ids[:3]:
            world.live.run_job(f"copy-of-{dataset_id}", f"copy-of-{dataset_id}-now")
        # Staged versions that are not cleaned up: of another repository, and another one of a dataset of ours.
        others = StagedVersion("theirs", VERSION), StagedVersion(ids[0], "0.4.0")
        world.install(others[0], owner="someone-else/datasets")
        world.install(others[1])
        # A release of another chart with a name like ours.
        chart = world.gate.folder / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: other, version: 0.0.1}")
        thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
        (chart / "templates/thing.yaml").write_text(json.dumps(thing))
        world.staging.helm("install", StagedVersion(ids[1], "9.9.9").release, str(chart))
        world.push([others[1], StagedVersion("theirs", VERSION)])
        wait_until(lambda: len(world.live.names("pods")) == 3, what="a pod of each copy")
        self.foreign = {name: state(found) for name, found in world.objects().items()}
        self.foreign_heads = world.heads()

    def report(self, case: Case) -> None:
        """Every job reports to Sentry; so do jobs of others: of the same name, and of names like it."""
        case.sentry.check_in(*case.recorded)
        server, (project, other) = case.sentry.server, case.sentry.server.projects
        ours = case.staged.job_name("update")
        strange = [(ours, other), (f"{ours}-more", project), (case.staged.job_name("unknown"), project)]
        case.strange = [server.add_monitor(slug, where).id for slug, where in strange]

    def fail(self, case: Case) -> None:
        """A `helm upgrade --install` whose CronJobs the API server refuses: the release is `failed`."""
        door = self.world.gate.door(f"{case.staged.dataset_id}-failed")

        def before(request: Request) -> None:
            if request.number and "/cronjobs" in request.path:
                raise RefusedError(403)

        door.before = before
        line = self.world.helm_upgrade(case.staged, (*KEYS, NEWER))
        done = self.world.run(door, self.world.helm_command(*line)).end()
        assert "refused by the test" in done.stderr, done

    # Cases

    def case(
        self,
        kind: str,
        prepare: Callable[[Case], None],
        command: Sequence[str],
        point: Point,
        follow: str,
        recorded: Iterable[str] = ALL,
    ) -> Case:
        """A new one, on a dataset of its own; `command` has {branch} and {release} for its names."""
        staged = StagedVersion(next(self.free), VERSION)
        command = [word.format(branch=staged.branch, release=staged.release) for word in command]
        # Faults of Sentry are for one run alone, so that run has a Sentry of its own.
        sentry = two_projects(self.stack.enter_context(SentryServer())) if point.sentry else self.world.sentry
        return Case(kind, staged, point, prepare, command, follow, sentry, names(staged, *recorded))

    def strike(self, case: Case) -> Door:
        """Prepare a case, run its command, and kill it at its point."""
        case.prepare(case)
        sentry, point = case.sentry, case.point
        started: list[Run] = []
        door = self.world.gate.door(f"{case.staged.dataset_id}-struck")

        def kill() -> None:
            wait_until(lambda: started, what="the start")
            started[0].kill()

        def after(request: Request) -> None:
            if point.request and request.number == point.request:
                kill()

        def asked() -> None:
            assert point.sentry
            if point.sentry[2] == "after" and point.sentry[0] == "DELETE":
                monitor = sentry.server.asked("DELETE")[-1].path.rstrip("/").rpartition("/")[2]
                sentry.server.monitors[:] = [m for m in sentry.server.monitors if m.id != monitor]
            kill()

        if not case.command:
            return door
        door.after = after
        if point.sentry:
            method, number, _ = point.sentry
            sentry.server.inject(Fault(cut="before", before=asked), method=method, skip=number - 1)
        environment = {**sentry.environment, **LOCK}
        started.append(self.world.run(door, case.command, environment, kill=point.kill))
        case.code = started[0].end().code
        return door

    def finish(self, case: Case) -> None:
        """Run what follows until it is done."""
        if not case.follow:
            return
        folder = self.world.newer.path if case.follow == "newer" else self.world.repository.path
        words = verb("cleanup" if case.follow == "cleanup" else "deploy", case.staged)
        for _ in range(5):
            done = self.world.now(words, {**case.sentry.environment, **LOCK}, folder)
            if done.code != UNFINISHED:
                break
        gone = done.code == REFUSED and "there is no release" in done.stderr  # right only if nothing is left: see below
        if done.code != DONE and not (case.follow == "cleanup" and gone):
            case.problems.append(f"{case.follow} ended with {done.code}: {done.stderr.strip()[-800:]}")

    # What became of them

    def check_shown(self, cases: Iterable[Case]) -> None:
        """Whatever is left of a version, both lists still show it."""
        objects, shown = self.world.objects(), self.world.shown()
        for case in cases:
            if case.command and case.code != KILLED:
                case.problems.append(f"was not killed: it ended with {case.code}")
            left = remains(objects, case.staged, self.foreign) or (case.follow == "cleanup" and self.monitors(case))
            if left and case.staged.release not in shown:
                case.problems.append(f"is in no list, with {left} left")

    def monitors(self, case: Case) -> list[str]:
        return [m.slug for m in case.sentry.server.monitors if m.slug in case.recorded and m.id not in case.strange]

    def left_behind(self, cases: Iterable[Case]) -> dict[str, int]:
        """How much should be gone and is not, by case; after a deploy, whether everything is as it deploys."""
        objects, heads, counts = self.world.objects(), self.world.heads(), {}
        for case in cases:
            left = remains(objects, case.staged, self.foreign)
            if case.follow == "cleanup":
                left += [f"monitor/{slug}" for slug in self.monitors(case)]
                left += [f"branch/{branch}" for branch in heads if branch == case.staged.branch]
            else:
                self.check_deployed(case, objects)
                expected = names(case.staged, *KEYS, *([NEWER] if case.follow == "newer" else []))
                left = [name for name in left if name.startswith("cronjobs/") and name[9:] not in expected]
            if left:
                case.problems.append(f"left behind: {', '.join(left)}")
            counts[str(case)] = len(left)
        return counts

    def check_deployed(self, case: Case, objects: Mapping[str, dict[str, Any]]) -> None:
        """The release is deployed, of the right commit, knows every job name that it ever had, and its jobs run on."""
        world, release = self.world, case.staged.release
        commit = (world.newer if case.follow == "newer" else world.repository).git("rev-parse", "HEAD")
        for name in names(case.staged, *KEYS, *([NEWER] if case.follow == "newer" else [])):
            made = objects.get(f"cronjobs/{name}", {"metadata": {"annotations": {}}})["metadata"]["annotations"]
            if made.get(f"{LABEL}commit") != commit:
                case.problems.append(f"CronJob {name} is not of the commit that was deployed")
        if case.kind == "second deploy" and f"jobs/{case.staged.job_name('update')}-29000000" not in objects:
            case.problems.append("its running Job was killed")
        records = [found["metadata"]["labels"] for found in objects.values() if helm_name(found) == release]
        newest = max(records, key=lambda labels: int(labels["version"]), default={"status": "missing"})
        if newest["status"] != "deployed":
            case.problems.append(f"the release is {newest['status']}")
        known = {
            label.removeprefix(f"{LABEL}job.")
            for labels in records
            for label in labels
            if label.startswith(f"{LABEL}job.")
        }
        if forgotten := case.recorded - known:
            case.problems.append(f"forgot {', '.join(sorted(forgotten))}")

    def lost(self, cases: Iterable[Case]) -> list[str]:
        """What belongs to others and is not as it was."""
        objects, heads = self.world.objects(), self.world.heads()
        lost = [name for name, before in self.foreign.items() if name not in objects or state(objects[name]) != before]
        lost += [branch for branch, head in self.foreign_heads.items() if heads.get(branch) != head]
        for case in cases:
            lost += [i for i in case.strange if i not in {m.id for m in case.sentry.server.monitors}]
        return lost + self.production.changes()


def helm_name(thing: Mapping[str, Any]) -> str:
    """The release that an object is a record of."""
    labels = thing["metadata"].get("labels", {})
    return labels["name"] if labels.get("owner") == "helm" else ""


def verb(name: str, staged: StagedVersion) -> list[str]:
    target = ["--branch", staged.branch]
    return [name, *target, *(["--yes"] if name == "cleanup" else ["--docker-image", IMAGE])]


def test_whatever_is_killed_the_same_command_finishes_it(
    world: World, production: Production, matrix: Matrix, helm_major: str
) -> None:

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        killing = Killing(world, production, stack)
        killing.surround()

        def nothing(case: Case) -> None:
            """Not even a release."""

        def once(case: Case) -> None:
            world.install(case.staged, *ALL)
            world.fire(case.staged)
            killing.report(case)

        def twice(case: Case) -> None:
            once(case)
            world.install(case.staged)

        def failed_install(case: Case) -> None:
            killing.fail(case)
            killing.report(case)

        def failed_upgrade(case: Case) -> None:
            once(case)
            killing.fail(case)

        cleanup = staging_command("cleanup", "--branch", "{branch}", "--yes")
        deploy = staging_command("deploy", "--branch", "{branch}", "--docker-image", IMAGE)
        kinds: dict[str, tuple[Callable[[Case], None], list[str], list[str], tuple[str, ...]]] = {
            "cleanup": (twice, cleanup, ["cleanup"], ALL),
            "first deploy": (nothing, deploy, ["deploy", "cleanup", "newer"], KEYS),
            "second deploy": (once, deploy, ["newer", "cleanup", "deploy"], ALL),
        }
        watched = {
            kind: killing.case(kind, prepare, line, Point("not killed"), "", recorded)
            for kind, (prepare, line, _, recorded) in kinds.items()
        }
        world.push(case.staged for case in watched.values())
        doors = dict(zip(watched, pool.map(killing.strike, watched.values()), strict=True))
        assert [case.code for case in watched.values()] == [DONE] * len(watched)
        asked = {method: len(world.sentry.server.asked(method)) for method in ("GET", "DELETE")}

        cases: list[Case] = []
        for kind, (prepare, line, follows, recorded) in reversed(kinds.items()):  # locks first: they take time to die
            found = points(doors[kind], asked if kind == "cleanup" else {}, reading=kind == "cleanup")
            own, others = [p for p in found if p.helm], [p for p in found if not p.helm]
            # Points beside git, kubectl and Sentry are the same for both majors, which take every other one.
            for number, point in enumerate([*own, *others[helm_major == "helm-v3" :: 2]]):
                follow = follows[number % len(follows)]
                cases.append(killing.case(kind, prepare, line, point, follow, recorded))
        # Other states that a release can be in. Helm's own rollback is killed once its record is `pending-rollback`.
        rollback = world.helm_command("rollback", "{release}", "1")
        begun = Point("inside helm rollback", request=1)
        uninstall = world.helm_command("uninstall", "{release}", "--keep-history")
        for follow in ("cleanup", "newer"):
            cases += [
                killing.case("other states", twice, rollback, begun, follow),
                killing.case("other states", failed_install, [], Point("a failed install"), follow, KEYS),
                killing.case("other states", failed_upgrade, [], Point("a failed upgrade"), follow),
            ]
        for point in (Point("inside helm uninstall", request=1), Point("after helm uninstall", kill="after 1")):
            cases.append(killing.case("other states", twice, uninstall, point, "newer"))

        world.push(case.staged for case in cases)
        list(pool.map(killing.strike, cases))
        killing.check_shown(cases)
        world.push((case.staged for case in cases if case.follow == "newer"), world.newer)
        list(pool.map(killing.finish, cases))
        left, lost = killing.left_behind(cases), killing.lost(cases)
    for case in cases:
        count = matrix.count(case.kind, helm_major)
        count.tried += 1
        count.converged += not case.problems
        count.left += left[str(case)]
    matrix.count("cleanup", helm_major).lost += len(lost)
    problems = [f"{case}: {problem}" for case in cases for problem in case.problems]
    assert not problems, "\n".join(problems)
    assert not lost


# One thing at a time


A, B = (StagedVersion(dataset_id, VERSION) for dataset_id in POOL[:2])
SHORT = {"STAGING_TIMEOUT": "2s"}  # where it must run out: a busy machine may need more for what must be done
HELD = "staging-cronjobs.test/held"


SCENARIOS: dict[str, tuple[str, Callable[..., None]]] = {}  # with the fixture of the Helm that they run with


def scenario(*helms: str) -> Callable[[FunctionType], FunctionType]:
    """A test of one world of its own, with each of these Helms."""

    def add(function: FunctionType) -> FunctionType:
        SCENARIOS.update({f"{function.__name__}-{helm}": (helm, function) for helm in helms})
        return function

    return add


def scenario_each(name: str, **values: Any) -> Callable[[FunctionType], FunctionType]:
    """A test whose parameter has a value of its own for each Helm: they do not depend on it, yet both are tried."""

    def add(function: FunctionType) -> FunctionType:
        for helm, value in values.items():
            SCENARIOS[f"{function.__name__}-{value}-{helm}"] = helm, partial(function, **{name: value})
        return function

    return add


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest,
    kube_cluster: ConnectedCluster,
    cluster: Cluster,
    tools_path: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[None]]]:
    """The scenarios that are selected, several at once, each in its own namespace: they spend their time waiting."""
    client = kube_cluster.kube_client
    assert client is not None
    paths = {helm: tools_path(request.getfixturevalue(helm)) for helm in ("helm_3", "helm_4")}

    def run(name: str, folder: Path) -> None:
        helm, function = SCENARIOS[name]
        (folder / "home").mkdir()
        with fresh_namespace(client) as namespace:
            staging = Staging.within(cluster, namespace, paths[helm], folder / "home")
            with a_world(staging, Namespace(client, cluster, namespace), folder, POOL[:2]) as world:
                function(world)

    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["scenario"]) for item in items if item.originalname == test_scenario.__name__]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(run, name, tmp_path_factory.mktemp("scenario")) for name in names}


def stage(world: World, staged: StagedVersion, *keys: str) -> None:
    """A branch, its release, and a report of every job."""
    world.push([staged])
    world.install(staged, *keys)
    world.sentry.check_in(*names(staged, *(keys or KEYS)))


def left(world: World, staged: StagedVersion, objects: Mapping[str, dict[str, Any]] | None = None) -> list[str]:
    """What there is of a staged version anywhere."""
    found = remains(world.objects() if objects is None else objects, staged, ())
    found += [f"monitor/{slug}" for slug in world.sentry.slugs() if slug.startswith(f"{staged.release}-")]
    return found + [f"branch/{branch}" for branch in world.heads() if branch == staged.branch]


def record(world: World, staged: StagedVersion) -> list[str]:
    """The statuses of a release's revisions, oldest first."""
    found = [thing["metadata"]["labels"] for thing in world.live.all("secrets", f"owner=helm,name={staged.release}")]
    return [labels["status"] for labels in sorted(found, key=lambda labels: int(labels["version"]))]


def hold(world: World, kind: str, name: str, finalizers: Sequence[str] = (HELD,)) -> None:
    """Give an object a finalizer, as a lost node or a broken controller does; or, with none, take it away."""
    world.live.patch(kind, name, {"metadata": {"finalizers": list(finalizers) or None}})


@scenario_each("kind", helm_4="pods", helm_3="cronjobs")
def an_uninstall_that_times_out_on_a_finalizer(world: World, kind: str) -> None:
    stage(world, A)
    world.fire(A)
    wait_until(lambda: world.live.names("pods"), what="the pod")
    (name,) = world.live.names("pods") if kind == "pods" else names(A, "update")
    hold(world, kind, name)
    done = world.now(verb("cleanup", A), SHORT)
    assert done.code == UNFINISHED, done.stderr
    assert f"{kind.removesuffix('s')}/{name}" in done.stderr
    assert "Run the same command again" in done.stderr
    assert A.release in world.shown()
    assert set(world.sentry.slugs()) == names(A, *KEYS)  # a pod that lives may still check in
    hold(world, kind, name, ())
    assert world.now(verb("cleanup", A)).code == DONE
    assert not left(world, A)


@scenario_each("name", helm_4="cleanup", helm_3="deploy")
def the_api_server_goes_away_in_the_middle(world: World, name: str) -> None:
    stage(world, A, *ALL)
    world.fire(A)
    door = world.gate.door("outage")

    def before(request: Request) -> None:
        if len(door.changes) > 1:  # from the second change on, which never arrives
            raise RefusedError(503)

    door.before = before
    done = world.run(door, staging_command(*verb(name, A)), SHORT).end()
    assert done.code == UNFINISHED, done.stderr
    assert world.shown()[A.release] == ("uninstalling" if name == "cleanup" else "pending-upgrade")
    assert world.now(verb(name, A), LOCK if name == "deploy" else None).code == DONE
    assert name == "deploy" or not left(world, A)
    assert name == "cleanup" or record(world, A)[-1] == "deployed"


@scenario("helm_4")
def a_remote_that_cannot_be_asked_touches_nothing(world: World) -> None:
    stage(world, A)
    before = {name: state(thing) for name, thing in world.objects().items()}
    remote = world.repository.remote
    moved = remote.rename(remote.with_name("moved.git"))
    done = world.now(verb("cleanup", A))
    moved.rename(remote)
    assert done.code == OUTSIDE
    assert f"cannot ask origin for branch {A.branch}" in done.stderr
    assert {name: state(thing) for name, thing in world.objects().items()} == before
    assert set(world.sentry.slugs()) == names(A, *KEYS)
    assert world.heads()[A.branch]


@scenario("helm_4")
def another_repositorys_version_is_refused(world: World) -> None:
    world.push([A])
    world.install(A, owner="someone-else/datasets")
    before = {name: state(thing) for name, thing in world.objects().items()}
    for name in ("cleanup", "deploy"):
        done = world.now(verb(name, A))
        assert done.code == REFUSED
        assert "someone-else/datasets" in done.stderr
    assert {name: state(thing) for name, thing in world.objects().items()} == before


@scenario("helm_4", "helm_3")
def no_job_name_is_ever_forgotten(world: World) -> None:
    """Dropped, installed over `uninstalled`, rolled back by hand, and by Helm when an upgrade failed."""
    stage(world, A, *ALL)
    world.staging.helm("uninstall", A.release, "--keep-history")
    assert world.now(verb("deploy", A)).code == DONE  # without the dropped job
    world.staging.helm("rollback", A.release, "2")
    world.push([A], world.newer)
    door = world.gate.door("failing")

    def before(request: Request) -> None:
        made = [r for r in door.changes if "/cronjobs" in r.path]
        if request.number and "/cronjobs" in request.path and len(made) == 2:  # the first one was the new job
            world.sentry.check_in(A.job_name(NEWER))
            assert A.job_name(NEWER) in world.live.names("cronjobs")
            raise RefusedError(403)

    door.before = before
    failed = world.run(door, staging_command(*verb("deploy", A)), folder=world.newer.path).end()
    assert failed.code == OUTSIDE, failed.stderr
    assert A.job_name(NEWER) not in world.live.names("cronjobs")
    assert record(world, A)[-1] == "deployed"
    world.push([A])
    assert world.now(verb("deploy", A)).code == DONE
    upgrade = ["upgrade", A.release, str(CHART), "--reuse-values", "--history-max", "3"]
    for _ in range(4):  # one more than it keeps: none is left that had all names by itself
        world.staging.helm(*upgrade)
    assert len(record(world, A)) == 3
    assert set(world.sentry.slugs()) == names(A, *ALL, NEWER)
    done = world.now(verb("cleanup", A))
    assert done.code == DONE, done.stderr
    assert not left(world, A)


def going(world: World, staged: StagedVersion) -> list[str]:
    """CronJobs of a staged version that are being deleted."""
    made = world.live.all("cronjobs", f"{LABEL}release={staged.release}")
    return [c["metadata"]["name"] for c in made if "deletionTimestamp" in c["metadata"]]


def check_deployed(world: World, staged: StagedVersion) -> None:
    """Its release says `deployed`, and its CronJobs are there to stay."""
    assert record(world, staged)[-1] == "deployed"
    assert set(world.live.names("cronjobs", f"{LABEL}release={staged.release}")) == names(staged, *KEYS)
    assert not going(world, staged)


@scenario("helm_4", "helm_3")
def a_deploy_over_an_uninstall_takes_nothing_that_is_on_its_way_out(world: World) -> None:
    """The uninstall is over, or was killed; a finalizer holds a CronJob, for ever or for a while."""
    for staged, status in ((A, "uninstalled"), (B, "uninstalling")):
        stage(world, staged)
        name = staged.job_name("update")
        hold(world, "cronjobs", name)
        uninstall = ("uninstall", staged.release, "--keep-history")
        if status == "uninstalled":
            world.staging.helm(*uninstall)
        else:
            world.strike(world.helm_command(*uninstall), 2)  # the second change deletes a CronJob
        assert world.shown()[staged.release] == status
        assert going(world, staged) == [name]
        done = world.now(verb("deploy", staged), SHORT)
        assert done.code == UNFINISHED, done.stderr
        assert f"cronjob/{name} still there after 2 s" in done.stderr
        assert "Run the same command again" in done.stderr
        assert world.shown()[staged.release] == "uninstalled"
        run = world.start(f"over-{status}", *verb("deploy", staged))
        wait_until(lambda run=run: any("/pods?" in r.path for r in run.door.requests), what="the wait")
        hold(world, "cronjobs", name, ())
        done = run.end()
        assert done.code == DONE, done.stderr
        check_deployed(world, staged)


@scenario("helm_4", "helm_3")
def a_deploy_over_a_cronjob_that_is_being_deleted_is_refused(world: World) -> None:
    """Of a release that is deployed, or that helm has purged already."""
    for staged, purged in ((A, False), (B, True)):
        stage(world, staged)
        name = staged.job_name("update")
        hold(world, "cronjobs", name)
        if purged:
            world.staging.helm("uninstall", staged.release)
        else:
            world.live.delete("cronjobs", name)
        assert going(world, staged) == [name]
        done = world.now(verb("deploy", staged))
        assert done.code == REFUSED, done.stderr
        assert f"CronJob {name} of release {staged.release} is being deleted. Nothing was touched." in done.stderr
        assert len(record(world, staged)) == (0 if purged else 1)
        hold(world, "cronjobs", name, ())
        assert world.now(verb("deploy", staged)).code == DONE
        check_deployed(world, staged)


@scenario("helm_4")
def a_cronjob_that_is_made_anew_just_before_it_is_deleted_stays(world: World) -> None:
    """Under the name of the one that the cleanup saw."""
    stage(world, A)
    name, made = A.job_name("validate"), []
    door = world.gate.door("cleanup")

    def before(request: Request) -> None:
        if request.method != "DELETE" or f"/cronjobs/{name}" not in request.path or made:
            return
        if request.helm:
            raise RefusedError(403)  # so that it is left to kubectl
        spec = world.live.get("cronjobs", name)["spec"]
        world.live.delete("cronjobs", name)
        theirs = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}
        assert world.live.create(theirs).accepted
        made.append(world.live.get("cronjobs", name))

    door.before = before
    done = world.run(door, staging_command(*verb("cleanup", A))).end()
    assert done.code == UNFINISHED, done.stderr
    assert f"kubectl could not delete cronjob/{name}" in done.stderr
    assert [world.live.get("cronjobs", name)] == made
    assert set(world.sentry.slugs()) == names(A, *KEYS)
    refused = world.now(verb("cleanup", A))
    assert refused.code == REFUSED
    assert f"CronJob {name} has the name of a job of release {A.release} but does not belong to it" in refused.stderr
    world.live.delete("cronjobs", name)
    assert world.now(verb("cleanup", A)).code == DONE
    assert not left(world, A)


# Upgrades that fail, and what is said of them


@scenario("helm_4", "helm_3")
def an_upgrade_that_can_neither_go_on_nor_back_says_so(world: World) -> None:
    stage(world, A)
    door = world.gate.door("refusing")

    def before(request: Request) -> None:
        if request.number and "/cronjobs" in request.path:
            raise RefusedError(403)

    door.before = before
    done = world.run(door, staging_command(*verb("deploy", A))).end()
    assert done.code == UNFINISHED, done.stderr
    assert f"helm could not deploy {A.release}, nor undo it. It is failed: " in done.stderr
    assert "rolled it back" not in done.stderr
    assert record(world, A)[-1] == "failed"
    assert world.now(verb("deploy", A)).code == DONE
    check_deployed(world, A)


def overtaken(world: World, *, reading: bool) -> Done:
    """A deploy whose helm stops, before it reads or before it writes, while a newer commit is deployed."""
    stage(world, A)
    door, held = world.gate.door("older"), Hold()

    def before(request: Request) -> None:
        if request.helm and door.calls[-1].startswith("helm upgrade") and (reading or request.number):
            held()

    door.before = before
    older = world.run(door, staging_command(*verb("deploy", A)))
    held.wait()
    world.push([A], world.newer)
    newer = world.now(verb("deploy", A), folder=world.newer.path)
    assert newer.code == DONE, newer.stderr
    held.release()
    return older.end()


def commits(world: World) -> set[str]:
    """The commits that the CronJobs run."""
    return {c["metadata"]["annotations"][f"{LABEL}commit"] for c in world.live.all("cronjobs", f"{LABEL}release")}


@scenario("helm_4", "helm_3")
def an_older_deploy_that_wins_says_so(world: World) -> None:
    done = overtaken(world, reading=True)
    old, new = (repository.git("rev-parse", "HEAD") for repository in (world.repository, world.newer))
    assert done.code == UNFINISHED, done.stderr
    assert f"(commit {new[:12]}) of release {A.release} at the same time, and this one has replaced" in done.stderr
    assert commits(world) == {old}
    assert world.now(verb("deploy", A), folder=world.newer.path).code == DONE  # as it says
    assert commits(world) == {new}


@scenario("helm_4", "helm_3")
def an_older_deploy_that_loses_does_not_say_that_it_rolled_back(world: World) -> None:
    done = overtaken(world, reading=False)
    assert done.code == REFUSED, done.stderr
    assert f"another command was at work on release {A.release} at the same time" in done.stderr
    assert "rolled it back" not in done.stderr
    assert commits(world) == {world.newer.git("rev-parse", "HEAD")}


# Others at work


@scenario_each("name", helm_4="deploy", helm_3="cleanup")
def a_helm_that_is_alive_is_waited_for(world: World, name: str) -> None:
    stage(world, A, *ALL)
    door, held = world.gate.door("other-helm"), Hold()
    door.after = lambda request: held() if request.number == 1 else None
    other = world.run(door, world.helm_command(*world.helm_upgrade(A)))
    held.wait()
    run = world.start("waiting", *verb(name, A))
    wait_until(lambda: "waiting for another helm" in run.stderr, what="the wait")
    held.release()
    assert other.end().code == 0
    done = run.end()
    assert done.code == DONE, done.stderr
    assert "taking over" not in done.stderr
    assert name == "deploy" or not left(world, A)
    assert name == "cleanup" or record(world, A) == ["superseded", "superseded", "deployed"]


@scenario("helm_4")
def a_deploy_that_waited_asks_for_the_branch_again(world: World) -> None:
    """While it waits for a living helm, a newer push comes: its old commit must not be deployed over that."""
    stage(world, A)
    door, held = world.gate.door("other-helm"), Hold()
    door.after = lambda request: held() if request.number == 1 else None
    other = world.run(door, world.helm_command(*world.helm_upgrade(A)))
    held.wait()
    run = world.start("waiting", *verb("deploy", A))
    wait_until(lambda: "waiting for another helm" in run.stderr, what="the wait")
    world.push([A], world.newer)
    held.release()
    assert other.end().code == 0
    done = run.end()
    assert done.code == SUPERSEDED, done.stderr
    assert "a newer push deploys it" in done.stderr


@scenario_each("kept", helm_4="a record", helm_3="nothing")
def a_pause_that_waited_does_not_bring_a_release_back(world: World, kept: str) -> None:
    """A helm was killed at an upgrade; while the pause waits for it, somebody takes the release away."""
    stage(world, A)
    world.strike(world.helm_command(*world.helm_upgrade(A)), 1)
    run = world.start("pause", "pause", "--branch", A.branch)
    wait_until(lambda: "waiting for another helm" in run.stderr, what="the wait")
    world.staging.helm("uninstall", A.release, "--wait", *(["--keep-history"] if kept == "a record" else []))
    done = run.end()
    assert done.code == REFUSED, done.stderr
    state = "is uninstalled" if kept == "a record" else "does not exist"
    assert f"release {A.release} {state} in " in done.stderr
    assert not world.live.names("cronjobs")


def firing(world: World, staged: StagedVersion) -> set[str]:
    """The CronJobs of a staged version that are not suspended."""
    made = world.live.all("cronjobs", f"{LABEL}release={staged.release}")
    return {c["metadata"]["name"] for c in made if not c["spec"].get("suspend")}


@scenario("helm_4", "helm_3")
def a_pause_works_at_once_while_a_deploy_is_at_work(world: World) -> None:
    """Its helm holds the lock, and will write CronJobs that are not suspended."""
    stage(world, A)
    world.fire(A)
    door, held = world.gate.door("deploy"), Hold()
    door.after = lambda request: held() if request.number == 1 else None
    deploy = world.run(door, staging_command(*verb("deploy", A)))
    held.wait()
    pause = world.start("pause", "pause", "--branch", A.branch, "--stop-running")
    wait_until(lambda: not firing(world, A) and not world.live.names("jobs"), what="the pause")
    wait_until(lambda: "waiting for another helm" in pause.stderr, what="the wait")
    assert f"suspended {', '.join(sorted(names(A, *KEYS)))}" in pause.stderr
    assert f"stopped, with their pods: {A.job_name('update')}-29000000" in pause.stderr
    assert re.search(
        r"Helm's record says so too: when that helm has ended, by \d\d:\d\d UTC at the latest", pause.stderr
    )
    assert record(world, A) == ["deployed", "pending-upgrade"]
    held.release()
    ends = deploy.end(), pause.end()
    assert [done.code for done in ends] == [DONE, DONE], ends
    assert "is paused.\n" in ends[1].stdout
    assert not firing(world, A)
    assert record(world, A) == ["superseded", "superseded", "deployed"]
    assert world.now(verb("deploy", A)).code == DONE
    assert not firing(world, A)


@scenario_each("change", helm_4=1, helm_3=2)
def a_pause_takes_a_killed_upgrade_over_and_nothing_fires(world: World, change: int) -> None:
    """The record of the killed helm is the newest; of its changes some were made, or none."""
    stage(world, A)
    world.strike(world.helm_command(*world.helm_upgrade(A, ALL)), change)
    make_canary(world.live)
    folder = world.gate.folder / "watched"
    folder.mkdir()
    with watched(world.live, folder):
        pause = world.run(world.gate.door("pause"), staging_command("pause", "--branch", A.branch), SHORT)
        wait_until(lambda: not firing(world, A), what="the pause")
        fire_all(world.live)
        done = pause.end()
        assert done.code == DONE, done.stderr
        fire_all(world.live)
    assert f"taking over {A.release}: a helm was killed and left it pending-upgrade" in done.stderr
    paused = False
    for there in history(folder):
        now = {n for (kind, n), c in there.items() if kind == "cronjobs" and c["spec"].get("suspend")}
        paused = paused or names(A, *KEYS) <= now
        assert not paused or names(A, *KEYS) <= now, "it fired again"
    assert paused and not {name for name in world.live.names("jobs") if name.startswith("staging-")}
    assert record(world, A) == ["superseded", "failed", "deployed"]
    for verb_, state in (("pause", "paused already"), ("resume", "running")):
        assert f"is {state}" in world.now([verb_, "--branch", A.branch]).stdout
    assert firing(world, A) >= names(A, *KEYS)
    done = world.now(verb("cleanup", A))
    assert done.code == DONE, done.stderr
    assert not left(world, A)


@scenario_each("change", helm_4=2, helm_3=1)
def a_pause_of_one_job_takes_a_killed_upgrade_over_too(world: World, change: int) -> None:
    """And a pause that was killed is still meant."""
    stage(world, A)
    world.now(["pause", "--branch", A.branch, "--key", "update"])
    world.strike(staging_command("pause", "--branch", A.branch, "--key", "validate"), change)
    world.staging.tool("kubectl", "patch", "cronjob", A.job_name("validate"), "--patch", '{"spec": {"suspend": false}}')
    done = world.now(["pause", "--branch", A.branch, "--key", "plot"], SHORT)
    assert done.code == REFUSED and "has no job 'plot', only update, validate" in done.stderr
    done = world.now(["pause", "--branch", A.branch, "--key", "validate"], SHORT)
    assert done.code == DONE, done.stderr
    assert f"suspended {A.job_name('validate')}\n" in done.stderr
    (row,) = world.now(["list", "-o", "json"]).json
    assert (row["paused"], [job["paused"] for job in row["jobs"]]) == (False, [True, True])
    assert not firing(world, A)
    assert record(world, A)[-1] == "deployed"


@scenario("helm_4", "helm_3")
def a_pause_of_a_killed_first_deploy(world: World) -> None:
    """It has no other revision: it is finished, paused."""
    world.push([A])
    world.strike(world.helm_command(*world.helm_upgrade(A)), 2)
    done = world.now(["pause", "--branch", A.branch], SHORT)
    assert done.code == DONE, done.stderr
    assert record(world, A) == ["superseded", "deployed"]
    assert not firing(world, A)
    check_deployed(world, A)


@scenario("helm_4", "helm_3")
def a_pause_whose_record_cannot_be_put_right_is_unfinished(world: World) -> None:
    stage(world, A)
    world.strike(world.helm_command(*world.helm_upgrade(A)), 1)
    door = world.gate.door("pause")

    def before(request: Request) -> None:
        if request.number and "/secrets" in request.path:
            raise RefusedError(403)

    door.before = before
    resumed = world.now(["resume", "--branch", A.branch], SHORT)
    assert resumed.code == OUTSIDE, resumed.stderr
    assert f"left by a helm that was killed. Deploy it again. Or run `staging pause {A.branch}`" in resumed.stderr
    done = world.run(door, staging_command("pause", "--branch", A.branch), SHORT).end()
    assert done.code == UNFINISHED, done.stderr
    assert f"The CronJobs of {A.release} are suspended, but Helm's record does not say so yet." in done.stderr
    assert not firing(world, A)
    assert world.now(["pause", "--branch", A.branch], SHORT).code == DONE
    assert record(world, A)[-1] == "deployed"


@scenario("helm_4", "helm_3")
def a_sweep_tells_of_a_release_that_a_killed_helm_has_left(world: World) -> None:
    stage(world, A)
    stage(world, B)
    for staged in (A, B):
        world.strike(world.helm_command(*world.helm_upgrade(staged)), 1)
    world.repository.delete_remote_branch(B.branch)
    for environment, state in (({}, "its helm is at work, or was killed"), (SHORT, "its helm was killed")):
        if environment:
            wait_until(lambda: world.now(["sweep"], SHORT).stdout.count("its helm was killed") > 1, what="its end")
        done = world.now(["sweep", "--grace", "0s", "-o", "json"], environment)
        found = {f["name"]: (f["kind"], f["removable"], f["detail"]) for f in done.json}
        assert len(done.json) == len(found) == 2
        assert found[A.release][:2] == ("pending", False)
        assert found[B.release][:2] == ("no-branch", True)
        assert found[B.release][2].startswith(f"branch {B.branch} is gone; pending-upgrade for ")
        assert all(f"s: {state}" in detail for _, _, detail in found.values())
    done = world.now(["sweep", "--grace", "0s", "--yes"], SHORT)
    assert done.code == DONE, done.stderr
    assert not left(world, B) and record(world, A)[-1] == "pending-upgrade"


@scenario("helm_4")
def a_pause_suspends_nothing_that_is_not_its_own(world: World) -> None:
    """A CronJob that somebody put in the place of one, and one that only has its labels."""
    stage(world, A)
    world.strike(world.helm_command(*world.helm_upgrade(A)), 1)
    update = A.job_name("update")
    made = world.live.get("cronjobs", update)
    world.live.delete("cronjobs", update)
    plain = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": made["spec"]}
    for name in (update, "copy"):
        labels = made["metadata"]["labels"]
        assert world.live.create({**plain, "metadata": {"name": name, "labels": labels}}).accepted
    before = {name: state(thing) for name, thing in world.objects().items()}
    done = world.now(["pause", "--branch", A.branch], SHORT)
    assert done.code == REFUSED, done.stderr
    assert f"CronJob {update} has the name of a job of release {A.release} but does not belong to it." in done.stderr
    assert {name: state(thing) for name, thing in world.objects().items()} == before


@scenario_each("when", helm_4="before", helm_3="after")
def a_deploy_that_a_cleanup_overtakes_leaves_no_orphan(world: World, when: str) -> None:
    """The deploy has seen its branch, and stands just before, or just after, it took Helm's lock."""
    stage(world, A)
    door, held = world.gate.door("deploy"), Hold()
    setattr(door, when, lambda request: held() if request.number == 1 else None)
    deploy = world.run(door, staging_command(*verb("deploy", A)))
    held.wait()
    cleanup = world.start("cleanup", *verb("cleanup", A))
    if when == "before":
        assert cleanup.end().code == DONE, cleanup.stderr
    else:
        wait_until(lambda: "waiting for another helm" in cleanup.stderr, what="the wait")
    held.release()
    ends = deploy.end(), cleanup.end()
    assert ends[0].code == SUPERSEDED, ends[0].stderr
    assert ends[1].code == DONE, ends[1].stderr
    # The deploy cannot know of monitors, so at most a record is left, which says that there is something to do.
    if left(world, A):
        assert {thing.partition("/")[0] for thing in left(world, A)} == {"secrets"}
        assert world.shown() == {A.release: "uninstalled"}
        assert world.now(verb("cleanup", A)).code == DONE
    assert not left(world, A)


@scenario("helm_4")
def a_deploy_during_a_cleanup_is_superseded(world: World) -> None:
    stage(world, A)
    door, held = world.gate.door("cleanup"), Hold()
    door.before = lambda request: held() if request.number == 1 else None
    cleanup = world.run(door, staging_command(*verb("cleanup", A)))
    held.wait()
    before = {name: state(thing) for name, thing in world.objects().items()}
    done = world.now(verb("deploy", A))
    assert done.code == SUPERSEDED, done.stderr
    assert {name: state(thing) for name, thing in world.objects().items()} == before
    held.release()
    assert cleanup.end().code == DONE
    assert not left(world, A)


@scenario("helm_4")
def a_push_during_a_cleanup_is_not_taken_away(world: World) -> None:
    """The cleanup has deleted all but monitors and record when the branch is pushed and deployed anew."""
    stage(world, A)
    held = Hold()
    world.sentry.server.inject(Fault(before=held), skip=1)
    cleanup = world.start("cleanup", *verb("cleanup", A))
    held.wait()
    world.push([A])
    assert world.now(verb("deploy", A)).code == DONE
    held.release()
    done = cleanup.end()
    assert done.code == SUPERSEDED, done.stderr
    assert "deployed again" in done.stderr
    assert world.shown() == {A.release: "deployed"}
    assert set(world.live.names("cronjobs")) == names(A, *KEYS)
    assert world.heads()[A.branch]


@scenario("helm_4")
def a_deploy_between_the_last_look_and_the_end_of_a_cleanup_is_not_lost(world: World) -> None:
    """Of what was read just before, not even the record goes once somebody has built on it."""
    stage(world, A)
    door, held = world.gate.door("cleanup"), Hold()
    door.before = lambda request: held() if str(request).startswith("DELETE secrets") else None
    cleanup = world.run(door, staging_command(*verb("cleanup", A)))
    held.wait()
    world.push([A])
    assert world.now(verb("deploy", A)).code == DONE
    held.release()
    done = cleanup.end()
    assert world.shown() == {A.release: "deployed"}
    assert set(world.live.names("cronjobs")) == names(A, *KEYS)
    assert done.code == SUPERSEDED, done.stderr
    assert "deployed again" in done.stderr


@scenario_each("place", helm_4="PUT secrets", helm_3="DELETE secrets")
def two_cleanups_of_one_version_both_end_well(world: World, place: str) -> None:
    """One stands just before it marks, or purges, the release while another does everything."""
    stage(world, A)
    world.fire(A)
    door, held = world.gate.door("first"), Hold()
    door.before = lambda request: held() if str(request).startswith(place) else None
    first = world.run(door, staging_command(*verb("cleanup", A)))
    held.wait()
    second = world.now(verb("cleanup", A))
    held.release()
    assert second.code == DONE, second.stderr
    done = first.end()
    assert done.code == DONE, done.stderr
    assert not left(world, A)


@scenario("helm_4")
def two_cleanups_at_the_same_time(world: World) -> None:
    stage(world, A)
    world.fire(A)
    ends = [run.end() for run in [world.start(f"run-{number}", *verb("cleanup", A)) for number in range(2)]]
    assert DONE in {done.code for done in ends}
    assert all(done.code in (DONE, REFUSED) for done in ends), [done.stderr for done in ends]  # refused: came too late
    assert not left(world, A)


@scenario("helm_4")
def of_many_at_once_the_one_that_fails_stops_no_other(world: World) -> None:
    for staged in (A, B):
        stage(world, staged)
    hold(world, "cronjobs", A.job_name("update"))
    done = world.now(["cleanup", "--branch", A.branch, "--branch", B.branch, "--yes"], {"STAGING_TIMEOUT": "8s"})
    assert done.code == UNFINISHED
    said = done.stderr.splitlines()
    assert f"{B.branch}: done" in said
    assert any(line.startswith(f"{A.branch}: exit code {UNFINISHED}: ") for line in said)
    assert said[-1].startswith("error: 1 of 2 staged versions are not cleaned up")
    assert not left(world, B)
    assert world.shown().keys() == {A.release}
    hold(world, "cronjobs", A.job_name("update"), ())
    assert world.now(["cleanup", "--dataset-id", A.dataset_id, "--all-versions", "--yes"]).code == DONE
    assert not left(world, A)


# Draining, and records elsewhere


@scenario("helm_4")
def drain_waits_for_jobs_that_run(world: World) -> None:
    stage(world, A)
    world.fire(A)
    run = world.start("drain", *verb("cleanup", A), "--drain", "--drain-limit", "60s")
    job = f"{A.job_name('update')}-29000000"
    wait_until(lambda: f"waiting for 1 running Jobs: {job}" in run.stderr, what="the wait")
    assert world.shown() == {A.release: "deployed"}
    assert all(made["spec"]["suspend"] for made in world.live.all("cronjobs"))
    assert world.live.names("pods")
    end_pods(world)
    done = run.end()
    assert done.code == DONE, done.stderr
    assert not left(world, A)


@scenario_each("pending", helm_4=True, helm_3=False)
def a_drain_has_a_limit(world: World, pending: bool) -> None:
    """Also of a release whose upgrade was killed."""
    stage(world, A)
    world.fire(A)
    if pending:
        world.strike(world.helm_command(*world.helm_upgrade(A)), 1)
    drain = [*verb("cleanup", A), "--drain", "--drain-limit", "1s"]
    done = world.now(drain, LOCK)
    assert done.code == UNFINISHED, done.stderr
    assert f"1 Jobs of {A.release} still run after 1 s. The release is paused." in done.stderr
    assert world.shown() == {A.release: "deployed"}
    assert world.live.names("pods")
    assert set(world.sentry.slugs()) == names(A, *KEYS)
    end_pods(world)
    assert world.now(drain).code == DONE
    assert not left(world, A)


def end_pods(world: World) -> None:
    """The pods' work is done."""
    for pod in world.live.names("pods"):
        world.live.patch("pods", pod, {"status": {"phase": "Succeeded"}}, subresource="status")


@scenario("helm_3")
def records_in_configmaps_survive_a_kill(world: World) -> None:
    driver = {"HELM_DRIVER": "configmap"}
    world.push([A])
    assert world.now(verb("deploy", A), driver).code == DONE
    world.sentry.check_in(*names(A, *KEYS))
    world.strike(staging_command(*verb("cleanup", A)), 1, driver)
    (row,) = world.now(["list", "-o", "json"], driver).json
    assert (row["release"], row["status"]) == (A.release, "uninstalling")
    assert not world.live.names("secrets", "owner=helm")
    assert world.now(verb("cleanup", A), driver).code == DONE
    assert not left(world, A)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, running: Mapping[str, Future[None]]) -> None:
    running[scenario].result()
