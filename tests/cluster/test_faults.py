"""Interrupted anywhere: the same command finishes the work, until then the version is shown, and nothing else is lost.

The fault matrix kills `staging` at every point of its work and prints at the end what became of it.
"""

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from catalogues import FILE, cron_job, dataset, make_catalogue_repository
from faults import (
    Door,
    Gate,
    Hold,
    Matrix,
    Point,
    RefusedError,
    Request,
    Run,
    UnreachableError,
    let_pushes_be_killed,
    make_wrappers,
    points,
    staging_command,
)
from live import IMAGE, LABEL, Done, Namespace, Production, Staging, wait_until
from repositories import Repository
from sentry_server import Fault, SentryServer
from staged import CHART, RUN_SECONDS, Sentry
from staging_cronjobs import values
from staging_cronjobs.catalogue import Dataset
from staging_cronjobs.staged_version import StagedVersion
from staging_cronjobs.values import Record

DONE, REFUSED, OUTSIDE, UNFINISHED, SUPERSEDED = 0, 3, 4, 5, 6
KILLED = -signal.SIGKILL
VERSION = "0.3.0"
OWNER = "dynamical-demo/datasets"
PYPROJECT = f'[tool.staging-cronjobs]\ndatasets = ["{FILE}"]\n'
KEYS = ("update", "validate")
DROPPED = "archive-files"  # a key that the code had once
NEWER = "plot"  # a key that the newer commit adds
KEPT = {"helm.sh/resource-policy": "keep"}  # on `validate`: Helm leaves it, and cleanup deletes it by kubectl
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


@pytest.fixture
def gate(live: Namespace, tmp_path: Path) -> Iterator[Gate]:
    """The API server behind the gate."""
    folder = tmp_path / "runs"
    folder.mkdir()
    with Gate(live.client, folder) as gate:
        yield gate


def entry(dataset_id: str, version: str, keys: Iterable[str]) -> dict[str, Any]:
    """A dataset of the catalogue: jobs that never fire by themselves and run for ever."""
    jobs = [cron_job(f"{dataset_id}-{key}") for key in keys]
    for job in jobs:
        job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {RUN_SECONDS: "3600"}}
        if job["metadata"]["name"].endswith("-validate"):
            job["metadata"]["annotations"] = KEPT
    return dataset(dataset_id, version, *jobs)


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

    @property
    def commit(self) -> str:
        return self.repository.git("rev-parse", "HEAD")

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
        self, door: Door, *command: str, folder: Path | None = None, kill: str = "", **environment: str
    ) -> Run:
        """Start a program behind the gate, with the wrappers before the tools."""
        variables = {**self.environment, **environment}
        where = folder or self.repository.path
        return Run(self.staging, self.wrappers, door, where, command, environment=variables, kill=kill)

    def start(self, name: str, *args: str, **environment: str) -> Run:
        """Start `staging` so."""
        return self.run(self.gate.door(name), *staging_command(*args), **environment)

    def now(self, *args: str, folder: Path | None = None, **environment: str) -> Done:
        """Run `staging` to its end, with nothing in between."""
        return self.staging(folder or self.repository.path, *args, **{**self.environment, **environment})

    def objects(self) -> dict[str, dict[str, Any]]:
        """Everything in the namespace that could be ours, as kind/name."""
        kinds = ("cronjobs", "jobs", "pods", "secrets", "configmaps")
        return {f"{kind}/{found['metadata']['name']}": found for kind in kinds for found in self.live.all(kind)}

    def shown(self) -> dict[str, str]:
        """What `staging list` shows, and `helm list` as well: releases with their status."""
        rows = {row["release"]: row["status"] for row in self.now("list", "-o", "json").json}
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


