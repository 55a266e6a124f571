"""Branch names that would run something if a shell, or `staging`, took them for more than a name."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acting import SETTINGS, Run, World

PUSHED = (
    "stage/$(touch${IFS}x)/v1.0.0",
    "stage/$(touch${IFS}$STANDINS_STATE/x)/v1.0.0",
    "stage/`touch${IFS}$STANDINS_STATE/x`/v1.0.0",
    "stage/ridge-snow/v0.2.0;touch${IFS}$STANDINS_STATE/x;",
    "stage/ridge-snow/v0.2.0'$(touch${IFS}x)'",
    'stage/ridge-snow/v0.2.0"$(touch${IFS}x)"',
    "stage/--help/v1.0.0",
    "stage/ridge\N{NON-BREAKING HYPHEN}snow/v0.2.0",
    "stage/ridge-sn\N{CYRILLIC SMALL LETTER O}w/v0.2.\N{FULLWIDTH DIGIT ZERO}",
    f"stage/{'a' * 143}/v{'1' * 150}",  # 300 characters
    "stage/ridge-snow/v0.2.0\N{LINE SEPARATOR}",
)
# git takes none of these; an event or a person could still name them.
NAMED = ("stage/$(touch x)/v1.0.0", "stage/../v1.0.0", "stage/ridge-snow/v0.2.0\n--yes", "--yes")


@pytest.fixture(scope="module")
def world(make_world: Callable[[], World]) -> World:
    world = make_world()
    # What the names resemble could be staged.
    world.repository.bump("ridge-snow", "0.2.0")
    world.repository.commit("Stage ridge-snow 0.2.0")
    return world


@pytest.mark.parametrize("branch", [name for name in PUSHED if "STATE" in name])
def test_a_shell_that_takes_such_a_name_for_more_would_be_noticed(branch: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "STANDINS_STATE": str(tmp_path)}
    subprocess.run(["bash", "-c", f"echo {branch}"], env=environment, capture_output=True)
    assert [file.name for file in tmp_path.rglob("x")] == ["x"]


def refused(world: World, run: Run, step: str) -> None:
    """The run ended at a step, with one error that names the branch, and nothing came of it."""
    assert run.code == 1, run.log
    assert [result for steps in map(run.steps, run.jobs) for result in steps.values()].count("failure") == 1
    assert {run.steps(job).get(step) for job in run.jobs} >= {"failure"}, run.log
    (error,) = run.annotations("error")
    assert "does not name a staged version" in error or "is not usable" in error
    assert not run.annotations("notice")
    assert not list(world.hub.folder.rglob("x"))
    assert not world.left()


@pytest.mark.parametrize("branch", PUSHED)
def test_a_pushed_name_is_refused_before_anything_is_deployed(world: World, branch: str) -> None:
    world.repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    alone = {} if branch == PUSHED[0] else {"job": "quality"}  # the other job does not look at the name
    run = world.hub.push(branch, **alone)
    refused(world, run, "Branch name")
    assert run.jobs == ({"quality": "failure"} if alone else {"quality": "failure", "image": "success"})


@pytest.mark.parametrize("branch", [*PUSHED, *NAMED[:3]])
def test_a_deleted_name_is_refused(world: World, branch: str) -> None:
    refused(world, world.hub.delete(branch), "Clean up")


@pytest.mark.parametrize("branch", NAMED[2:])
def test_a_name_given_by_hand_is_refused(world: World, branch: str) -> None:
    refused(world, world.hub.dispatch("cleanup", branch), "Clean up")


@pytest.mark.parametrize("action", ["run", "pause"])
def test_a_key_given_by_hand_is_no_command(world: World, action: str) -> None:
    run = world.hub.dispatch(action, "stage/ridge-snow/v0.2.0", "$(touch x)")
    assert run.jobs == {"operate": "failure"}
    assert len(run.annotations("error")) == 1
    assert not list(world.hub.folder.rglob("x"))


def test_tests_that_fail_let_nothing_be_deployed(world: World) -> None:
    branch = "stage/ridge-snow/v0.2.0"
    repository = world.repository
    repository.write("tests/test_weather.py", "def test_rain() -> None:\n    assert not [1]\n")
    repository.commit("Break a test")
    repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    run = world.hub.push(branch)
    assert run.jobs == {"quality": "failure", "image": "success"}
    assert run.not_run("quality") == {"Tests"}  # lint, format and types, before it, did well
    assert not world.left()


def test_a_build_that_fails_lets_nothing_be_deployed(world: World) -> None:
    depot = world.hub.state / "depot-down"
    depot.touch()
    world.hub.state.joinpath("images").write_text("")
    run = world.hub.start_push("stage/ridge-snow/v0.2.0", job="image").end()
    depot.unlink()
    assert run.jobs == {"image": "failure"}
    assert run.not_run("image") == {"Build and push"}


def test_settings_that_are_missing_are_named_in_one_error(world: World) -> None:
    known, world.hub.secrets = world.hub.secrets, {"AWS_REGION": "north"}
    run = world.hub.start_push("stage/ridge-snow/v0.2.0", job="image").end()
    world.hub.secrets = known
    (error,) = run.annotations("error")
    assert set(error.split(": ")[1].split()) == SETTINGS.keys() - {"AWS_REGION"}
