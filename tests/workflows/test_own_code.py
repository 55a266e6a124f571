"""docs/migrating.md, "Coming from your own staging code", step by step in a repository that has such code."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import acting
from live import outside_environment
from repositories import Repository, make_repository, stage_branch
from staging_cronjobs.model import workflow_parts

PAGE = (acting.ROOT / "docs" / "migrating.md").read_text()
PART = PAGE.partition("\n## Coming from your own staging code\n")[2].partition("\n## ")[0]
STEPS = re.findall(r"^### (\d)\. ([^(]+) \((\d+) minutes\)\n(.*?)(?=^### |\Z)", PART, re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MINUTES, EDITS = 15, 3
MAIN, MODULE, TEST = "src/weather/__main__.py", "src/weather/staging.py", "tests/test_staging.py"
DEPLOY = ".github/workflows/deploy-staging.yml"
BRANCH = stage_branch("ridge-snow", "0.2.0")
TOOL = "https://github.com/OWNER/staging-cronjobs"
NAME = 'if __name__ == "__main__":\n'

CODE = '''"""Stages a version beside production, with kubectl."""

import json
import subprocess

LIMIT = 42


def parse(branch: str) -> tuple[str, str]:
    """Dataset id and version of a branch."""
    dataset_id, _, version = branch.removeprefix("stage/").rpartition("/v")
    if not dataset_id or not version:
        raise ValueError(f"{branch} is no stage branch")
    return dataset_id, version


def name(dataset_id: str, version: str, key: str) -> str:
    """The name of a staged CronJob, cut to fit."""
    end = f"-v{version.replace('.', '-')}-{key}"
    return f"stage-{dataset_id}"[: LIMIT - len(end)].rstrip("-") + end


def main_version(template: str) -> str:
    """The version that main has."""
    path = f"origin/main:{template}/zarr.json"
    text = subprocess.run(["git", "show", path], capture_output=True, text=True, check=True).stdout
    return json.loads(text)["attributes"]["dataset_version"]


def apply(dataset, image: str) -> None:
    """Apply a copy of each CronJob under its staged name."""
    jobs = []
    for job in dataset.operational_kubernetes_resources(image):
        made = job.as_kubernetes_object()
        key = made["metadata"]["name"].removeprefix(f"{dataset.dataset_id}-")
        made["metadata"]["name"] = name(dataset.dataset_id, dataset.template_config.version, key)
        jobs.append(made)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs})
    subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True, check=True)


def delete(dataset, version: str) -> None:
    """Delete these CronJobs, and the branch."""
    start = name(dataset.dataset_id, version, "")
    text = subprocess.run(["kubectl", "get", "cronjobs", "-o", "name"], capture_output=True, text=True).stdout
    for found in text.split():
        if found.partition("/")[2].startswith(start):
            subprocess.run(["kubectl", "delete", found], check=True)
    subprocess.run(["git", "push", "origin", "--delete", f"stage/{dataset.dataset_id}/v{version}"], check=True)
'''
COMMANDS = '''@app.command()
def deploy_staging(dataset_id: str, version: str, docker_image: str) -> None:
    """Stage a version."""
    dataset = next(d for d in DATASETS if d.dataset_id == dataset_id)
    if staging.main_version(dataset.template_config.template_path()) == version:
        raise typer.Exit(1)
    staging.apply(dataset, docker_image)


@app.command()
def cleanup_staging(dataset_id: str, version: str) -> None:
    """Delete a staged version."""
    staging.delete(next(d for d in DATASETS if d.dataset_id == dataset_id), version)


'''
IMPORT = "from weather import staging\n"
OLD_TEST = """from weather import staging


def test_a_branch_is_read():
    assert staging.parse("stage/ridge-snow/v0.2.0") == ("ridge-snow", "0.2.0")


def test_a_name_fits():
    assert len(staging.name("a" * 60, "0.2.0", "update")) <= staging.LIMIT
"""
WORKFLOW = """name: Deploy staging
on:
  push:
    branches: ["stage/**"]
permissions:
  id-token: write
  contents: read
jobs:
  quality:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - uses: astral-sh/setup-uv@v5
      - run: uv sync --all-extras --dev --locked
      - run: uv run pytest -p no:sugar --verbose
  deploy:
    needs: quality
    runs-on: ubuntu-24.04
    environment: prod
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}
      - uses: astral-sh/setup-uv@v5
      - run: uv sync
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: ${{ secrets.AWS_ROLE_TO_ASSUME }}
          aws-region: ${{ secrets.AWS_REGION }}
      - run: aws eks update-kubeconfig --name "$CLUSTER"
      - uses: depot/build-push-action@v1
        with: {push: true}
      - run: uv run main deploy-staging
