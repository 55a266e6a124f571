"""A checked-out stage branch does not say where releases are, where Sentry's token goes, or which branch is main."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile import Hostile
from live import IMAGE, Namespace, Staging
from repositories import Repository, stage_branch
from sentry_server import SentryServer
from staged import Sentry, install, names, push
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
TARGET = ("--branch", RIDGE.branch)
DEPLOY = ("deploy", *TARGET, "--docker-image", IMAGE)
MALFORMED, REFUSED, OUTSIDE = 2, 3, 4
TABLE = "[tool.staging-cronjobs]"

pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


@pytest.fixture
def file_only(staging: Staging) -> Staging:
    """The program without a namespace and a context in its environment: both are for a file to say."""
    places = ("STAGING_NAMESPACE", "STAGING_KUBE_CONTEXT")
    return Staging({name: value for name, value in staging.environment.items() if name not in places})


@pytest.fixture
def thief() -> Iterator[SentryServer]:
    """A server that waits for a token."""
    with SentryServer() as server:
        yield server


def settle(repository: Repository, *lines: str) -> str:
    """Commit these settings on the branch that is checked out, below the ones that are there; gives the commit."""
    text = (repository.path / "pyproject.toml").read_text()
    repository.write("pyproject.toml", "\n".join([text.rstrip(), *lines, ""]))
    return repository.commit("Change settings")


def hostile_branch(repository: Repository, live: Namespace, thief: SentryServer) -> None:
    """Main says where things are; the stage branch that is checked out and pushed says otherwise."""
    context = live.cluster.context
    settle(repository, f'namespace = "{live.name}"', f'kube-context = "{context}"')
    repository.push("main")
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    text = (repository.path / "pyproject.toml").read_text().replace(live.name, "kube-system")
    text = text.replace(context, "elsewhere")  # which the kubeconfig does not have
    sentry = (f'sentry-org = "{thief.organization}"', 'sentry-project = "weather"', f'sentry-url = "{thief.url}"')
    repository.write("pyproject.toml", "\n".join([text.rstrip(), *sentry, ""]))
    repository.commit("Lead astray")
    repository.push(RIDGE.branch)


def test_the_namespace_and_the_token_go_where_main_says(
    file_only: Staging, repository: Repository, live: Namespace, staging: Staging, thief: SentryServer, hostile: Hostile
) -> None:
    hostile_branch(repository, live, thief)
    install(staging, repository, RIDGE)
    said = ""
    for command in (("pause", *TARGET), ("resume", *TARGET), ("run", *TARGET, "--key=update"), ("sweep",)):
        done = file_only.run(repository.path, *command, SENTRY_AUTH_TOKEN="secret")
        said += done.stdout + done.stderr
    assert len(live.names("jobs")) == 1
    done = file_only.run(repository.path, "cleanup", *TARGET, "--yes", SENTRY_AUTH_TOKEN="secret")
    said += done.stdout + done.stderr
    assert "kube-system" not in said and "elsewhere" not in said
    assert live.leftovers() == []
    assert repository.remote_head(RIDGE.branch) is None
    hostile.tried("settings of a branch", said, ran=thief.asked())


def test_a_token_goes_where_main_says_also_where_the_place_is_given(
    staging: Staging, repository: Repository, live: Namespace, thief: SentryServer, hostile: Hostile
) -> None:
    hostile_branch(repository, live, thief)
    install(staging, repository, RIDGE)
    for remote in ("there", "away"):
        if remote == "away":
            repository.remote.rename(repository.remote.with_name("away.git"))
        for command in (("pause", *TARGET), ("resume", *TARGET)):
            done = staging.run(repository.path, *command, SENTRY_AUTH_TOKEN="secret")
            hostile.tried("settings of a branch", done.stdout + done.stderr, ran=thief.asked())


def test_a_deploy_that_main_would_not_find_is_refused_with_both_places(
    file_only: Staging, repository: Repository, live: Namespace, thief: SentryServer, hostile: Hostile
) -> None:
    hostile_branch(repository, live, thief)
    done = file_only.run(repository.path, *DEPLOY, code=REFUSED)
    assert (
        f"namespace is 'kube-system' in this branch's pyproject.toml, and '{live.name}' on origin/main" in done.stderr
    )
    hostile.tried("settings of a branch", done.stderr, changed=live.names("secrets"), ran=thief.asked())
    options, context = ("--namespace", live.name), live.cluster.context
    done = file_only.run(repository.path, *DEPLOY, *options, code=REFUSED)
    assert f"kube-context is 'elsewhere' in this branch's pyproject.toml, and '{context}' on origin/main" in done.stderr
    hostile.tried("settings of a branch", done.stderr, changed=live.names("secrets"), ran=thief.asked())
    file_only.run(repository.path, *DEPLOY, *options, "--kube-context", context)  # an option wins
    assert live.names("cronjobs") == names(RIDGE)


def test_a_branch_without_settings_is_deployed_where_main_says(
    file_only: Staging, repository: Repository, live: Namespace
) -> None:
    """Such as a legacy version, older than the settings."""
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    repository.checkout("main")
    settle(repository, f'namespace = "{live.name}"')
    repository.push("main")
    repository.checkout(RIDGE.branch)
    file_only.run(repository.path, *DEPLOY)
    assert live.names("cronjobs") == names(RIDGE)


def test_a_branch_that_calls_itself_main_is_refused(
    file_only: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    """Or neither its version nor its namespace would be compared with anything but itself."""
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    settle(repository, f'main = "{RIDGE.branch}"', f'namespace = "{live.name}"')
    repository.push(RIDGE.branch)
    for command in (DEPLOY, ("pause", *TARGET), ("cleanup", *TARGET, "--yes"), ("sweep", "--yes")):
        done = file_only.run(repository.path, *command, code=REFUSED)
        assert f"says that main is '{RIDGE.branch}', and pyproject.toml on the default branch of origin" in done.stderr
        hostile.tried("settings of a branch", done.stderr, changed=live.names("secrets"))


def test_what_is_not_committed_is_deployed_only_by_somebody_who_insists(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    commit = repository.stage(RIDGE.dataset_id, RIDGE.version)
    datasets = repository.path / "src/weather/datasets.py"
    datasets.write_text(f"{datasets.read_text()}# tried out\n")
    done = staging.run(repository.path, *DEPLOY, code=REFUSED)
    assert f"not committed, so commit {commit[:12]} is not what would be deployed" in done.stderr
    assert live.names("secrets") == []
    staging.run(repository.path, *DEPLOY, "--allow-dirty")
    staging.run(repository.path, "pause", *TARGET)
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert row["commit"] == f"{commit}-dirty"
    history = json.loads(staging.helm("history", RIDGE.release, "-o", "json"))
    assert history[0]["description"].startswith(
        f"{RIDGE.branch} at {commit[:12]} with uncommitted changes by Weather: "
    )


UNUSABLE = {
    "of another user": "dubious ownership",
    "a moved work tree": "not a git repository",
    "a broken configuration": "bad config line",
    "no such remote": "has no git remote 'origin'. It says: ",
}


def make_unusable(repository: Repository, how: str) -> dict[str, str]:
    """Have git refuse the checkout; gives what `staging` has in its environment then."""
    git = repository.path / ".git"
    match how:
        case "of another user":
            return {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
        case "a moved work tree":
            git.rename(git.with_name("moved"))
            git.write_text("gitdir: /nowhere/.git/worktrees/weather\n")
        case "a broken configuration":
            (git / "config").write_text("[core\n")
        case "no such remote":
            repository.git("remote", "rename", "origin", "elsewhere")
    return {}


COMMANDS = {
    "alone": ("cleanup", *TARGET, "--yes"),
    "after the event": ("cleanup", *TARGET, "--yes", "--branch-deleted"),
    "all versions": ("cleanup", "--dataset-id", RIDGE.dataset_id, "--all-versions", "--yes"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", UNUSABLE)
def test_a_checkout_that_git_cannot_use_stops_a_cleanup_and_says_why(
    staging: Staging, repository: Repository, live: Namespace, how: str, command: str
) -> None:
    """Or the branch would be left, and deployed again, without a word."""
    install(staging, repository, RIDGE)
    commit = push(repository, RIDGE)
    environment = make_unusable(repository, how)
    done = staging.run(repository.path, *COMMANDS[command], code=OUTSIDE, **environment)
    assert UNUSABLE[how] in done.stderr
    assert how == "no such remote" or "git cannot use the checkout at" in done.stderr
    assert live.names("cronjobs") == names(RIDGE)
    assert repository.remote.joinpath("refs/heads", RIDGE.branch).read_text().strip() == commit


def test_the_event_of_a_deletion_needs_a_checkout(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    push(repository, RIDGE)
    done = staging.run(tmp_path, "cleanup", *TARGET, "--yes", "--branch-deleted", code=MALFORMED)
    assert "--branch-deleted asks the remote for the branch, so it needs a checkout" in done.stderr
    assert live.names("cronjobs") == names(RIDGE)


def test_outside_of_a_checkout_no_file_says_where_a_token_goes(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, thief: SentryServer, hostile: Hostile
) -> None:
    install(staging, repository, RIDGE)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    lines = [TABLE, f'sentry-org = "{thief.organization}"', 'sentry-project = "weather"', f'sentry-url = "{thief.url}"']
    (folder / "pyproject.toml").write_text("\n".join(lines))
    done = staging.run(folder, "cleanup", *TARGET, "--yes", code=MALFORMED, SENTRY_AUTH_TOKEN="secret")
    assert f"no main confirms it. Set SENTRY_URL to {thief.url}." in done.stderr
    hostile.tried(
        "settings of a branch", done.stderr, changed=live.names("cronjobs") != names(RIDGE), ran=thief.asked()
    )


def test_a_repository_is_the_same_in_any_case_and_a_renamed_one_is_told_how(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry
) -> None:
    install(staging, repository, RIDGE, owner="Dynamical-Demo/Weather")
    renamed = StagedVersion("ridge-snow", "0.3.0")
    install(staging, repository, renamed, owner="dynamical-demo/old-name")
    push(repository, RIDGE)
    found = staging.run(repository.path, "sweep", "-o", "json").json
    (other,) = [row for row in found if row["kind"] == "other-repository"]
    assert other["name"] == renamed.release
    how = 'set repository = "dynamical-demo/old-name" in [tool.staging-cronjobs]'
    assert "deployed from dynamical-demo/old-name: skipped." in other["detail"] and how in other["detail"]
    done = staging.run(repository.path, "cleanup", "--branch", renamed.branch, "--yes", code=REFUSED)
    assert how in done.stderr
    staging.run(repository.path, "cleanup", *TARGET, "--yes")
    assert repository.remote_head(RIDGE.branch) is None
    staging.run(
        repository.path, "cleanup", "--branch", renamed.branch, "--yes", STAGING_REPOSITORY="dynamical-demo/old-name"
    )
    assert live.leftovers() == []


def test_another_groups_subgroup_of_the_same_name_is_another_repository(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, hostile: Hostile
) -> None:
    """And a release from when the group was not in the name is told how to go on."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor call; do :; done\nexec "${{call%% *}}" {repository.remote}\n')
    ssh.chmod(0o755)
    repository.git("remote", "set-url", "origin", "git@gitlab.example:a/dynamical-demo/weather.git")
    program = Staging({**staging.environment, "GIT_SSH_COMMAND": str(ssh)})
    earlier = StagedVersion("ridge-snow", "0.3.0")
    install(staging, repository, RIDGE, owner="x/dynamical-demo/weather")
    install(staging, repository, earlier, owner="dynamical-demo/weather")
    done = program.run(repository.path, "sweep", "--grace", "0s", "-o", "json")
    assert {row["name"]: row["kind"] for row in done.json} == {
        RIDGE.release: "other-repository",
        earlier.release: "other-repository",
    }
    hostile.tried("names from git", done.stdout + done.stderr)
    done = program.run(repository.path, "cleanup", "--branch", earlier.branch, "--yes", code=REFUSED)
    assert "this is a checkout of a/dynamical-demo/weather" in done.stderr
    assert 'set repository = "dynamical-demo/weather" in [tool.staging-cronjobs]' in done.stderr
    cleanup = ("cleanup", "--branch", earlier.branch, "--yes")
    program.run(repository.path, *cleanup, STAGING_REPOSITORY="dynamical-demo/weather")
    assert live.names("cronjobs") == names(RIDGE)


