"""Pushes and deletions at random, several at a time, while the API server restarts: what is staged at the end?

`make soak` tries it on a control plane of its own and prints a table. It ends with 1 unless exactly the branches that
live are staged, each at its head, and nothing else is left of any other: no release, record, CronJob, Job, pod or
monitor. The same `--seed` makes the same pushes and deletions in the same order; how runs overlap is the machine's.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pykube

from controlplane import binaries, cluster
from live import RUN_SECONDS, Done, Namespace, Staging, make_job
from records import unpacked
from repositories import Repository, make_repository
from sentry_server import SentryServer
from staged import Place, Sentry
from staging_cronjobs.model import marks
from staging_cronjobs.model.staged_version import StagedVersion

DATASETS = ("ridge-snow", "harbor-wind-forecast", "glacier-ice-forecast-5-day", "estuary-salinity-analysis")
IMAGE = "example.registry/weather"
PUSH, DELETE, BY_HAND = "push", "deletion", "cleanup by hand"
DELETED, CLEANED = 0.2, 0.1  # how often a push is followed by the deletion, or the cleanup by hand, of some branch
DONE, SUPERSEDED = 0, 6  # the exit codes with which a workflow does not fail
AGAIN = (4, 5)  # those after which a person runs a failed workflow again
ENDED, RERUN, RESTARTED = "runs that ended with {}", "runs again", "restarts of the API server"
ATTEMPTS = 5
DOWN = 2.0  # seconds without an API server; the controllers endure it
TIMEOUT = "20s"  # Helm's: what a helm that lost its server has left is taken over after twice that


@dataclass(frozen=True)
class Event:
    """What a person does to a branch."""

    kind: str
    staged: StagedVersion


@dataclass(frozen=True)
class Run:
    """One run of a workflow, for an event."""

    event: Event
    commit: str = ""  # that was pushed
    attempt: int = 1


@dataclass
class Outcome:
    """What happened, and what is wrong at the end."""

    counts: Counter[str] = field(
        default_factory=lambda: Counter(dict.fromkeys((PUSH, DELETE, BY_HAND, RESTARTED, RERUN, ENDED.format(DONE)), 0))
    )
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The counts and what is wrong, as Markdown."""
        rows = [*self.counts.items(), ("left, missing or wrong", len(self.wrong))]
        lines = ["| what | number |", "| --- | --- |", *(f"| {what} | {number} |" for what, number in rows)]
        return "\n".join([*lines, *(f"- {one}" for one in self.wrong)])


