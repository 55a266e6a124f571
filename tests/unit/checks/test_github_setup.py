"""What `staging doctor` makes of GitHub's answers, given by a stand-in of `gh`."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hub_answers
from hostile import Hostile
from hub_answers import NAMES, REPOSITORY, RULES
from staging_cronjobs.checks import github_setup
from staging_cronjobs.checks.github_setup import Wanted
from staging_cronjobs.external import shell
from staging_cronjobs.model.doctor import OK, UNKNOWN, WRONG, Look

STANDIN = Path(__file__).parents[2] / "support" / "standins" / "person"
ENVIRONMENT = hub_answers.environment_path("prod")
Ask = Callable[..., dict[str, Look]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Each look by what it looked at; answers that are given replace those of a repository that is set up."""
    monkeypatch.setenv("PATH", f"{STANDIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STANDINS_STATE", str(tmp_path))

    def ask(changed: dict[str, Any] | None = None, main: str = "main", without: str = "") -> dict[str, Look]:
        answers = hub_answers.all_set("prod") | (changed or {})
        answers.pop(without, None)
        hub_answers.write(tmp_path, answers)
        if without:
            (tmp_path / "answers" / without.replace("/", "_")).unlink(missing_ok=True)
        with shell.ahead():
            found = github_setup.begin(Wanted("dynamical-demo/weather", "prod", NAMES, NAMES[1:4], main))()
        assert not [look for look in found if look.state != OK and not look.commands], "without what mends it"
        return {look.what: look for look in found}

    return ask


def test_a_repository_that_is_set_up_is_all_right(ask: Ask) -> None:
    found = ask()
    assert {look.state for look in found.values()} == {OK}
    assert list(found) == ["GitHub", "environment prod", "secrets and variables", "rules of stage branches"]


def test_an_environment_that_stage_branches_cannot_use_is_told_with_the_command(ask: Ask) -> None:
    found = ask(
        {f"{ENVIRONMENT}/deployment-branch-policies": {"branch_policies": [{"name": "main"}, {"name": "stage/*"}]}}
    )
    look = found["environment prod"]
    assert (look.state, look.found) == (WRONG, "stage/*/* may not deploy there: only main, stage/*")
    assert look.commands == (f"gh api --method POST {ENVIRONMENT}/deployment-branch-policies -f 'name=stage/*/*'",)


@pytest.mark.parametrize(
    ("policy", "state", "words"),
    [
        (None, OK, "all branches"),
        ({"protected_branches": True, "custom_branch_policies": False}, WRONG, "Selected branches and tags"),
        ("x", UNKNOWN, "not understood"),
    ],
)
def test_the_kinds_of_policy(ask: Ask, policy: object, state: str, words: str) -> None:
    look = ask({ENVIRONMENT: {"deployment_branch_policy": policy}})["environment prod"]
    assert look.state == state and words in look.found


def test_an_environment_that_is_missing_is_wrong(ask: Ask) -> None:
    look = ask(without=ENVIRONMENT)["environment prod"]
    assert look.state == WRONG and "has no environment prod" in look.found


def test_a_variable_of_the_repository_names_the_environment(ask: Ask) -> None:
    listed = {"variables": [{"name": "STAGING_ENVIRONMENT", "value": "staging"}]}
    found = ask({f"{REPOSITORY}/actions/variables": listed})
    assert found["environment staging"].state == WRONG
    found = ask(hub_answers.all_set("staging") | {f"{REPOSITORY}/actions/variables": listed})
    assert found["environment staging"].state == OK


OWN = {f"{REPOSITORY}/actions/variables": {"variables": [{"name": "STAGING_CLEANUP_ENVIRONMENT", "value": "cleanup"}]}}
CLEANUP = hub_answers.environment_path("cleanup")
SET_UP = {
    CLEANUP: {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}},
    f"{CLEANUP}/deployment-branch-policies": {"branch_policies": [{"id": 2, "name": "main"}]},
    f"{CLEANUP}/variables": {"variables": [{"name": name} for name in NAMES[1:4]]},
    f"{CLEANUP}/secrets": {"secrets": []},
}


def test_an_environment_of_cleanups_alone_is_looked_at_too(ask: Ask) -> None:
    found = ask(OWN | SET_UP)
    assert {look.state for look in found.values()} == {OK}
    assert list(found)[-2:] == ["environment cleanup", "secrets and variables of cleanups"]
    organization = OWN[f"{REPOSITORY}/actions/variables"]
    elsewhere = {f"{REPOSITORY}/actions/variables": {}, f"{REPOSITORY}/actions/organization-variables": organization}
    assert ask(elsewhere | SET_UP) == found


@pytest.mark.parametrize(
    ("changed", "words", "command"),
    [
        ({CLEANUP: {"deployment_branch_policy": None}}, "all branches may use it", "-f name=main"),
        (
            {f"{CLEANUP}/deployment-branch-policies": {"branch_policies": [{"name": "main"}, {"name": "**/*"}]}},
            "stage branches may use it too (**/*)",
            "--method DELETE",
        ),
        (
            {f"{CLEANUP}/deployment-branch-policies": {"branch_policies": [{"name": "x"}]}},
            "main may not deploy there",
            "-f name=main",
        ),
    ],
    ids=["all", "stage branches", "not main"],
)
def test_an_environment_of_cleanups_is_for_main_alone(
    ask: Ask, changed: dict[str, Any], words: str, command: str
) -> None:
    look = ask(OWN | SET_UP | changed)["environment cleanup"]
    assert (look.state, words in look.found, command in look.commands[0]) == (WRONG, True, True), look