@pytest.fixture
def world(
    staging: Staging, live: Namespace, gate: Gate, tmp_path: Path
) -> Iterator[World]:
    """The datasets of the pool, of which main has another version."""
    repository = make_catalogue_repository(
        tmp_path / "repository", [entry(i, "0.2.0", KEYS) for i in POOL], PYPROJECT
    )
    let_pushes_be_killed(repository.remote)
    repository.git("checkout", "--quiet", "-b", "staged")
    repository.write(FILE, json.dumps([entry(i, VERSION, KEYS) for i in POOL]))
    repository.commit("Stage everything")
    repository.git("clone", "--quiet", str(repository.path), str(tmp_path / "newer"))
    newer = Repository(tmp_path / "newer", repository.remote)
    newer.git("remote", "set-url", "origin", str(repository.remote))
    newer.git("config", "user.name", "Datasets")
    newer.git("config", "user.email", "datasets@example.org")
    newer.write(FILE, json.dumps([entry(i, VERSION, (*KEYS, NEWER)) for i in POOL]))
    newer.commit("Add a job")
    wrappers = make_wrappers(tmp_path / "wrappers")
    with SentryServer() as server:
        sentry = two_projects(server)
        yield World(staging, live, gate, wrappers, repository, newer, sentry, sentry.environment)


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
    tries: int = 0
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
        self.cases: list[Case] = []
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

    def strange_monitors(self, case: Case) -> list[str]:
        """The same slug in another project, and names like ours that no record has, as id and slug."""
        server, (project, other) = case.sentry.server, case.sentry.server.projects
        ours = case.staged.job_name("update")
        strange = [(ours, other), (f"{ours}-more", project), (case.staged.job_name("unknown"), project)]
        return [server.add_monitor(slug, where).id for slug, where in strange]

    # Cases

    def case(
        self,
        kind: str,
        prepare: Callable[[Case], None],
        command: Sequence[str],
        point: Point,
        follow: str,
        recorded: Iterable[str] = (*KEYS, DROPPED),
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

        door.after = after
        if point.sentry:
            method, number, _ = point.sentry
            sentry.server.inject(Fault(cut="before", before=asked), method=method, skip=number - 1)
        environment = {**sentry.environment, **LOCK}
        started.append(self.world.run(door, *case.command, kill=point.kill, **environment))
        case.code = started[0].end().code
        return door

    def finish(self, case: Case) -> None:
        """Run what follows until it is done."""
        if not case.follow:
            return
        folder = self.world.newer.path if case.follow == "newer" else self.world.repository.path
        words = verb("cleanup" if case.follow == "cleanup" else "deploy", case.staged)
        for _ in range(5):
            done = self.world.now(*words, folder=folder, **case.sentry.environment, **LOCK)
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

    def left_behind(self, cases: Iterable[Case]) -> int:
        """What should be gone and is not; for a deploy, what is not as it deploys."""
        objects, heads, count = self.world.objects(), self.world.heads(), 0
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
            count += len(left)
        return count

    def check_deployed(self, case: Case, objects: Mapping[str, dict[str, Any]]) -> None:
        """The release is deployed, of the right commit, and knows every job name that it ever had."""
        world, release = self.world, case.staged.release
        commit = (world.newer if case.follow == "newer" else world.repository).git("rev-parse", "HEAD")
        for name in names(case.staged, *KEYS, *([NEWER] if case.follow == "newer" else [])):
            made = objects.get(f"cronjobs/{name}", {"metadata": {"annotations": {}}})["metadata"]["annotations"]
            if made.get(f"{LABEL}commit") != commit:
                case.problems.append(f"CronJob {name} is not of the commit that was deployed")
        records = [found["metadata"]["labels"] for found in objects.values() if helm_name(found) == release]
        newest = max(records, key=lambda labels: int(labels["version"]), default={"status": "missing"})
        if newest["status"] != "deployed":
            case.problems.append(f"the release is {newest['status']}")
        known = {name for labels in records for label, name in labels.items() if label.startswith(f"{LABEL}job.")}
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
    world: World, production: Production, matrix: Matrix, helm: Path
) -> None:
    with ExitStack() as stack:
        killing = Killing(world, production, stack)
        killing.surround()

        def monitored(case: Case) -> None:
            case.sentry.check_in(*case.recorded)
            case.strange = killing.strange_monitors(case)

        def nothing(case: Case) -> None:
            """Not even a release."""

        def once(case: Case) -> None:
            world.install(case.staged, *KEYS, DROPPED)
            world.fire(case.staged)
            monitored(case)

        def twice(case: Case) -> None:
            once(case)
            world.install(case.staged)

        def failed(case: Case) -> None:
            once(case)
            failing_helm(world, case, "PATCH")

        def failed_install(case: Case) -> None:
            monitored(case)
            failing_helm(world, case, "POST")

        def uninstalled(case: Case) -> None:
            twice(case)
            world.staging.helm("uninstall", case.staged.release, "--keep-history")

        cleanup = staging_command("cleanup", "--branch", "{branch}", "--yes")
        deploy = staging_command("deploy", "--branch", "{branch}", "--docker-image", IMAGE)
        rollback = ["helm", "rollback", "{release}", "1", "--namespace", world.live.name]
        kinds = {
            "cleanup": (twice, cleanup, "cleanup"),
            "first deploy": (nothing, deploy, "deploy"),
            "second deploy": (once, deploy, "deploy"),
            "helm rollback": (twice, rollback, "deploy"),
        }
        with ThreadPoolExecutor(AT_ONCE) as pool:
            watched = {
                kind: killing.case(kind, prepare, line, Point("not killed"), "", KEYS if prepare == nothing else ALL)
                for kind, (prepare, line, _) in kinds.items()
            }
            world.push(case.staged for case in watched.values())
            doors = dict(zip(watched, pool.map(killing.strike, watched.values()), strict=True))
            assert [case.code for case in watched.values()] == [DONE] * len(watched)
            asked = {method: len(world.sentry.server.asked(method)) for method in ("GET", "DELETE")}

            cases: list[Case] = []
            for kind, (prepare, line, follow) in kinds.items():
                found = points(doors[kind], asked if kind == "cleanup" else {})
                for number, point in enumerate(found):
                    recorded = KEYS if prepare == nothing else ALL
                    again = "newer" if follow == "deploy" and number % 2 else follow
                    cases.append(killing.case(kind, prepare, line, point, again, recorded))
                    print(kind, point)
            world.push(case.staged for case in cases)
            list(pool.map(killing.strike, cases))
            killing.check_shown(cases)
            world.push(case.staged for case in cases if case.follow == "deploy")
            world.push((case.staged for case in cases if case.follow == "newer"), world.newer)
            list(pool.map(killing.finish, cases))
        left, lost = killing.left_behind(cases), killing.lost(cases)
        for kind in kinds:
            count = matrix.count(kind, helm.parent.name)
            of_kind = [case for case in cases if case.kind == kind]
            count.tried, count.converged = len(of_kind), sum(not case.problems for case in of_kind)
        problems = [f"{case}: {problem}" for case in cases for problem in case.problems]
        assert not problems, "\n".join(problems)
        assert (left, lost) == (0, [])


def failing_helm(world: World, case: Case, method: str) -> None:
    """A `helm upgrade --install` whose changes of CronJobs the API server refuses: the release is `failed`."""
    door = world.gate.door(f"{case.staged.dataset_id}-failed")

    def before(request: Request) -> None:
        if request.method == method and "/cronjobs" in request.path:
            raise RefusedError(403)

    door.before = before
    line = ["helm", *world.helm_upgrade(case.staged), "--namespace", world.live.name]
    done = world.run(door, *line).end()
    assert done.code == 1, done
