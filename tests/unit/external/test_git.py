"""The git side, on real repositories: what main has, where a stage branch is, and its deletion."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from repositories import Repository, make_repository, stage_branch
from staging_cronjobs.errors import Outside, Refused
from staging_cronjobs.external import git
from staging_cronjobs.external.git import Checkout, owner_and_name
from staging_cronjobs.model.settings import Settings

HARBOR = "src/weather/harbor/wind_forecast/templates/latest.zarr"
BRANCH = stage_branch("ridge-snow", "0.2.0")


@pytest.fixture(autouse=True)
def no_machine_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """For tests that change nothing."""
    return make_repository(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path)


@pytest.fixture
def checkout(repository: Repository) -> Checkout:
    return git.checkout(Settings(project=repository.path))


def elsewhere(repository: Repository, folder: Path, *options: str) -> Repository:
    """Another clone of the same remote, with its own main."""
    clone = Repository(path=folder / "elsewhere", remote=repository.remote)
    repository.git("clone", "--quiet", *options, f"file://{repository.remote}", str(clone.path))
    clone.git("config", "user.name", "Someone")
    clone.git("config", "user.email", "someone@example.org")
    return clone


def zarr(attributes: object) -> str:
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/name.git",
        "https://github.com/owner/name",
        "https://github.com/owner/name/",
        "https://token@github.com/owner/name.git",
        "https://user:token@github.example:8443/owner/name.git",
        "http://github.example/deep/group/owner/name.git",
        "ssh://git@github.com/owner/name.git",
        "ssh://git@github.com:2222/owner/name.git",
        "git+ssh://git@github.com/owner/name",
        "git://github.com/owner/name.git",
        "git@github.com:owner/name.git",
        "git@github.com:owner/name",
        "github.com:owner/name.git",
        "git@host:/srv/git/owner/name.git",
        "file:///srv/git/owner/name.git",
        "/srv/git/owner/name.git",
        "/srv/git/owner/name.git/",
        "../git/owner/name.git",
        "owner/name",
    ],
)
def test_owner_and_name_of_every_form_of_url(url: str) -> None:
    assert owner_and_name(url) == "owner/name"


def test_a_name_may_hold_dots_and_git() -> None:
    assert owner_and_name("https://github.com/owner/name.github.io.git") == "owner/name.github.io"
    assert owner_and_name("https://github.com/own.er/git") == "own.er/git"


def test_the_checkout_is_the_work_tree_around_the_project(shared: Repository, tmp_path: Path) -> None:
    project = shared.path / "src" / "weather"
    found = git.checkout(Settings(project=project, remote="origin", main="trunk"))
    assert found == Checkout(shared.path.resolve(), "origin", "trunk", "dynamical-demo/weather")
    assert found.head() == shared.git("rev-parse", "main")
    assert git.checkout(Settings(project=project, repository="a/b")).repository == "a/b"


def test_no_work_tree_and_no_remote_are_told(shared: Repository, tmp_path: Path) -> None:
    with pytest.raises(Outside, match=f"{tmp_path} is not in a git work tree"):
        git.checkout(Settings(project=tmp_path))
    with pytest.raises(Outside, match="has no git remote 'upstream': set remote in"):
        git.checkout(Settings(project=shared.path, remote="upstream"))


def test_fetch_main_sees_what_was_pushed_meanwhile(checkout: Checkout, repository: Repository, tmp_path: Path) -> None:
    assert checkout.main_version(HARBOR) == "0.2.0"
    other = elsewhere(repository, tmp_path)
    other.bump("harbor-wind-forecast", "0.3.0")
    other.commit()
    other.push("main")
    assert checkout.main_version(HARBOR) == "0.2.0"
    checkout.fetch_main()
    assert checkout.main_version(HARBOR) == "0.3.0"
    assert repository.git("rev-parse", "HEAD") != repository.remote_head("main")


def test_fetch_main_follows_a_main_that_was_rewritten(checkout: Checkout, repository: Repository) -> None:
    old = repository.git("rev-parse", "main")
    repository.bump("harbor-wind-forecast", "0.9.0")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "Rewritten")
    repository.git("push", "--quiet", "--force", "origin", "main")
    repository.git("update-ref", "refs/remotes/origin/main", old)
    checkout.fetch_main()
    assert checkout.main_version(HARBOR) == "0.9.0"


def test_fetch_main_is_not_led_astray_by_a_tag_of_that_name(checkout: Checkout, repository: Repository) -> None:
    repository.git("tag", "main", "main~1")
    repository.git("push", "--quiet", "origin", "refs/tags/main")
    checkout.fetch_main()
    assert repository.git("rev-parse", "refs/remotes/origin/main") == repository.git("rev-parse", "refs/heads/main")


def test_a_main_that_cannot_be_fetched_is_an_error(checkout: Checkout, repository: Repository) -> None:
    missing = Checkout(checkout.folder, "origin", "trunk", "a/b")
    with pytest.raises(Outside, match=r"cannot read trunk of origin: .*trunk"):
        missing.fetch_main()
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match="cannot read main of origin: "):
        checkout.fetch_main()


def test_a_shallow_clone_of_one_branch_is_enough(repository: Repository, tmp_path: Path) -> None:
    repository.stage("ridge-snow", "0.2.0")
    clone = elsewhere(repository, tmp_path, "--depth", "1", "--branch", BRANCH)
    found = git.checkout(Settings(project=clone.path))
    found.fetch_main()
    assert found.main_version(HARBOR) == "0.2.0"
    assert found.main_version(clone.template_path("ridge-snow")) == "0.1.0"
    assert found.remote_head(BRANCH) == found.head()
    assert clone.git("rev-parse", "--is-shallow-repository") == "true"


def test_the_template_path_is_absolute_or_from_the_top_of_the_repository(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (HARBOR, str(checkout.folder / HARBOR), f"src/../{HARBOR}"):
        assert checkout.relative(path) == HARBOR
        assert checkout.main_version(path) == "0.2.0"


def test_a_template_outside_the_repository_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    for path in (str(tmp_path / "latest.zarr"), "../latest.zarr"):
        with pytest.raises(Refused, match="is outside the repository"):
            checkout.main_version(path)


def test_a_template_that_main_lacks_has_no_version(checkout: Checkout) -> None:
    assert checkout.main_version(str(checkout.folder / "src/weather/lagoon/latest.zarr")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not JSON with attributes: its dataset_version cannot be compared"),
        ("[]", "is not JSON with attributes"),
        ("{}", "is not JSON with attributes"),
        (zarr(None), "is not JSON with attributes"),
        (zarr({"dataset_id": "x"}), "has no attribute dataset_version: this version cannot be compared with it"),
        (zarr({"dataset_version": 1.0}), "has no attribute dataset_version"),
    ],
)
def test_a_template_on_main_that_cannot_be_read_is_refused(repository: Repository, text: str, message: str) -> None:
    repository.write(f"{HARBOR}/zarr.json", text)
    repository.commit()
    repository.push("main")
    checkout = git.checkout(Settings(project=repository.path))
    checkout.fetch_main()
    with pytest.raises(Refused) as caught:
        checkout.main_version(str(checkout.folder / HARBOR))
    assert str(caught.value).startswith(f"{HARBOR}/zarr.json on origin/main {message}")


def test_a_main_that_was_never_fetched_is_not_one_without_the_template(checkout: Checkout) -> None:
    never = Checkout(checkout.folder, "origin", "trunk", "a/b")
    with pytest.raises(Outside, match="git failed: "):
        never.main_version(str(checkout.folder / HARBOR))
    with pytest.raises(Outside, match="git cannot search origin/trunk: "):
        never.templates_on_main("ridge-snow")


def test_contents_that_git_cannot_get_are_not_an_absent_template(repository: Repository, tmp_path: Path) -> None:
    """A clone without contents fetches each when it is asked for, and the remote may be down by then."""
    repository.git("--git-dir", str(repository.remote), "config", "uploadpack.allowFilter", "true")
    clone = elsewhere(repository, tmp_path, "--filter=blob:none", "--no-checkout")
    checkout = git.checkout(Settings(project=clone.path))
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match="git failed: "):
        checkout.main_version(str(clone.path / HARBOR))
    with pytest.raises(Outside, match=r"git (cannot search origin/main|failed): "):
        checkout.templates_on_main("harbor-wind-forecast")


def test_templates_on_main_carry_the_id_as_their_own(checkout: Checkout, repository: Repository) -> None:
    assert checkout.templates_on_main("harbor-wind-forecast") == [HARBOR]
    assert checkout.templates_on_main("harbor") == []
    assert checkout.templates_on_main("lagoon-oxygen-forecast") == []
    repository.write("old place/ü/zarr.json", zarr({"dataset_id": "lagoon-oxygen-forecast"}))
    repository.write("src/other/zarr.json", zarr({"source": "lagoon-oxygen-forecast", "dataset_id": "other"}))
    repository.write("src/broken/zarr.json", '"lagoon-oxygen-forecast"')
    repository.write("notes.json", zarr({"dataset_id": "lagoon-oxygen-forecast"}))
    repository.commit()
    repository.push("main")
    checkout.fetch_main()
    assert checkout.templates_on_main("lagoon-oxygen-forecast") == ["old place/ü"]


def test_templates_are_found_from_main_and_not_from_the_work_tree(repository: Repository) -> None:
    repository.checkout("main")
    shutil.rmtree(repository.path / HARBOR)
    below = git.checkout(Settings(project=repository.path / "src" / "weather"))
    assert below.templates_on_main("harbor-wind-forecast") == [HARBOR]


def test_the_remote_head_is_that_of_exactly_this_branch(checkout: Checkout, repository: Repository) -> None:
    repository.git("branch", f"x/{BRANCH}")
    repository.push(f"x/{BRANCH}")
    repository.git("branch", f"x/refs/heads/{BRANCH}")
    repository.push(f"x/refs/heads/{BRANCH}")
    repository.git("tag", BRANCH)
    repository.git("push", "--quiet", "origin", f"refs/tags/{BRANCH}")
    repository.git("branch", f"{BRANCH}0")
    repository.push(f"{BRANCH}0")
    assert checkout.remote_head(BRANCH) is None
    commit = repository.stage("ridge-snow", "0.2.0")
    assert checkout.remote_head(BRANCH) == commit
    assert commit != checkout.remote_head("main")


def test_a_local_branch_is_none_of_the_remote(checkout: Checkout, repository: Repository) -> None:
    repository.git("branch", BRANCH)
    assert checkout.remote_head(BRANCH) is None


def test_a_remote_that_does_not_answer_is_not_a_missing_branch(checkout: Checkout, repository: Repository) -> None:
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match=f"cannot ask origin for branch {BRANCH}: "):
        checkout.remote_head(BRANCH)
    with pytest.raises(Outside, match=f"cannot ask origin for branch {BRANCH}: "):
        checkout.delete_branch(BRANCH, "0" * 40)


def test_a_branch_is_deleted_once_and_being_gone_is_done(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    repository.git("push", "--quiet", "origin", f"main:{BRANCH}-other", f"HEAD:refs/tags/{BRANCH}")
    checkout.delete_branch(BRANCH, commit)
    assert checkout.remote_head(BRANCH) is None
    checkout.delete_branch(BRANCH, commit)
    assert repository.git("ls-remote", "origin", f"refs/tags/{BRANCH}")
    assert repository.remote_head("main") and repository.remote_head(f"{BRANCH}-other")
    assert repository.git("rev-parse", "--verify", f"refs/heads/{BRANCH}") == commit  # the local one stays


def test_a_branch_that_moved_is_not_deleted(checkout: Checkout, repository: Repository) -> None:
    old = repository.stage("ridge-snow", "0.2.0")
    new = repository.commit("One more")
    repository.push(BRANCH)
    with pytest.raises(Refused) as caught:
        checkout.delete_branch(BRANCH, old)
    assert str(caught.value) == (
        f"branch {BRANCH} has moved from {old[:12]} to {new[:12]}: someone pushed; run this again"
    )
    assert repository.remote_head(BRANCH) == new


def hook(folder: Path, name: str, text: str) -> None:
    file = folder / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_remote_that_forbids_the_deletion_is_quoted(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    hook(repository.remote, "update", "echo this branch is protected >&2; exit 1")
    with pytest.raises(Outside, match=f"origin does not let branch {BRANCH} be deleted: .*this branch is protected"):
        checkout.delete_branch(BRANCH, commit)
    assert repository.remote_head(BRANCH) == commit


def test_the_users_own_hooks_do_not_run(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    hook(repository.path / ".git", "pre-push", "exit 1")
    checkout.delete_branch(BRANCH, commit)
    assert checkout.remote_head(BRANCH) is None


def test_an_environment_that_names_another_repository_is_ignored(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_repository(tmp_path / "other", owner="somebody-else")
    other.bump("harbor-wind-forecast", "7.0.0")
    other.commit()
    other.push("main")
    hostile: dict[str, Any] = {"DIR": ".git", "WORK_TREE": "", "INDEX_FILE": ".git/index", "COMMON_DIR": ".git"}
    for name, path in hostile.items():
        monkeypatch.setenv(f"GIT_{name}", str(other.path / path))
    monkeypatch.setenv("GIT_PREFIX", "src/")
    found = git.checkout(Settings(project=repository.path))
    assert (found.folder, found.repository) == (repository.path.resolve(), "dynamical-demo/weather")
    found.fetch_main()
    assert found.main_version(str(found.folder / HARBOR)) == "0.2.0"
    assert found.head() == repository.git("rev-parse", "HEAD")


def test_stage_branches_are_those_under_stage_with_their_commits(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    repository.git("push", "--quiet", "origin", "main:refs/heads/x/stage/a/v1", "main:refs/tags/stage/b/v1")
    repository.git("push", "--quiet", "origin", "main:refs/heads/stage/anything")
    assert checkout.stage_branches() == {BRANCH: commit, "stage/anything": repository.remote_head("main")}


def test_a_listing_that_fails_or_lacks_main_is_no_listing(checkout: Checkout, repository: Repository) -> None:
    without_main = Checkout(checkout.folder, "origin", "trunk", "a/b")
    with pytest.raises(Outside, match="the list of branches of origin lacks trunk"):
        without_main.stage_branches()
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match="cannot list the branches of origin"):
        checkout.stage_branches()