def test_what_cleanups_lack_is_told(ask: Ask) -> None:
    found = ask(OWN)
    assert found["environment cleanup"].found.startswith("dynamical-demo/weather has no environment cleanup")
    look = ask(OWN | SET_UP | {f"{CLEANUP}/variables": {"variables": []}})["secrets and variables of cleanups"]
    assert look.commands == tuple(f"gh variable set {name} --env cleanup" for name in NAMES[1:4])


def test_a_name_that_nobody_has_set_is_told(ask: Ask) -> None:
    own = {f"{ENVIRONMENT}/secrets": {"secrets": []}}
    elsewhere = {
        f"{REPOSITORY}/actions/secrets": {"secrets": [{"name": NAMES[2]}]},
        f"{REPOSITORY}/actions/organization-variables": {"variables": [{"name": NAMES[3]}]},
    }
    look = ask(own | elsewhere)["secrets and variables"]
    assert (look.state, look.commands) == (WRONG, (f"gh variable set {NAMES[4]} --env prod",))
    unread = {f"{REPOSITORY}/actions/organization-secrets": "no JSON"}
    assert ask(own | elsewhere | unread)["secrets and variables"].state == UNKNOWN


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        (["creation", "update"], OK),
        (["creation"], WRONG),
        ([], WRONG),
        (["creation", "update", "deletion"], WRONG),
        (["creation", "update", "pull_request"], WRONG),
        (["creation", "update", "required_signatures"], OK),
    ],
)
def test_the_rules_of_stage_branches(ask: Ask, kinds: list[str], state: str) -> None:
    assert ask({RULES: [{"type": kind} for kind in kinds]})["rules of stage branches"].state == state


def test_pages_are_read_one_after_the_other(ask: Ask) -> None:
    pages = "".join(json.dumps([{"type": kind}]) for kind in ("creation", "update"))
    assert ask({RULES: pages})["rules of stage branches"].state == OK


def test_a_default_branch_that_is_not_main_is_told(ask: Ask) -> None:
    assert ask(main="production")["GitHub"].state == UNKNOWN


def test_without_gh_or_a_repository_that_it_sees_nothing_is_known(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    (look,) = ask(without=REPOSITORY).values()
    assert look.state == UNKNOWN and "cannot see dynamical-demo/weather" in look.found
    monkeypatch.setenv("PATH", "/nonexistent")
    (look,) = ask().values()
    assert look.state == UNKNOWN and "gh is not installed" in look.found


@pytest.mark.parametrize("name", ["../x", "a/b/c", "a b/c", "a/b?x", "", "a/\udce9"])
def test_what_is_no_repository_of_github_is_not_asked_for(name: str, hostile: Hostile) -> None:
    (look,) = github_setup.begin(Wanted(name, "prod", NAMES, NAMES, "main"))()
    assert look.state == UNKNOWN
    hostile.tried("names from git", look.found)


BAD = [
    "",
    "[",
    "null",
    "1",
    '"x"',
    "[]",
    "{}",
    "[[[]]]",
    '{"a": ' * 5000,
    '{"variables": 1, "secrets": {"a": 1}}',
    "{} x",
]
BAD += ['[{"type": null}, 1]', '{"branch_policies": [{"name": {}}], "deployment_branch_policy": {}}', "\0\x1b[2J"]


@pytest.mark.parametrize("answer", BAD, ids=range(len(BAD)))
def test_an_answer_of_another_shape_is_never_taken_for_ok(ask: Ask, answer: str, hostile: Hostile) -> None:
    (look,) = ask({REPOSITORY: answer}).values()
    assert look.state == UNKNOWN, look
    paths = hub_answers.all_set("prod").keys() - {REPOSITORY}
    first, *others = ask(dict.fromkeys(paths, answer) | {REPOSITORY: {"default_branch": "main"}}).values()
    assert first.state == OK and not [found for found in others if found.state == OK], others
    hostile.tried("remote's answers", " ".join(found.found for found in (look, *others)))


@pytest.mark.parametrize(
    ("pattern", "branch", "matched"),
    [
        ("stage/*/*", "stage/a/v1", True),
        ("stage/*", "stage/a/v1", False),
        ("*", "stage/a/v1", False),
        ("**/*", "stage/a/v1", True),
        ("stage/**/*", "stage/a/v1", True),
        ("stage/**", "stage/a/v1", False),
        ("stage/?/v[0-9]", "stage/a/v1", False),
        ("stage/?/v?", "stage/a/v1", True),
        ("main", "main", True),
        ("mai.", "main", False),
        ("", "main", False),
    ],
)
def test_a_star_does_not_match_a_slash(pattern: str, branch: str, matched: bool) -> None:
    assert github_setup.matches(pattern, branch) is matched


@pytest.mark.parametrize("pattern", ["*" * 5000, "**/" * 2000, "*a" * 2000, "?*" * 2000], ids=["*", "**/", "*a", "?*"])
def test_a_pattern_cannot_take_long(pattern: str, hostile: Hostile) -> None:
    assert github_setup.matches(pattern, "stage/doctor/v0") is (set(pattern) == {"*"} and False)
    hostile.tried("remote's answers")


def test_no_request_changes_anything(ask: Ask, tmp_path: Path) -> None:
    ask()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 10
    assert all(re.fullmatch(r"gh api --paginate repos/[\w/%.-]+", line) for line in asked), asked
