"""A deploy and the cleanup of its branch, one after the other, as their group has it, or at once: nothing is orphaned.

The deploy comes first and the cleanup second in test_journey.py.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acting import SENTRY_TOKEN, World
from faults import Door, Gate, Hold, Request
from live import wait_until
from staged import names
from staging_cronjobs.model.staged_version import StagedVersion

SNOW, WIND = StagedVersion("ridge-snow", "0.2.0"), StagedVersion("harbor-wind-forecast", "0.3.0")


@pytest.fixture(scope="module")
def world(make_world: Callable[[], World]) -> World:
    world = make_world()
    for staged in (SNOW, WIND):
        world.repository.bump(staged.dataset_id, staged.version)
    world.repository.commit("Stage two datasets")
    return world


@pytest.fixture
def gate(world: World, tmp_path: Path) -> Iterator[Gate]:
    with Gate(world.live.client, tmp_path) as gate:
        yield gate


def push(world: World, staged: StagedVersion) -> str:
    world.repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{staged.branch}")
    return world.repository.git("rev-parse", "HEAD")


def hold_at(door: Door, number: int) -> Hold:
    """Stop what comes through the door at its first change, or a later one."""
    hold = Hold()

    def before(request: Request) -> None:
        if request.number == number:
            hold()

    door.before = before
    return hold


def allow_sentry(world: World) -> None:
    """What cleanup's environment has, and the deploy's has not."""
    world.hub.secrets[SENTRY_TOKEN] = world.sentry.token


def test_a_cleanup_comes_while_the_deploy_is_at_work(world: World, gate: Gate) -> None:
    push(world, SNOW)
    deploying, cleaning = gate.door("deploying"), gate.door("cleaning")
    hold = hold_at(deploying, 2)  # Helm has its record, and no CronJob yet
    deploy = world.hub.start_push(SNOW.branch, cluster=deploying.environment())
    hold.wait()
    world.sentry.check_in(*names(SNOW))
    world.repository.delete_remote_branch(SNOW.branch)
    allow_sentry(world)
    cleanup = world.hub.start_delete(SNOW.branch, cluster=cleaning.environment())
    wait_until(lambda: max(Counter(r.path for r in cleaning.requests).values(), default=0) > 3, what="waiting")
    assert not cleaning.changes
    hold.release()
    ends = {run.workflow: run for run in (deploy.end(), cleanup.end())}
    assert not world.left(), "\n".join(run.log for run in ends.values())
    assert {name: run.code for name, run in ends.items() if run.code} == {}, "\n".join(r.log for r in ends.values())


def test_a_cleanup_comes_and_goes_before_the_deploy_changes_anything(
    world: World, gate: Gate, install_by_hand: Callable[[World, StagedVersion], None]
) -> None:
    install_by_hand(world, WIND)  # by an earlier push
    world.sentry.check_in(*names(WIND))
    push(world, WIND)
    door = gate.door("deploying")
    hold = hold_at(door, 1)
    deploy = world.hub.start_push(WIND.branch, cluster=door.environment())
    hold.wait()
    world.repository.delete_remote_branch(WIND.branch)
    allow_sentry(world)
    cleanup = world.hub.delete(WIND.branch)
    assert (cleanup.code, world.left()) == (0, []), cleanup.log
    hold.release()
    run = deploy.end()
    assert run.code == 0, run.log
    assert f"branch {WIND.branch} was deleted meanwhile" in "".join(run.annotations("notice"))
    # What it made is gone; its record stays, because a job may have made its monitor, and the deploy has no token.
    assert {name.partition("/")[0] for name in world.left()} <= {"secrets"}
    world.hub.variables["STAGING_SWEEP"] = "remove"
    swept = world.hub.daily()
    assert (swept.code, world.left()) == (0, []), swept.log


def test_a_deploy_that_waited_for_the_cleanup_finds_its_branch_gone(world: World) -> None:
    commit = push(world, SNOW)
    world.repository.delete_remote_branch(SNOW.branch)
    allow_sentry(world)
    assert world.hub.delete(SNOW.branch).code == 0
    late = world.hub.push(SNOW.branch, commit=commit)
    assert late.code == 0, late.log
    assert f"branch {SNOW.branch} is not on origin" in "".join(late.annotations("notice"))
    assert not world.left()
