"""The step that `staging init` prints for production's own workflow, run in one, before main's code is deployed."""

import io
import re
import subprocess
from collections.abc import Callable
from textwrap import dedent

from ruamel.yaml import YAML

from acting import CLEANUP, World
from live import PROGRAM
from reading import read
from staged import names
from staging_cronjobs.model.staged_version import StagedVersion

SNOW = StagedVersion("ridge-snow", "0.2.0")
FILE = ".github/workflows/production.yml"


def printed_step(world: World) -> dict[str, str]:
    """What `staging init` tells to add."""
    done = subprocess.run(
        [PROGRAM, "init", "--yes"], cwd=world.repository.path, capture_output=True, text=True, check=True
    )
    found = re.search(r"^#   - name: Guard.*\n#     .*\n", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return YAML(typ="safe").load(dedent(found[0].replace("#", "")))[0]


def add_production(world: World) -> None:
    """A workflow of the team's own that deploys production from main."""
    operate = read(CLEANUP)["jobs"]["operate"]
    own = ("List or status", "Pause or resume", "Run a job", "Install staging")
    before = [step for step in operate["steps"] if step["name"] not in own]
    steps = [*before, printed_step(world), {"name": "Apply", "run": "echo production is deployed"}]
    job = {"runs-on": operate["runs-on"], "environment": "staging", "steps": steps}
    stream = io.StringIO()
    YAML().dump({"name": "Production", "on": {"push": {"branches": ["main"]}}, "jobs": {"production": job}}, stream)
    world.repository.write(FILE, stream.getvalue())


def test_production_is_deployed_after_the_staged_version_is_paused(
    make_world: Callable[[], World], install_by_hand: Callable[[World, StagedVersion], None]
) -> None:
    world = make_world()
    add_production(world)
    install_by_hand(world, SNOW)
    world.repository.commit("Deploy production by workflow")
    world.repository.push("main")
    run = world.hub.push("main", job="production")
    assert run.code == 0, run.log
    assert "has a version that main has too" in run.log and "production is deployed" in run.log
    assert {world.live.get("cronjobs", name)["spec"]["suspend"] for name in names(SNOW)} == {False}

    world.repository.bump(SNOW.dataset_id, SNOW.version)
    world.repository.commit("Take it over")
    world.repository.push("main")
    run = world.hub.push("main", job="production")
    assert run.code == 0, run.log
    assert [notice for notice in run.annotations("notice") if "It is paused now" in notice], run.log
    assert "production is deployed" in run.log
    assert {world.live.get("cronjobs", name)["spec"]["suspend"] for name in names(SNOW)} == {True}