"""


@dataclass(frozen=True)
class Team:
    """A person of the team, at the top of their repository."""

    repository: Repository
    environment: dict[str, str]

    def types(self, block: str, answer: str = "") -> str:
        done = subprocess.run(
            ["bash", "-ec", f"PATH=$PWD/.venv/bin:$PATH\n{block}"],
            cwd=self.repository.path,
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def change(self, name: str, before: str, after: str) -> None:
        text = (self.repository.path / name).read_text()
        assert text.count(before) == 1, (name, before)
        self.repository.write(name, text.replace(before, after))

    def lines(self, *names: str) -> list[tuple[int, int]]:
        """How many lines came and went since main, of each of these files."""
        found = self.repository.git("diff", "--numstat", "main...stage-with-releases", "--", *names).splitlines()
        return [(int(line.split("\t")[0]), int(line.split("\t")[1])) for line in found]


@pytest.fixture
def team(tmp_path: Path, packages: None) -> Team:
    repository = make_repository(tmp_path)
    pyproject = repository.path / "pyproject.toml"
    text = pyproject.read_text().partition("\n[tool.staging-cronjobs]")[0]
    pyproject.write_text(text + "\n[dependency-groups]\ndev = []\n")
    for name, content in ((MODULE, CODE), (TEST, OLD_TEST), (DEPLOY, WORKFLOW), ("Dockerfile", "FROM scratch\n")):
        repository.write(name, content)
    repository.write(".gitignore", ".venv\n__pycache__\n")
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(acting.uv().parent), "/usr/bin", "/bin", str(Path(shutil.which("git") or "").parent)])
    tool = acting.make_tool(tmp_path / "staging-cronjobs")
    instead = {"GIT_CONFIG_KEY_0": f"url.file://{tool.path}.insteadOf", "GIT_CONFIG_VALUE_0": TOOL}
    own = {**acting.uv_environment(), **outside_environment(home), "GIT_CONFIG_COUNT": "1", **instead}
    own |= {"PATH": path, "KUBECONFIG": "/nonexistent"}
    team = Team(repository, own)
    team.change(MAIN, "from weather.datasets", f"{IMPORT}from weather.datasets")
    team.change(MAIN, NAME, COMMANDS + NAME)
    shutil.copy(acting.ROOT / "uv.lock", repository.path)  # uv keeps to its versions
    team.types("uv lock --quiet")
    repository.commit("Stage with kubectl")
    repository.push("main")
    repository.stage("ridge-snow-forecast", "0.2.0")  # as the old code does it
    repository.stage("ridge-snow", "0.2.0")
    team.types("uv add --quiet sortedcontainers")  # so its lock is another one
    repository.commit("Sort")
    repository.checkout("main")
    return team


def test_it_takes_three_edits_and_a_quarter_of_an_hour() -> None:
    assert [int(number) for number, *_ in STEPS] == list(range(1, len(STEPS) + 1))
    assert sum(int(minutes) for _, _, minutes, _ in STEPS) == MINUTES
    assert [title.partition(":")[0] for _, title, *_ in STEPS if title.startswith("Edit")] == [
        "Edit 1",
        "Edit 2",
        "Edit 3",
    ]
    assert f"three edits and about {MINUTES} minutes" in " ".join(PART.split())


def test_the_old_code_goes_step_by_step_and_old_branches_stage_with_releases(team: Team) -> None:
    blocks = [BLOCK.findall(text) for *_, text in STEPS]
    edits, said = 0, ""
    for found in blocks:
        for language, block in found:
            if language == "bash":
                if BRANCH in block:  # "in each stage branch"
                    other = team.types(block.replace("ridge-snow", "ridge-snow-forecast"))
                    assert "CONFLICT" not in other
                    assert team.repository.git("branch", "--show-current") == stage_branch(
                        "ridge-snow-forecast", "0.2.0"
                    )
                said += team.types(block.replace("staging init --env", "staging init --yes --env"))
                continue
            edits += 1
            if language == "py":
                team.change(MAIN, IMPORT, "")
                team.change(MAIN, COMMANDS, "")
                team.change(MAIN, NAME, f"{block}\n\n{NAME}")
            elif language == "toml":
                groups, _, settings = block.partition("[tool.staging-cronjobs]\n")
                team.change("pyproject.toml", "dev = []\n", groups.partition("\n")[2].strip() + "\n")
                datasets, _, more = settings.partition("\n")
                assert datasets.partition(" #")[0] in (team.repository.path / "pyproject.toml").read_text()
                team.change("pyproject.toml", "[tool.staging-cronjobs]\n", f"[tool.staging-cronjobs]\n{more}")
            else:
                text = (team.repository.path / DEPLOY).read_text()
                team.repository.write(DEPLOY, workflow_parts.into(text, {"quality.checks": block}))
    assert edits == EDITS
    old = f"the old {DEPLOY}"
    assert f"it is `uv run pytest -p no:sugar --verbose` in {old}." in said
    assert f"it is `uv sync --all-extras --dev --locked` in {old}." in said
    assert f"it is @v4 in {old}." in said
    assert re.findall(r"CONFLICT .*", said) == ["CONFLICT (content): Merge conflict in uv.lock"]

    # The old stage branch has the new workflow and commands, its own version, and nothing of the old code.
    assert team.repository.git("branch", "--show-current") == BRANCH
    there = team.repository.git("ls-files").splitlines()
    assert DEPLOY in there and not {MODULE, TEST} & set(there)
    assert team.repository.git("status", "--porcelain") == ""
    lock = (team.repository.path / "uv.lock").read_text()
    assert 'name = "sortedcontainers"' in lock and 'name = "staging-cronjobs"' in lock
    assert "yours begin quality.checks" in (team.repository.path / DEPLOY).read_text()
    assert "staging-ridge-snow-v0-2-0" in team.types(f"staging render --branch {BRANCH} --docker-image image:1")
    assert "deploy-staging" in team.types("uv run --locked python -m weather --help")
    assert "deploy-staging" not in team.types("uv sync -q --locked --no-dev; uv run --no-sync python -m weather --help")

    own = sum(n for _, n in team.lines("src", "tests")) + len(WORKFLOW.splitlines())
    came = sum(n for n, _ in team.lines("src", "pyproject.toml"))
    assert f"{own} lines go and {came} come" in " ".join(PART.split()), (own, came)