@pytest.mark.parametrize("path", ["../../etc", ":(glob)**", "--output=ran"])
def test_a_record_whose_template_leads_astray_does_not_stop_a_sweep(
    staging: Staging, repository: Repository, live: Namespace, path: str, hostile: Hostile
) -> None:
    made = install(staging, repository, RIDGE)
    record = made.record.model_copy(update={"template_path": path})
    values = made.model_copy(update={"record": record}).model_dump(mode="json")
    done = staging.tool(
        *("helm", "upgrade", RIDGE.release, str(Path(__file__).parents[2] / "charts/staging-cronjobs"), "-f", "-"),
        given=json.dumps(values),
    )
    assert done.code == 0, done.stderr
    swept = staging.run(repository.path, "sweep", "-o", "json")
    kinds = {row["kind"] for row in swept.json if row["name"] == RIDGE.release}
    assert kinds == {"unproven"}
    hostile.tried("paths of a record", swept.stdout + swept.stderr, ran=(repository.path / "ran").exists())


BAD = {
    "not raised": (
        '"dataset_version": "0.2.0"',
        '"dataset_version": "0.1.0"',
        "is at version 0.1.0, not 0.2.0, in src",
    ),
    "broken": ("{", "", "is not JSON with attributes"),
    "of another": ('"ridge-snow"', '"ridge"', 'is the template of dataset "ridge", not of ridge-snow'),
}