def main() -> int:
    """Soak a control plane of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pushes", type=int, default=200)
    parser.add_argument("--branches", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4, help="runs of workflows")
    parser.add_argument("--restarts", type=int, default=2, help="of the API server: ended kindly, killed, and so on")
    parser.add_argument("--helm", default="helm4", choices=("helm4", "helm3", "helm3-oldest"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    helm = binaries.path(options.helm)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as name, cluster.running() as plane, SentryServer() as server:
        folder, project = Path(name), server.add_project("weather")
        tools = folder / "tools"
        tools.mkdir()
        tools.joinpath("helm").symlink_to(helm)
        path = os.pathsep.join([str(tools), str(plane.bin), str(Path(shutil.which("git") or "git").parent), "/usr/bin"])
        client = pykube.HTTPClient(pykube.KubeConfig.from_file(str(plane.kubeconfig)))
        staging = Staging.within(plane, "default", f"{path}{os.pathsep}/bin", folder)
        place = Place(staging, Namespace(client, plane, "default"), make_repository(folder))
        soak = Soak(place, Sentry(server, project, server.add_token([project])), folder, options.at_once, print)
        story = made_up(random.Random(options.seed), options.pushes, options.branches)
        soak.play(story, plane, options.restarts)
        soak.examine()
    soak.outcome.counts["seconds"] = round(time.monotonic() - started)
    print(soak.outcome.table())
    return bool(soak.outcome.wrong)


def made_up(chance: random.Random, pushes: int, branches: int) -> list[Event]:
    """So many pushes to so many branches, and the ends of some of these in between."""
    versions = [StagedVersion(DATASETS[n % len(DATASETS)], f"7.{n}") for n in range(branches)]
    events, living = list[Event](), set[StagedVersion]()
    for _ in range(pushes):
        pushed = chance.choice(versions)
        events.append(Event(PUSH, pushed))
        living.add(pushed)
        drawn = chance.random()
        if drawn < DELETED + CLEANED:
            ended = chance.choice(sorted(living, key=lambda one: one.branch))
            events.append(Event(DELETE if drawn < DELETED else BY_HAND, ended))
            living.remove(ended)
    return events


class Soak:
    """A repository whose events start runs: of one branch in order, of all so many at a time, as GitHub does it."""

    def __init__(
        self, place: Place, sentry: Sentry, folder: Path, at_once: int, say: Callable[[str], object] = lambda _: None
    ) -> None:
        self.place = place
        self.sentry = sentry
        self.folder = folder
        self.say = say
        self.outcome = Outcome()
        self.pool = ThreadPoolExecutor(at_once)
        # Events come while earlier ones wait for their run, but not all at once: then nothing would be deployed.
        self.ahead = 2 * at_once
        self.room = threading.Semaphore(self.ahead)
        self.queues: dict[str, deque[Run]] = {}  # of each branch; its first run is at work
        self.lock = threading.Lock()
        self.up = threading.Event()
        self.up.set()
        self.trees: dict[StagedVersion, str] = {}
        place.repository.git("-C", str(place.repository.remote), "config", "uploadpack.allowAnySHA1InWant", "true")

    def play(self, story: list[Event], plane: cluster.ControlPlane | None = None, restarts: int = 0) -> None:
        """Let everything happen, and wait until all runs have ended."""
        due = {len(story) * (n + 1) // (restarts + 1): n for n in range(restarts)}
        with self.pool:
            for number, event in enumerate(story):
                self.room.acquire()
                if plane and number in due:
                    how = (signal.SIGTERM, signal.SIGKILL)[due[number] % 2]
                    threading.Thread(target=self.restart, args=(plane, how)).start()
                self.outcome.counts[event.kind] += 1
                self.start(Run(event, self.happen(event)))
            for _ in range(self.ahead):
                self.room.acquire()

    def happen(self, event: Event) -> str:
        """The event itself, at the remote; gives the commit that was pushed."""
        repository, branch = self.place.repository, event.staged.branch
        if event.kind == DELETE:
            repository.git("push", "--quiet", "origin", f":refs/heads/{branch}")
        if event.kind != PUSH:
            return ""
        if event.staged not in self.trees:
            repository.git("checkout", "--quiet", "--detach", "main")
            repository.bump(event.staged.dataset_id, event.staged.version)
            self.trees[event.staged] = repository.commit(f"Stage {event.staged.dataset_id}")
        before = self.trees[event.staged]
        message = f"Push {self.outcome.counts[PUSH]}"
        commit = repository.git("commit-tree", "-m", message, "-p", before, f"{before}^{{tree}}")
        repository.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{branch}")
        return commit

    def restart(self, plane: cluster.ControlPlane, how: signal.Signals) -> None:
        """Take the API server away for a moment."""
        self.say(f"API server: {how.name}")
        self.up.clear()
        try:
            plane.stop_api_server(how)
            time.sleep(DOWN)
            plane.start_api_server()
            self.outcome.counts[RESTARTED] += 1
        except Exception as error:
            self.outcome.wrong.append(f"the API server does not start again: {error}")
        self.up.set()

    def start(self, run: Run) -> None:
        """Begin a run, or let it wait for those of its branch."""
        with self.lock:
            queue = self.queues.setdefault(run.event.staged.branch, deque())
            queue.append(run)
            if len(queue) == 1:
                self.pool.submit(self.work, queue)

    def work(self, queue: deque[Run]) -> None:
        """Do the first run of a branch; the next one follows."""
        run, again = queue[0], False
        try:
            again = self.carry_out(run)
        except Exception as error:
            self.outcome.wrong.append(f"{run}: {error!r}")
        with self.lock:
            queue.popleft()
            if again:
                queue.append(replace(run, attempt=run.attempt + 1))
            if queue:
                self.pool.submit(self.work, queue)
        if not again:
            self.room.release()

    def carry_out(self, run: Run) -> bool:
        """What the workflow does; whether a person runs it again, because it failed for a while."""
        if run.attempt > 1:
            self.up.wait()
        checkout = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            done = self.called(run, checkout)
        finally:
            shutil.rmtree(checkout)
        with self.lock:
            self.outcome.counts[ENDED.format(done.code)] += 1
            self.outcome.counts[RERUN] += run.attempt > 1
        if run.event.kind == PUSH:
            self.patiently(lambda: self.let_jobs_run(run.event.staged))
        if done.code in (DONE, SUPERSEDED):
            return False
        self.say(f"{run.event.kind} {run.event.staged.branch}, attempt {run.attempt}: {done.code}: {done.stderr}")
        if done.code in AGAIN and run.attempt < ATTEMPTS:
            return True
        # By hand, somebody may well choose what was never deployed.
        if not (run.event.kind == BY_HAND and "there is no release" in done.stderr):
            self.outcome.wrong.append(f"{run} ended with {done.code}: {done.stderr.strip()}")
        return False

    def called(self, run: Run, checkout: Path) -> Done:
        """The program as the workflow calls it."""
        branch = run.event.staged.branch
        known = {"STAGING_TIMEOUT": TIMEOUT, **self.sentry.settings}
        if run.event.kind == PUSH:
            self.check_out(checkout, run.commit, branch)
            image = f"--docker-image={IMAGE}:{run.commit}"
            return self.place.staging(checkout, "deploy", f"--branch={branch}", image, **known)
        self.check_out(checkout, "main", "main")
        deleted = ["--branch-deleted"] if run.event.kind == DELETE else []
        known["SENTRY_AUTH_TOKEN"] = self.sentry.token
        return self.place.staging(checkout, "cleanup", f"--branch={branch}", *deleted, "--yes", **known)

    def check_out(self, folder: Path, commit: str, branch: str) -> None:
        """As actions/checkout does: that commit alone, on its branch, which may have moved on or be gone."""
        repository = Repository(folder, self.place.repository.remote)
        repository.git("init", "--quiet", "--template=", "--initial-branch=main")
        repository.git("remote", "add", "origin", repository.remote.as_uri())
        there = f"refs/remotes/origin/{branch}"
        repository.git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", f"+{commit}:{there}")
        repository.git("checkout", "--quiet", "-B", branch, there)

    def let_jobs_run(self, staged: StagedVersion) -> None:
        """What the jobs do that a deploy, even one that was undone, let run: they make their monitors.

        One Job of each CronJob still runs when the branch may already be deleted.
        """
        live = self.place.live
        for record in live.all("secrets", f"owner=helm,name={staged.release}"):
            labels = record["metadata"]["labels"]
            self.sentry.check_in(*(x.removeprefix(marks.JOB_LABEL) for x in labels if x.startswith(marks.JOB_LABEL)))
        jobs = live.names("jobs")
        for cronjob in live.names("cronjobs", f"{marks.LABEL}release={staged.release}"):
            if not any(job.startswith(f"{cronjob}-") for job in jobs):
                make_job(live, cronjob, {RUN_SECONDS: "60"})

    def patiently(self, do: Callable[[], object]) -> None:
        """Do it once the API server is there, and again if it goes away meanwhile."""
        for attempt in range(ATTEMPTS):
            self.up.wait()
            try:
                do()
                return
            except (OSError, pykube.exceptions.HTTPError):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(1)

    def examine(self) -> None:
        """Compare what lives with what is staged."""
        listed = self.place.repository.git("ls-remote", "origin", "refs/heads/stage/*").splitlines()
        heads = {ref.removeprefix("refs/heads/"): commit for commit, ref in map(str.split, listed)}
        self.outcome.counts["branches that live"] = len(heads)
        self.outcome.wrong += self.differences({StagedVersion.from_branch(b): head for b, head in heads.items()})

    def differences(self, heads: dict[StagedVersion, str]) -> Iterator[str]:
        """A sentence for each thing that is not as the heads of the branches want it."""
        live, releases = self.place.live, {staged.release: head for staged, head in heads.items()}
        newest: dict[str, tuple[int, str, str]] = {}
        for secret in live.all("secrets", "owner=helm"):
            labels, commit = secret["metadata"]["labels"], unpacked(secret)["config"]["record"]["commit"]
            one = int(labels["version"]), labels["status"], commit
            newest[labels["name"]] = max(newest.get(labels["name"], one), one)
        for name in sorted(releases.keys() | newest.keys()):
            found, wanted = newest.get(name, (0, "nothing", ""))[1:], releases.get(name)
            if found != (("deployed", wanted) if wanted else None):
                yield f"release {name}: Helm's record says {found}, and the branch is at {wanted}"
        cronjobs = live.all("cronjobs")
        names = {c["metadata"]["name"]: c["metadata"] for c in cronjobs}
        for name, metadata in names.items():
            release, commit = (metadata["labels"].get(f"{marks.LABEL}release"), metadata["annotations"])
            if releases.get(release) != commit.get(f"{marks.LABEL}commit"):
                yield f"CronJob {name} of {release} is not of the branch's head"
        for release in releases.keys() - {m["labels"].get(f"{marks.LABEL}release") for m in names.values()}:
            yield f"release {release} has no CronJobs"
        for kind in ("jobs", "pods"):
            for name in live.names(kind):
                if not any(name.startswith(f"{cronjob}-") for cronjob in names):
                    yield f"{kind}/{name} is of no CronJob that is there"
        for slug in sorted({*self.sentry.slugs()} ^ names.keys()):
            yield f"monitor {slug} is {'missing' if slug in names else 'left'}"


if __name__ == "__main__":
    sys.exit(main())
