"""docs/adopting.md, followed word for word in a repository that is made from nothing.

A person's shell runs every block of the numbered steps, with the real uv, git, helm, kubectl and API server; `gh` only
writes down how it was called, and what GitHub would do on a push is done by act.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

import acting
import docs
import hub_answers
from acting import CLEANUP, DEPLOY, SETTINGS, STANDINS, Hub
from controlplane.cluster import Cluster
from live import Namespace, outside_environment
from repositories import Repository
from staging_cronjobs.model import settings
from staging_cronjobs.model.staged_version import StagedVersion
from terminal import Terminal

GUIDE = (docs.ROOT / "docs" / "adopting.md").read_text()
FILES = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STEPS = re.compile(r"^## (\d+)\. [^\n(]+ \((\d+) minutes?\)\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SNOW = StagedVersion("ridge-snow", "0.2.0")
GITHUB = "https://github.com/dynamical-demo/weather.git"


@dataclass(frozen=True)
class Step:
    """A numbered step of the guide."""

    number: int
    minutes: int
    text: str

    @property
    def blocks(self) -> list[str]:
        """What it tells a person to type."""
        return BLOCK.findall(self.text)

    @property
    def answers(self) -> int:
        """How many questions it tells a person to answer."""
        return self.text.count("answer `y`")

    @property
    def done(self) -> str:
        return f"-- step {self.number} is done --"

    @property
    def script(self) -> str:
        """Its blocks as they stand; the shell ends at the first that fails, and else waits for the next step."""
        return "".join(f"{block}test $? -eq 0\n" for block in self.blocks) + f"echo '{self.done}'\nread -r _\n"


ALL = [Step(int(number), int(minutes), text) for number, minutes, text in STEPS.findall(GUIDE)]


def test_the_steps_are_as_many_and_as_long_as_the_guide_says() -> None:
    assert [step.number for step in ALL] == list(range(1, len(re.findall(r"^## \d", GUIDE, re.MULTILINE)) + 1))
    count, minutes = NUMBERS[len(ALL)], NUMBERS[sum(step.minutes for step in ALL)]
    assert GUIDE.startswith(f"# Adopting it in {count} steps\n")
    assert f"They take about {minutes} minutes of your time if " in GUIDE
    assert sum(step.minutes for step in ALL) <= 10
    assert not [step.number for step in ALL if not step.blocks or step.number not in SEEN]


@dataclass
class World:
    """A repository whose team follows the guide, and what they see."""

    repository: Repository
    hub: Hub
    live: Namespace
    shown: dict[int, str]  # by step

    @property
    def asked(self) -> str:
        """What was asked of GitHub."""
        return self.hub.state.joinpath("asked").read_text()

    def suspended(self) -> dict[str, bool]:
        """Whether the staged cron jobs are."""
        found = self.live.all("cronjobs", f"staging-cronjobs/release={SNOW.release}")
        return {job["metadata"]["name"]: job["spec"]["suspend"] for job in found}


@pytest.fixture
def world(kube_cluster: ConnectedCluster, cluster: Cluster, namespace: str, programs: Path, tmp_path: Path) -> World:
    """Nothing but the files that the guide shows, on main; the shell's kubeconfig has the test's namespace."""
    repository = Repository(tmp_path / "weather", tmp_path / "remotes" / "dynamical-demo" / "weather.git")
    for name, content in FILES.findall(GUIDE):
        repository.write(name, content)
    repository.write("Dockerfile", "FROM scratch\n")
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("init", "--quiet", "--bare", "--initial-branch=main", str(repository.remote))
    repository.git("config", f"url.{repository.remote}.insteadOf", GITHUB)
    repository.git("config", "user.name", "Weather")
    repository.git("config", "user.email", "weather@example.org")
    repository.git("remote", "add", "origin", GITHUB)
    repository.commit("Add weather")
    repository.push("main")
    assert kube_cluster.kube_client is not None
    live = Namespace(kube_cluster.kube_client, cluster, namespace)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(docs._kubeconfig(cluster, live.name)))
    own = {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": cluster.environment()["KUBECACHEDIR"]}
    return World(repository, Hub(tmp_path / "hub", repository, programs, own), live, {})


@pytest.fixture
def shell(world: World, packages: None, helm_4: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A person's shell in the repository; it has all steps before it, and goes on when a key is pressed."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    programs = {"uv": acting.uv(), "helm": helm_4, "kubectl": world.live.cluster.bin / "kubectl"}
    for name, file in {**programs, "git": Path(shutil.which("git") or ""), "gh": STANDINS / "person" / "gh"}.items():
        tools.joinpath(name).symlink_to(file)
    script = tmp_path / "steps.sh"
    script.write_text("set -e\n" + "".join(step.script for step in ALL))
    environment = {
        **acting.uv_environment(),
        **outside_environment(home),
        **world.hub.cluster,
        "PATH": os.pathsep.join([str(tools), "/usr/bin", "/bin"]),
        "STANDINS_STATE": str(world.hub.state),
        "NO_COLOR": "1",
    }
    terminal = Terminal(["bash", script], world.repository.path, environment)
    yield terminal
    terminal.close()


def test_the_guide_works_word_for_word(world: World, shell: Terminal) -> None:
    for step in ALL:
        shell.shown = ""
        for _ in range(step.answers):
            shell.wait_for("[y/N]: ")
            shell.press("y\n")
        shell.wait_for(step.done)
        world.shown[step.number] = shell.shown
        SEEN[step.number](world)
        shell.press("\n")
    assert shell.end().code == 0


# -- what there is after each step -------------------------------------------------------------------------------------


def installed(world: World) -> None:
    assert 'name = "staging-cronjobs"' in (world.repository.path / "uv.lock").read_text()
    assert (world.repository.path / ".venv/bin/staging").exists()


def written(world: World) -> None:
    found = settings.load(world.repository.path, {})
    assert (found.datasets, found.first_deploy) == (("weather.datasets:DATASETS",), "paused")
    for name in (DEPLOY, CLEANUP):
        text = (world.repository.path / ".github/workflows" / name).read_text()
        assert "STAGING_ENVIRONMENT || 'prod'" in text
        assert "STAGING_ENVIRONMENT || 'staging'" not in text


def checked(world: World) -> None:
    assert "Nothing is missing in this repository" in world.shown[3]
    assert re.findall(r"^ridge-snow +(\S+) +update, validate +ok$", world.shown[3], re.MULTILINE) == ["0.1.0", "0.1.1"]
    assert "1 passed" in world.shown[3]


def set_up(world: World) -> None:
    (block,) = ALL[3].blocks
    printed = [line for line in world.shown[2].partition("# What to set once")[2].splitlines() if line[:1] != "#"]
    assert "\n".join(block.splitlines()) in "\n".join(line for line in printed if line), "not what staging init printed"
    assert "environments/prod/deployment-branch-policies -f name=stage/*/*" in world.asked
    assert re.findall(r"^gh variable set (\w+) --env prod$", world.asked, re.MULTILINE) == list(SETTINGS)
    assert '"include": ["refs/heads/stage/**"]' in world.asked
    assert set(SETTINGS) <= set(re.findall(r"`([A-Z_]+)`", ALL[3].text))
    hub_answers.write(world.hub.state, hub_answers.all_set("prod"))


def on_main(world: World) -> None:
    there = world.repository.git("ls-tree", "-r", "--name-only", "origin/main").splitlines()
    assert {f".github/workflows/{DEPLOY}", f".github/workflows/{CLEANUP}", "uv.lock"} <= set(there)
    assert world.repository.remote_head("main") == world.repository.git("rev-parse", "main")
    assert re.search(r"^\d+ ok, 0 wrong, 0 unknown\.", world.shown[5], re.MULTILINE)


def staged(world: World) -> None:
    run = world.hub.push(SNOW.branch)
    assert run.jobs == {"quality": "success", "image": "success", "deploy": "success"}, run.log
    assert world.suspended() == {SNOW.job_name("update"): True, SNOW.job_name("validate"): True}


def running(world: World) -> None:
    assert world.asked.endswith("gh run watch\n")
    assert re.search(r"^ridge-snow +0\.2\.0 +deployed, paused +", world.shown[7], re.MULTILINE)
    assert world.suspended() == {SNOW.job_name("update"): False, SNOW.job_name("validate"): False}


def gone(world: World) -> None:
    assert world.live.leftovers() == []
    assert world.repository.remote_head(SNOW.branch) is None


SEEN: dict[int, Callable[[World], None]] = dict(
    enumerate((installed, written, checked, set_up, on_main, staged, running, gone), 1)
)
