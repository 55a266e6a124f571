"""docs/adopting.md, followed word for word: in a repository of what the guide shows, and in one like the first user's.

A person's shell runs every block of the numbered steps, with the real uv, git, helm, kubectl and API server; `gh` only
writes down how it was called, and what GitHub would do on a push is done by act.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

import acting
import docs
import hub_answers
from acting import CLEANUP, DEPLOY, SETTINGS, STANDINS, Hub
from controlplane.cluster import FOR_A_MOMENT, Cluster
from live import Namespace, outside_environment
from repositories import Repository, begin, make_first_user
from staging_cronjobs import __version__
from staging_cronjobs.model import settings
from staging_cronjobs.model.staged_version import StagedVersion
from terminal import Terminal

GUIDE = (docs.ROOT / "docs" / "adopting.md").read_text()
FILES = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STEPS = re.compile(r"^## (\d+)\. [^\n(]+ \((\d+) minutes?\)\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
HINT = re.compile(
    r"^(\S+) (?:runs|builds for) (`?)(.+?)\2, and it is \2(.+?)\2 in \.github/workflows/\S+\.$", re.MULTILINE
)
SNOW = StagedVersion("ridge-snow", "0.2.0")
GITHUB, TOOL = "https://github.com/dynamical-demo/weather.git", "https://github.com/OWNER/staging-cronjobs"


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


@dataclass(frozen=True)
class Shape:
    """What kind of repository follows the guide."""

    make: Callable[[Path], Repository]
    dockerfile: str
    datasets: int
    tests: str  # how they end for a person, and how in the workflow
    tests_of_workflow: str
    edits: int  # that what `init` says of other workflows leads to


@dataclass
class World:
    """A repository whose team follows the guide, and what they see."""

    shape: Shape
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


def as_shown(folder: Path) -> Repository:
    """Nothing but the files that the guide shows."""
    repository = Repository(folder / "weather", folder / "remotes" / "dynamical-demo" / "weather.git")
    for name, content in FILES.findall(GUIDE):
        repository.write(name, content)
    repository.write("Dockerfile", "FROM scratch\n")
    begin(repository)
    return repository


def like_the_first_users(folder: Path) -> Repository:
    """With everything installed, as it is on their machines."""
    repository = make_first_user(folder)
    sync = [acting.uv(), "sync", "--quiet", "--all-extras", "--all-groups"]
    subprocess.run(sync, cwd=repository.path, env=acting.uv_environment(), check=True)
    return repository


SHAPES = {
    "as shown": Shape(as_shown, "Dockerfile", 1, "1 passed", "1 passed", 0),
    "first user": Shape(like_the_first_users, "deploy/Dockerfile", 22, "24 passed", "23 passed, 1 deselected", 3),
}


@pytest.fixture(params=SHAPES)
def world(
    kube_cluster: ConnectedCluster,
    cluster: Cluster,
    namespace: str,
    programs: Path,
    packages: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> World:
    """Their files on main; the shell's kubeconfig has the test's namespace."""
    shape = SHAPES[request.param]
    repository = shape.make(tmp_path)
    repository.git("config", f"url.{repository.remote}.insteadOf", GITHUB)
    repository.git("remote", "set-url", "origin", GITHUB)
    repository.commit("Add weather")
    repository.push("main")
    acting.make_tool(repository.remote.parents[1] / TOOL.removeprefix("https://github.com/"))
    assert kube_cluster.kube_client is not None
    live = Namespace(kube_cluster.kube_client, cluster, namespace)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(docs._kubeconfig(cluster, live.name)))
    own = {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": cluster.environment()["KUBECACHEDIR"]}
    return World(shape, repository, Hub(tmp_path / "hub", repository, programs, own), live, {})


@pytest.fixture
def shell(world: World, helm_4: Path, tmp_path: Path) -> Iterator[Terminal]:
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
        **FOR_A_MOMENT,
        **world.hub.cluster,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{world.repository.remote.parents[1]}/OWNER/.insteadOf",
        "GIT_CONFIG_VALUE_0": TOOL.removesuffix("staging-cronjobs"),
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
    lock = (world.repository.path / "uv.lock").read_text()
    assert (
        f'name = "staging-cronjobs"\nversion = "{__version__}"\nsource = {{ git = "{TOOL}?rev=v{__version__}#' in lock
    )
    assert f"{__version__} (commit " in world.shown[1]


def written(world: World) -> None:
    found = settings.load(world.repository.path, {})
    assert (found.datasets, found.first_deploy) == (("weather.datasets:DATASETS",), "paused")
    for name in (DEPLOY, CLEANUP):
        text = (world.repository.path / ".github/workflows" / name).read_text()
        assert "STAGING_ENVIRONMENT || 'prod'" in text
        assert "STAGING_ENVIRONMENT || 'staging'" not in text
    assert (
        f" DOCKERFILE: {world.shape.dockerfile}\n"
        in (world.repository.path / f".github/workflows/{DEPLOY}").read_text()
    )
    assert "deploys to the environment" not in world.shown[2]  # it is the one that was named
    assert take_over(world) == world.shape.edits


def take_over(world: World) -> int:
    """What the guide says of other workflows: each command and platform that is theirs goes into the parts."""
    hints = HINT.findall(world.shown[2].replace("\r", ""))
    for name, _, ours, theirs in hints:
        text = (world.repository.path / name).read_text()
        before, after = (word.replace("uv run ", "uv run --no-sync ") for word in (ours, theirs))
        assert len(re.findall(f": {re.escape(before)}$", text, re.MULTILINE)) == 1, (before, text)
        world.repository.write(name, text.replace(f": {before}\n", f": {after}\n"))
    return len(hints)


def checked(world: World) -> None:
    assert "Nothing is missing in this repository" in world.shown[3]
    assert re.findall(r"^ridge-snow +(\S+) +update, validate +ok", world.shown[3], re.MULTILINE) == ["0.1.0", "0.1.1"]
    assert len(re.findall(r"^\S+ +[\d.]+ .* ok\s*$", world.shown[3], re.MULTILINE)) == 2 * world.shape.datasets
    assert world.shape.tests in world.shown[3]
    skip = re.findall(r"leave them out in \[tool.staging-cronjobs\]: (skip-jobs = \[.*\])", world.shown[3])
    assert skip == (['skip-jobs = ["archive-grib-files"]'] if world.shape.datasets > 1 else [])
    pyproject = (world.repository.path / "pyproject.toml").read_text()
    for setting in skip:  # as the guide says
        world.repository.write("pyproject.toml", f"{pyproject}{setting}\n")


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
    assert world.shape.tests_of_workflow in run.log
    assert [call for call in world.hub.calls("image") if f"--file {world.shape.dockerfile} " in call]
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