@pytest.mark.parametrize("how", BAD)
def test_the_branchs_own_template_is_read(staging: Staging, repository: Repository, live: Namespace, how: str) -> None:
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    template = f"{repository.template_path(RIDGE.dataset_id)}/zarr.json"
    text = (repository.path / template).read_text()
    old, new, sentence = BAD[how]
    assert old in text
    repository.write(template, text.replace(old, new))
    repository.commit("Spoil the template")
    repository.push(stage_branch(RIDGE.dataset_id, RIDGE.version))
    done = staging.run(repository.path, *DEPLOY, code=REFUSED)
    assert sentence in done.stderr
    assert live.names("secrets") == []


def test_a_main_of_zarr_v2_at_the_same_version_is_no_new_dataset(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    template = repository.template_path(RIDGE.dataset_id)
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    repository.checkout("main")
    repository.git("rm", "--quiet", f"{template}/zarr.json")
    attributes = {"dataset_id": RIDGE.dataset_id, "dataset_version": RIDGE.version}
    repository.write(f"{template}/.zattrs", json.dumps(attributes))
    repository.commit("Have Zarr v2")
    repository.push("main")
    repository.checkout(RIDGE.branch)
    done = staging.run(repository.path, *DEPLOY, code=REFUSED)
    assert f"origin/main has version 0.2.0 of {RIDGE.dataset_id} too" in done.stderr
    assert live.names("secrets") == []
