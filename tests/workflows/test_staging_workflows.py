"""What the two files of `staging init` promise whoever reads them: grants, pins, secrets, groups, order."""

import os
import re
import subprocess
from typing import Any

import pytest

from acting import CLEANUP, DEPLOY
from reading import WORKFLOWS, read, steps

FILES = (DEPLOY, CLEANUP)
PIN = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
NAMED = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d")
QUALITY = ("ruff check", "ruff format --check", "ty check", "pytest")
OWN = "vars.STAGING_ENVIRONMENT || 'staging'"  # `staging init --environment` puts another name there
BRANCH = "staging-${{ %s }}"
GITS = (  # the steps that ask the remote
    *(("deploy", "Deploy"), ("cleanup", "Clean up"), ("sweep", "Sweep")),
    *(("operate", "Pause or resume"), ("operate", "Run a job"), ("operate", "List or status")),
)


def jobs(name: str) -> dict[str, Any]:
    return read(name)["jobs"]


def step(job: str, name: str) -> dict[str, Any]:
    """One step of either file."""
    return next(s for file in FILES for j, s in steps(read(file)) if (j, s["name"]) == (job, name))


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_granted_but_what_a_job_says(name: str) -> None:
    assert read(name)["permissions"] == {}
    grants = {job: content["permissions"] for job, content in jobs(name).items()}
    assert [job for job, found in grants.items() if found["contents"] == "write"] == ["cleanup"] * (name == CLEANUP)
    assert {right for found in grants.values() for right in found} <= {"contents", "id-token"}
    assert "id-token" not in grants.get("quality", {})


@pytest.mark.parametrize("name", FILES)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(name: str) -> None:
    used = [s["uses"] for _, s in steps(read(name)) if "uses" in s]
    assert used
    assert not [uses for uses in used if not PIN.fullmatch(uses)]
    assert len(NAMED.findall((WORKFLOWS / name).read_text())) == len(used)


@pytest.mark.parametrize("name", FILES)
def test_no_expression_is_pasted_into_a_shell(name: str) -> None:
    scripts = [s["run"] for _, s in steps(read(name)) if "run" in s]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("name", FILES)
def test_secrets_reach_single_steps_only(name: str) -> None:
    workflow = read(name)
    assert not [part for part in (workflow, *workflow["jobs"].values()) if {"env", "outputs", "secrets"} & part.keys()]
    holders = {s["name"] for _, s in steps(workflow) if "secrets." in str(s.get("env"))}
    assert (
        holders
        == {
            DEPLOY: {"Settings", "Build and push", "Write the kubeconfig", "Deploy"},
            CLEANUP: {"Write the kubeconfig", "Clean up", "Pause or resume", "Sweep"},
        }[name]
    )
    assert "secrets." not in str(step("image" if name == DEPLOY else "cleanup", "Check out"))


def test_the_sentry_token_is_in_the_steps_that_change_monitors_alone() -> None:
    holders = [(file, j, s["name"]) for file in FILES for j, s in steps(read(file)) if "SENTRY_AUTH_TOKEN" in str(s)]
    wanted = (("cleanup", "Clean up"), ("operate", "Pause or resume"), ("sweep", "Sweep"))
    assert holders == [(CLEANUP, *where) for where in wanted]


@pytest.mark.parametrize("name", FILES)
def test_checkouts_keep_no_credentials(name: str) -> None:
    found = [s["with"] for _, s in steps(read(name)) if s.get("uses", "").startswith("actions/checkout@")]
    assert found
    assert {tuple(options.items()) for options in found} == {(("persist-credentials", False),)}


@pytest.mark.parametrize(("job", "verb"), GITS)
def test_git_asks_with_the_token_of_the_step(job: str, verb: str) -> None:
    given = step(job, verb)["env"]
    assert given["GIT_TOKEN"] == "${{ github.token }}"
    config = {name: str(value) for name, value in given.items() if name.startswith("GIT_CONFIG")}
    config["GIT_CONFIG_KEY_0"] = config["GIT_CONFIG_KEY_0"].replace("${{ github.server_url }}", "https://github.com")
    answers = [
        subprocess.run(
            ["git", "credential", "fill"],
            env={"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "GIT_TOKEN": "abc", **config},
            input=f"protocol=https\nhost={host}\n\n",
            capture_output=True,
            text=True,
        )
        for host in ("github.com", "example.org")
    ]
    assert answers[0].stdout.splitlines()[2:] == ["username=x-access-token", "password=abc"]
    assert "password" not in answers[1].stdout  # nobody else is given it


def test_deploy_waits_for_quality_and_image_which_wait_for_nothing() -> None:
    assert {job: content.get("needs", []) for job, content in jobs(DEPLOY).items()} == {
        "quality": [],
        "image": [],
        "deploy": ["quality", "image"],
    }
    assert not [job for job, content in jobs(DEPLOY).items() if "if" in content]


def test_quality_is_ruff_ty_and_pytest() -> None:
    run = [s.get("run", "") for job, s in steps(read(DEPLOY)) if job == "quality"]
    assert [script.removeprefix("uv run --no-sync ") for script in run[-4:]] == list(QUALITY)
    assert not [s for _, s in steps(read(DEPLOY)) if "continue-on-error" in s or "if" in s]


def test_deploys_and_cleanups_of_a_branch_have_one_group_that_cancels_nothing() -> None:
    groups = {
        job: content["concurrency"]
        for name in FILES
        for job, content in jobs(name).items()
        if "steps" in content and "concurrency" in content
    }
    assert {group["cancel-in-progress"] for group in groups.values()} == {False}
    # GitHub keeps one that waits, unless all may: none of them may be pushed out by a later one.
    assert {job for job, group in groups.items() if group.get("queue") != "max"} == {"sweep"}
    assert {job: group["group"] for job, group in groups.items()} == {
        "deploy": BRANCH % "github.ref_name",
        "cleanup": BRANCH % "inputs.target || github.event.ref",  # the same name, as these events give it
        "operate": BRANCH % "inputs.target",
        "image": "staging-image-${{ github.sha }}",
        "sweep": "staging-sweep",
    }
    assert not [name for name in FILES if "concurrency" in read(name)]


def test_environments_are_named_by_variables() -> None:
    found = {name: {j: c.get("environment") for j, c in jobs(name).items()} for name in FILES}
    own, cleanup = f"${{{{ {OWN} }}}}", f"${{{{ vars.STAGING_CLEANUP_ENVIRONMENT || {OWN} }}}}"
    assert found == {
        DEPLOY: {"quality": None, "image": own, "deploy": own},
        CLEANUP: dict.fromkeys(("cleanup", "operate", "sweep"), cleanup),
    }


def test_what_starts_them() -> None:
    assert read(DEPLOY)["on"] == {"push": {"branches": ["stage/**"]}}
    assert read(CLEANUP)["on"].keys() == {"delete", "workflow_dispatch", "schedule"}


@pytest.mark.parametrize("name", FILES)
def test_every_job_ends_some_day(name: str) -> None:
    assert all(0 < content["timeout-minutes"] <= 60 for content in jobs(name).values())


@pytest.mark.parametrize("name", FILES)
def test_no_version_of_this_program_is_named(name: str) -> None:
    installs = [s["run"] for _, s in steps(read(name)) if s.get("run", "").startswith("uv sync")]
    assert installs
    assert all("--locked" in script and "group staging" in script for script in installs)
