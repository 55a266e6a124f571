"""Two commands that change one release at the same time: one wins, the other says so, and nothing is half of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults import Door, Gate, Hold, Request, Run, make_wrappers, staging_command
from live import LABEL, Done, Namespace, Staging
from repositories import Repository, stage_branch

DATASET = "ridge-snow"
BRANCH = ("--branch", stage_branch(DATASET, "0.2.0"))
DONE, REFUSED, OUTSIDE, UNFINISHED = 0, 3, 4, 5
RELEASE = "staging-ridge-snow-v0-2-0"
Command = tuple[str, ...]
State = dict[str, tuple[str, bool]]  # the image of each live job and whether it is suspended, by key


def deploy(tag: str, *args: str) -> Command:
    return "deploy", *BRANCH, "--docker-image", f"example.registry/weather:{tag}", *args


BEFORE, FIRST, SECOND = deploy("before"), deploy("first", "--skip-job", "validate"), deploy("second")
PAUSE = ("pause", *BRANCH)
JOBS = {
    BEFORE: {"update": ("before", False), "validate": ("before", False)},
    FIRST: {"update": ("first", False)},
    SECOND: {"update": ("second", False), "validate": ("second", False)},
    PAUSE: {"update": ("before", True), "validate": ("before", True)},
}


@dataclass
class Writers:
    """A staged version, and commands on it that can be stopped on their way to the API server."""

    staging: Staging
    live: Namespace
    gate: Gate
    wrappers: Path
    repository: Repository

    def start(self, door: Door, command: Command) -> Run:
        return Run(self.staging, self.wrappers, door, self.repository.path, staging_command(*command), environment={})

    def now(self, command: Command) -> Done:
        return self.staging.run(self.repository.path, *command)

    def state(self) -> State:
        found = {}
        for job in self.live.all("cronjobs", f"{LABEL}release"):
            (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            key = job["metadata"]["annotations"][f"{LABEL}key"]
            found[key] = (container["image"].rpartition(":")[2], job["spec"]["suspend"])
        return found

    def revisions(self) -> list[str]:
        found = [thing["metadata"]["labels"] for thing in self.live.all("secrets", f"owner=helm,name={RELEASE}")]
        return [labels["status"] for labels in sorted(found, key=lambda labels: int(labels["version"]))]


@pytest.fixture
def writers(staging: Staging, live: Namespace, repository: Repository, tmp_path: Path) -> Iterator[Writers]:
    repository.stage(DATASET, "0.2.0")
    folder = tmp_path / "runs"
    folder.mkdir()
    with Gate(live.client, folder) as gate:
        yield Writers(staging, live, gate, make_wrappers(tmp_path / "wrappers"), repository)


def at_start(door: Door) -> Hold:
    """Stop Helm before it has read anything, after `staging` has read it all."""
    hold = Hold()
    door.before = lambda request: hold() if request.helm and door.calls[-1].startswith("helm upgrade") else None
    return hold


def at_lock(door: Door) -> Hold:
    """Stop Helm just before it takes its lock."""
    hold = Hold()
    door.before = lambda request: hold() if request.number == 1 else None
    return hold


def within(door: Door) -> Hold:
    """Stop Helm while it has its lock, and before it has changed any job."""
    hold = Hold()
    door.after = lambda request: hold() if request.number == 1 else None
    return hold


# What was there, what is stopped on its way, and what comes in between.
PAIRS = {
    "first deploys": (None, FIRST, SECOND),
    "deploys": (BEFORE, FIRST, SECOND),
    "deploy and pause": (BEFORE, FIRST, PAUSE),
    "pause and deploy": (BEFORE, PAUSE, SECOND),
}
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)  # what is said does not depend on it
each_pair = pytest.mark.parametrize(("before", "late", "other"), PAIRS.values(), ids=PAIRS)


@each_pair
def test_who_takes_the_lock_wins_and_the_other_has_done_nothing(
    writers: Writers, before: Command | None, late: Command, other: Command
) -> None:
    if before:
        writers.now(before)
    first, second = writers.gate.door("late"), writers.gate.door("other")
    stopped, inside = at_start(first), within(second)
    late_run = writers.start(first, late)
    stopped.wait()
    other_run = writers.start(second, other)
    inside.wait()
    stopped.release()
    lost = late_run.end()
    assert lost.code == REFUSED, lost.stderr
    number = len(writers.revisions())
    assert f"at work on release {RELEASE} at the same time, and its revision {number} is pending-" in lost.stderr
    assert "Nothing of this one was done. Run it again if it should still be done" in lost.stderr
    assert writers.state() == (JOBS[before] if before else {})
    inside.release()
    won = other_run.end()
    assert won.code == DONE, won.stderr
    assert writers.state() == JOBS[other]


@each_pair
def test_who_is_done_before_the_other_takes_the_lock_has_won(
    writers: Writers, before: Command | None, late: Command, other: Command
) -> None:
    if before:
        writers.now(before)
    door = writers.gate.door("late")
    stopped = at_lock(door)
    late_run = writers.start(door, late)
    stopped.wait()
    writers.now(other)
    stopped.release()
    lost = late_run.end()
    assert lost.code == REFUSED, lost.stderr
    assert f"its revision {len(writers.revisions())} is deployed. Nothing of this one was done" in lost.stderr
    assert writers.state() == JOBS[other]
    assert writers.revisions()[-1] == "deployed"


@one_major
@each_pair
def test_what_is_replaced_unseen_is_said(
    writers: Writers, before: Command | None, late: Command, other: Command
) -> None:
    """Between this program's look at the release and Helm's own: then the later one counts, and tells of the other."""
    if before:
        writers.now(before)
    door = writers.gate.door("late")
    stopped = at_start(door)
    late_run = writers.start(door, late)
    stopped.wait()
    writers.now(other)
    replaced = len(writers.revisions())
    stopped.release()
    last = late_run.end()
    assert last.code == UNFINISHED, last.stderr
    commit = writers.repository.git("rev-parse", "HEAD")[:12]
    paused = ", paused" if other == PAUSE else ""
    assert f"another command made revision {replaced} (commit {commit}{paused}) of release {RELEASE}" in last.stderr
    assert "this one has replaced that. If the other one should count, run it again" in last.stderr
    assert writers.state() == JOBS[late]


@pytest.mark.parametrize("command", [SECOND, PAUSE], ids=["deploy", "pause"])
def test_a_run_that_ends_while_its_cronjob_is_replaced_is_in_nobodys_way(writers: Writers, command: Command) -> None:
    """Helm replaces what it has looked at. Where the controller has written in between, the API server refuses that."""
    writers.now(BEFORE)
    door, written = writers.gate.door("late"), list[str]()

    def before(request: Request) -> None:
        path, _, query = request.path.partition("?")
        if request.method == "PUT" and "/cronjobs/" in path and "dryRun" not in query and not written:
            written.append(path.rpartition("/")[2])
            ended = {"status": {"lastSuccessfulTime": "2026-01-01T00:00:00Z"}}
            writers.live.patch("cronjobs", written[0], ended, subresource="status")

    door.before = before
    done = writers.start(door, command).end()
    assert written
    assert done.code == DONE, done.stderr
    assert writers.state() == JOBS[command]
    assert writers.revisions() == ["superseded", "failed", "superseded", "deployed"]


@one_major
@pytest.mark.parametrize("place", [at_lock, at_start, within], ids=["lock", "start", "locked"])
def test_one_deploy_twice_is_no_harm(writers: Writers, place: Callable[[Door], Hold]) -> None:
    """As a workflow that somebody runs again, and whose first run is not over."""
    writers.now(BEFORE)
    first, second = writers.gate.door("late"), writers.gate.door("other")
    stopped, inside = (at_start if place is within else place)(first), within(second)
    late = writers.start(first, SECOND)
    stopped.wait()
    other = writers.start(second, SECOND)
    inside.wait()
    if place is not within:
        inside.release()
        assert other.end().code == DONE
    stopped.release()
    done = late.end()
    assert done.code == (DONE if place is at_start else REFUSED), done.stderr
    inside.release()
    assert other.end().code == DONE
    assert writers.state() == JOBS[SECOND]


def test_many_at_once(writers: Writers) -> None:
    """Nothing is stopped here: whatever the order is, what is live is what one of them asked for."""
    writers.now(BEFORE)
    commands = [FIRST, SECOND, FIRST, SECOND, ("pause", *BRANCH)]
    runs = [writers.start(writers.gate.door(f"run-{n}"), command) for n, command in enumerate(commands)]
    ends = [run.end() for run in runs]
    # OUTSIDE: a CronJob that it had seen was gone when the API server was asked about it.
    assert {done.code for done in ends} <= {DONE, REFUSED, OUTSIDE, UNFINISHED}, [done.stderr for done in ends]
    assert DONE in {done.code for done in ends}
    running = writers.state()
    images = {key: image for key, (image, _) in running.items()}
    assert images in [{key: image for key, (image, _) in JOBS[command].items()} for command in (BEFORE, FIRST, SECOND)]
    assert len({suspended for _, suspended in running.values()}) == 1
    assert writers.revisions()[-1] == "deployed"
