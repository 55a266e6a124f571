"""This project's own automation, read as text and data: what actionlint and zizmor (`make lint`) do not know of it."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from controlplane import binaries
from controlplane.binaries import BINARIES
from reading import WORKFLOWS, read, steps

ROOT = WORKFLOWS.parents[1]
OWN = ("ci.yml", "release.yml")
FILES = sorted([*WORKFLOWS.glob("*.yml"), *WORKFLOWS.parent.glob("actions/*/action.yml")])
MODULES = {folder.name for folder in binaries.MODULES.iterdir()}
PIN = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)*@[0-9a-f]{40} # v\d+(\.\d+)*")
LOCAL = re.compile(r"\./\.github/\S+ # zizmor: ignore\[self-repository\] \w.+")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def run_steps(name: str) -> str:
    """All shell of a workflow."""
    return "\n".join(step["run"] for _, step in steps(read(name)) if "run" in step)


def inputs(action: str) -> Iterator[dict[str, Any]]:
    """What each step of all workflows gives to an action."""
    for file in WORKFLOWS.glob("*.yml"):
        yield from (s.get("with", {}) for _, s in steps(read(file.name)) if s.get("uses", "").startswith(f"{action}@"))


def minor(version: str) -> str:
    """1.29 of v1.29.14, and of >=1.29.0-0."""
    found = re.search(r"\d+\.\d+", version)
    assert found
    return found[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_action_is_pinned_by_its_commit(file: Path) -> None:
    for used in re.findall(r"\buses: (.+)", file.read_text()):
        assert PIN.fullmatch(used) or LOCAL.fullmatch(used), used


def test_one_version_of_each_action_is_used() -> None:
    pins: dict[str, set[str]] = {}
    for file in FILES:
        for action, pin in re.findall(r"\buses: ([\w-]+/[\w-]+)\S*@(.+)", file.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", OWN)
def test_only_what_publishes_may_write(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {}
    writes = {
        job: {right for right, level in content["permissions"].items() if level == "write"}
        for job, content in workflow["jobs"].items()
    }
    assert {job: rights for job, rights in writes.items() if rights} == (
        {
            "pypi": {"id-token", "attestations"},
            "chart": {"packages", "id-token", "attestations"},
            "release": {"contents"},
        }
        if name == "release.yml"
        else {}
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_expression_is_pasted_into_a_shell(file: Path) -> None:
    content = YAML(typ="safe").load(file)
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    assert [s["run"] for job in jobs for s in job.get("steps", []) if "${{" in s.get("run", "")] == []
    assert "pull_request_target" not in file.read_text()


@pytest.mark.parametrize("name", OWN)
def test_tokens_are_given_to_single_steps(name: str) -> None:
    workflow = read(name)
    assert not any("token" in str(part.get("env", "")) for part in (workflow, *workflow["jobs"].values()))
    assert "secrets." not in text(f".github/workflows/{name}")
    for _, step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_is_published_was_tested_and_built_without_a_cache() -> None:
    jobs = read("release.yml")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    for job in ("pypi", "chart"):
        assert set(jobs[job]["needs"]) == {"ci", "build"}
    assert set(jobs["release"]["needs"]) == {"pypi", "chart"}
    uses = [step["uses"] for step in jobs["build"]["steps"] if "uses" in step]
    assert not [action for action in uses if "cache" in action or action.startswith("./")]
    assert [given["enable-cache"] for given in inputs("astral-sh/setup-uv") if "enable-cache" in given] == [False]


def test_ci_runs_the_commands_of_a_clone() -> None:
    commands = run_steps("ci.yml").splitlines()
    assert "make test # all tests" in text("README.md")
    for command in ("make lint", "make test", "make test-lowest", "make docs"):
        assert command in commands
        assert f"{command.removeprefix('make ')}:" in text("Makefile")
    (schema,) = [line for line in commands if line.endswith("values.schema.json")]
    assert schema.removeprefix(".venv/bin/") in text("CONTRIBUTING.md")
    assert "git diff --exit-code" in commands


def test_the_oldest_and_the_newest_python_are_tested() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    named = [minor(found) for found in project["classifiers"] if re.search(r"Python :: \d+\.\d+$", found)]
    assert named[0] == minor(project["requires-python"])
    assert read("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_each_helm_is_tested_on_the_oldest_and_the_newest_kubernetes() -> None:
    matrix = read("ci.yml")["jobs"]["kind"]["strategy"]["matrix"]
    helms = {"helm3-oldest", "helm3", "helm4"}
    assert {row["name"]: row["version"] for row in matrix["helm"]} == {key: BINARIES[key].version for key in helms}
    floor = YAML(typ="safe").load(text("charts/staging-cronjobs/Chart.yaml"))["kubeVersion"]
    newest = BINARIES["kube-apiserver"].version
    assert [minor(row["version"]) for row in matrix["kubernetes"]] == [minor(floor), minor(newest)]


def test_tools_have_the_versions_of_a_clone() -> None:
    kubectl, kind = BINARIES["kubectl"].version, read("ci.yml")["jobs"]["kind"]["strategy"]["matrix"]["kubernetes"][-1]
    wanted = {"version": kind["kind"], "node_image": f"kindest/node:{kind['version']}@{kind['digest']}"}
    assert {given["version"] for given in inputs("azure/setup-kubectl")} <= {kubectl}
    assert {given["kubectl_version"] for given in inputs("helm/kind-action")} == {kubectl}
    assert wanted | {"kubectl_version": kubectl} in list(inputs("helm/kind-action"))
    assert {given["version"] for given in inputs("azure/setup-helm")} == {
        BINARIES["helm4"].version,
        "${{ matrix.helm.version }}",
    }
    assert {f"v{given['version']}" for given in inputs("helm/chart-testing-action")} == {BINARIES["ct"].version}
    (uv,) = re.findall(r"^UV_VERSION := (\S+)", text("Makefile"), re.MULTILINE)
    assert {given.get("version", uv) for given in inputs("astral-sh/setup-uv")} == {uv}
    go = {minor(binaries.in_go_mod(folder, r"^go (\S+)")) for folder in MODULES - {"kubernetes-oldest"}}
    assert go == set(re.findall(r'go-version: "(\S+)"', text(".github/actions/tools/action.yml")))


def test_dependabot_knows_actions_python_and_every_tool_that_go_builds() -> None:
    updates = YAML(typ="safe").load(text(".github/dependabot.yml"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "gomod", "uv"}
    followed = []
    for update in (update for update in updates if update["package-ecosystem"] == "gomod"):
        names = {allowed["dependency-name"] for allowed in update["allow"]}
        for folder in update["directories"]:
            found = set(re.findall(r"^\s*(?:require )?(\S+) v", text(f"{folder[1:]}/go.mod"), re.MULTILINE)) & names
            assert len(found) == 1, f"{folder}: one tool, and nothing that it is built of, but {found}"
            followed.append(folder.rpartition("/")[2])
    assert sorted(followed) == sorted(name for name in MODULES if not name.endswith("-oldest"))
    assert {*BINARIES} & MODULES <= {*followed, "helm3-oldest"}


def test_lint_asks_zizmor_and_actionlint() -> None:
    lint = subprocess.run(["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "zizmor --quiet --offline --persona=pedantic .github\n" in lint
    assert re.search(r"controlplane path actionlint\).*\.github/workflows/\*\.yml", lint)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_finding_that_is_ignored_has_its_reason_beside_it(file: Path) -> None:
    for ignored in re.findall(r"zizmor: ignore.*", file.read_text()):
        assert re.fullmatch(r"zizmor: ignore\[[\w-]+\] \w+ .+", ignored), ignored
