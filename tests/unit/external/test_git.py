"""The git side, on real repositories: what main has, where a stage branch is, and its deletion."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile import Hostile
from repositories import Repository, make_repository, stage_branch
from staging_cronjobs.errors import Outside, Refused, Usage
from staging_cronjobs.external import dataset_versions, git, main_settings, shell
from staging_cronjobs.external.git import Checkout, owner_and_name
from staging_cronjobs.model.settings import Settings, given, load

HARBOR = "src/weather/harbor/wind_forecast/templates/latest.zarr"
BRANCH = stage_branch("ridge-snow", "0.2.0")
WIND = "harbor-wind-forecast"


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


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


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
        "ssh://git@github.com/owner/name.git",
        "ssh://git@github.com:2222/owner/name.git",
        "git+ssh://git@github.com/owner/name",
        "git://github.com/owner/name.git",
        "git@github.com:owner/name.git",
        "git@github.com:owner/name",
        "github.com:owner/name.git",
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
    with pytest.raises(Outside, match=f"{tmp_path} is not in a git work tree. Run this"):
        git.checkout(Settings(project=tmp_path))
    with pytest.raises(
        Outside, match=r"has no git remote 'upstream'\. It says: .*No such remote.* Add that remote, or set remote in"
    ):
        git.checkout(Settings(project=shared.path, remote="upstream"))


def test_fetch_main_sees_what_was_pushed_meanwhile(checkout: Checkout, repository: Repository, tmp_path: Path) -> None:
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.2.0"
    other = elsewhere(repository, tmp_path)
    other.bump("harbor-wind-forecast", "0.3.0")
    other.commit()
    other.push("main")
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.2.0"
    checkout.fetch_main()
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.3.0"
    assert repository.git("rev-parse", "HEAD") != repository.remote_head("main")


def test_fetch_main_follows_a_main_that_was_rewritten(checkout: Checkout, repository: Repository) -> None:
    old = repository.git("rev-parse", "main")
    repository.bump("harbor-wind-forecast", "0.9.0")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "Rewritten")
    repository.git("push", "--quiet", "--force", "origin", "main")
    repository.git("update-ref", "refs/remotes/origin/main", old)
    checkout.fetch_main()
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.9.0"


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
    assert dataset_versions.of_main(found, HARBOR, WIND) == "0.2.0"
    assert dataset_versions.of_main(found, clone.template_path("ridge-snow"), "ridge-snow") == "0.1.0"
    assert found.remote_head(BRANCH) == found.head()
    assert clone.git("rev-parse", "--is-shallow-repository") == "true"


def test_the_template_path_is_absolute_or_from_the_top_of_the_repository(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (HARBOR, str(checkout.folder / HARBOR), f"src/../{HARBOR}"):
        assert checkout.relative(path) == HARBOR
        assert dataset_versions.of_main(checkout, path, WIND) == "0.2.0"


def test_a_template_outside_the_repository_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    for path in (str(tmp_path / "latest.zarr"), "../latest.zarr"):
        with pytest.raises(Refused, match="is outside the repository"):
            dataset_versions.of_main(checkout, path, WIND)


def test_a_template_that_main_lacks_has_no_version(checkout: Checkout) -> None:
    assert dataset_versions.of_main(checkout, str(checkout.folder / "src/weather/lagoon/latest.zarr"), WIND) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not JSON with attributes, so its version cannot be compared. Correct it."),
        ("[" * 100_000, "is not JSON with attributes"),
        ("[]", "is not JSON with attributes"),
        ("{}", "is not JSON with attributes"),
        (zarr(None), "is not JSON with attributes"),
        (zarr({"dataset_id": WIND}), "has no attribute dataset_version, so its version cannot be compared. Add it."),
        (zarr({"dataset_version": 1.0}), "has dataset_version 1.0, which cannot be compared. It must be text, numbers"),
        (zarr({"dataset_version": "v0.2.0"}), 'has dataset_version "v0.2.0", which cannot be compared'),
        (zarr({"dataset_version": "0.2.0\n"}), 'has dataset_version "0.2.0\\n", which cannot be compared'),
        (zarr({"dataset_version": "\N{ARABIC-INDIC DIGIT ONE}.0"}), "has dataset_version"),
        (zarr({"dataset_version": None}), "has dataset_version null, which cannot be compared"),
        (
            zarr({"dataset_version": "0.2.0", "dataset_id": "ridge-snow"}),
            'is the template of dataset "ridge-snow", not',
        ),
        (zarr({"dataset_version": "0.2.0", "dataset_id": 5}), "is the template of dataset 5, not of harbor-wind"),
        (POINTER, "is a Git LFS pointer, not the file itself, so its version cannot be read. Take it out of Git LFS"),
    ],
)
def test_a_template_on_main_that_cannot_be_read_is_refused(repository: Repository, text: str, message: str) -> None:
    repository.write(f"{HARBOR}/zarr.json", text)
    repository.commit()
    repository.push("main")
    checkout = git.checkout(Settings(project=repository.path))
    checkout.fetch_main()
    with pytest.raises(Refused) as caught:
        dataset_versions.of_main(checkout, str(checkout.folder / HARBOR), WIND)
    assert str(caught.value).startswith(f"{HARBOR}/zarr.json on origin/main {message}")


def test_a_main_that_was_never_fetched_is_not_one_without_the_template(checkout: Checkout) -> None:
    never = Checkout(checkout.folder, "origin", "trunk", "a/b")
    with pytest.raises(Outside, match="git failed: "):
        dataset_versions.of_main(never, str(checkout.folder / HARBOR), WIND)
    with pytest.raises(Outside, match="git failed: "):
        dataset_versions.templates_on_main(never, "ridge-snow")


def test_contents_that_git_cannot_get_are_not_an_absent_template(repository: Repository, tmp_path: Path) -> None:
    """A clone without contents fetches each when it is asked for, and the remote may be down by then."""
    repository.git("--git-dir", str(repository.remote), "config", "uploadpack.allowFilter", "true")
    clone = elsewhere(repository, tmp_path, "--filter=blob:none", "--no-checkout")
    checkout = git.checkout(Settings(project=clone.path))
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match="git failed: "):
        dataset_versions.of_main(checkout, str(clone.path / HARBOR), WIND)
    with pytest.raises(Outside, match="git failed: "):
        dataset_versions.templates_on_main(checkout, "harbor-wind-forecast")


def test_templates_on_main_carry_the_id_as_their_own(checkout: Checkout, repository: Repository) -> None:
    assert dataset_versions.templates_on_main(checkout, "harbor-wind-forecast") == [HARBOR]
    assert dataset_versions.templates_on_main(checkout, "harbor") == []
    assert dataset_versions.templates_on_main(checkout, "lagoon-oxygen-forecast") == []
    repository.write("old place/ü/zarr.json", zarr({"dataset_id": "lagoon-oxygen-forecast"}))
    repository.write("src/other/zarr.json", zarr({"source": "lagoon-oxygen-forecast", "dataset_id": "other"}))
    repository.write("src/broken/zarr.json", '"lagoon-oxygen-forecast"')
    repository.write("notes.json", zarr({"dataset_id": "lagoon-oxygen-forecast"}))
    repository.commit()
    repository.push("main")
    checkout.fetch_main()
    assert dataset_versions.templates_on_main(checkout, "lagoon-oxygen-forecast") == ["old place/ü"]


def test_templates_are_found_from_main_and_not_from_the_work_tree(repository: Repository) -> None:
    repository.checkout("main")
    shutil.rmtree(repository.path / HARBOR)
    below = git.checkout(Settings(project=repository.path / "src" / "weather"))
    assert dataset_versions.templates_on_main(below, "harbor-wind-forecast") == [HARBOR]


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
        checkout.delete_branches({BRANCH: "0" * 40})


def test_a_branch_is_deleted_once_and_being_gone_is_done(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    repository.git("push", "--quiet", "origin", f"main:{BRANCH}-other", f"HEAD:refs/tags/{BRANCH}")
    for _ in range(2):
        assert checkout.delete_branches({BRANCH: commit}) == {}
        assert checkout.remote_head(BRANCH) is None
    assert repository.git("ls-remote", "origin", f"refs/tags/{BRANCH}")
    assert repository.remote_head("main") and repository.remote_head(f"{BRANCH}-other")
    assert repository.git("rev-parse", "--verify", f"refs/heads/{BRANCH}") == commit  # the local one stays


def test_a_branch_that_moved_is_not_deleted_and_others_are(checkout: Checkout, repository: Repository) -> None:
    old = repository.stage("ridge-snow", "0.2.0")
    new = repository.commit("One more")
    repository.push(BRANCH)
    other = BRANCH.replace("0.2.0", "0.3.0")
    repository.git("push", "--quiet", "origin", f"main:refs/heads/{other}")
    kept = checkout.delete_branches({BRANCH: old, other: repository.git("rev-parse", "main")})
    assert [*kept] == [BRANCH] and isinstance(kept[BRANCH], Refused)
    assert str(kept[BRANCH]) == (
        f"branch {BRANCH} has moved from {old[:12]} to {new[:12]}. Someone pushed: run this again."
    )
    assert checkout.remote_heads([BRANCH, other]) == {BRANCH: new}


def hook(folder: Path, name: str, text: str) -> None:
    file = folder / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_remote_that_forbids_the_deletion_is_quoted(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    hook(repository.remote, "update", "echo this branch is protected >&2; exit 1")
    kept = checkout.delete_branches({BRANCH: commit})
    assert [*kept] == [BRANCH] and isinstance(kept[BRANCH], Outside)
    assert re.match(f"origin does not let branch {BRANCH} be deleted: .*this branch is protected", str(kept[BRANCH]))
    assert repository.remote_head(BRANCH) == commit


def test_the_users_own_hooks_do_not_run(checkout: Checkout, repository: Repository) -> None:
    commit = repository.stage("ridge-snow", "0.2.0")
    hook(repository.path / ".git", "pre-push", "exit 1")
    assert checkout.delete_branches({BRANCH: commit}) == {}
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
    assert dataset_versions.of_main(found, str(found.folder / HARBOR), WIND) == "0.2.0"
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


# -- main is never silently without the template -----------------------------------------------------------------------


def pushed(repository: Repository, message: str = "Change main") -> Checkout:
    """A checkout that has fetched main as it is committed now."""
    repository.commit(message)
    repository.push("main")
    checkout = git.checkout(Settings(project=repository.path))
    checkout.fetch_main()
    return checkout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".zattrs", json.dumps({"dataset_id": WIND, "dataset_version": "0.2.0"})),
        (
            ".zmetadata",
            json.dumps({"metadata": {".zattrs": {"dataset_id": WIND, "dataset_version": "0.2.0"}, ".zgroup": {}}}),
        ),
    ],
)
def test_a_template_of_zarr_v2_on_main_has_its_version_too(repository: Repository, name: str, text: str) -> None:
    shutil.rmtree(repository.path / HARBOR)
    repository.write(f"{HARBOR}/{name}", text)
    checkout = pushed(repository)
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.2.0"
    repository.git("mv", HARBOR, "src/moved.zarr")
    assert dataset_versions.templates_on_main(pushed(repository), WIND) == ["src/moved.zarr"]


@pytest.mark.parametrize("text", ["[]", "5", '{"metadata": {}}', '{"metadata": []}', POINTER])
def test_metadata_of_zarr_v2_that_cannot_be_read_is_refused(repository: Repository, text: str) -> None:
    shutil.rmtree(repository.path / HARBOR)
    repository.write(f"{HARBOR}/.zmetadata", text)
    with pytest.raises(Refused, match=r"\.zmetadata on origin/main is "):
        dataset_versions.of_main(pushed(repository), HARBOR, WIND)


def test_a_folder_without_metadata_is_no_new_dataset(repository: Repository) -> None:
    shutil.rmtree(repository.path / HARBOR)
    repository.write(f"{HARBOR}/README.md", "moved")
    with pytest.raises(
        Refused, match=r"latest\.zarr on origin/main has no zarr\.json, so its version cannot be compar"
    ):
        dataset_versions.of_main(pushed(repository), HARBOR, WIND)


@pytest.mark.parametrize(
    ("path", "mode", "kind"),
    [
        ("templates", "100644", "a file"),
        ("templates", "120000", "a symbolic link"),
        ("templates", "160000", "a submodule"),
        ("templates/latest.zarr", "120000", "a symbolic link"),
        ("templates/latest.zarr", "160000", "a submodule"),
        ("templates/latest.zarr/zarr.json", "120000", "a symbolic link"),
    ],
)
def test_what_is_no_plain_file_in_plain_folders_is_no_new_dataset(
    repository: Repository, path: str, mode: str, kind: str
) -> None:
    thing = repository.git("rev-parse", "HEAD" if mode == "160000" else "HEAD:pyproject.toml")
    repository.git("update-index", "--add", "--cacheinfo", f"{mode},{thing},{path}")
    repository.git("commit", "--quiet", "--message", "Put something in the way")
    repository.push("main")
    checkout = git.checkout(Settings(project=repository.path))
    checkout.fetch_main()
    with pytest.raises(Refused) as caught:
        dataset_versions.of_main(checkout, "templates/latest.zarr", WIND)
    assert str(caught.value) == (
        f"{path} on origin/main is {kind}, so templates/latest.zarr/zarr.json cannot be read there. "
        "Replace it with a plain one."
    )


def test_a_moved_template_is_found_whatever_git_is_configured_to_print(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    for name in ("color.ui", "color.grep", "color.branch"):
        repository.git("config", name, "always")
    repository.git("config", "submodule.recurse", "true")
    repository.git("config", "grep.patternType", "perl")
    monkeypatch.setenv("GIT_PAGER", "false")
    repository.git("mv", "src/weather/harbor", "src/weather/sea")
    moved = HARBOR.replace("harbor", "sea")
    checkout = pushed(repository)
    assert dataset_versions.of_main(checkout, HARBOR, WIND) is None
    assert dataset_versions.templates_on_main(checkout, WIND) == [moved]
    assert dataset_versions.of_main(checkout, moved, WIND) == "0.2.0"
    hostile.tried("settings of git")


def test_a_moved_template_that_cannot_be_read_is_no_new_dataset(repository: Repository) -> None:
    repository.write("old/zarr.json", f'{{"attributes": {{"dataset_id": "{WIND}", ')
    assert dataset_versions.templates_on_main(pushed(repository), WIND) == ["old", HARBOR]
    repository.write("old/zarr.json", POINTER)
    with pytest.raises(Refused, match=r"old/zarr\.json on origin/main is a Git LFS pointer"):
        dataset_versions.templates_on_main(pushed(repository), WIND)


def test_a_template_at_the_top_of_the_repository(repository: Repository) -> None:
    repository.write("zarr.json", zarr({"dataset_id": "whole", "dataset_version": "1.0"}))
    checkout = pushed(repository)
    assert dataset_versions.of_main(checkout, str(repository.path), "whole") == "1.0"
    assert dataset_versions.templates_on_main(checkout, "whole") == ["."]
    assert dataset_versions.template_here(checkout, ".").version_of("whole") == "1.0"


# -- the template of the branch itself ---------------------------------------------------------------------------------


def test_the_template_of_the_work_tree_is_the_branchs_own(checkout: Checkout, repository: Repository) -> None:
    repository.bump(WIND, "0.9.0")
    assert dataset_versions.template_here(checkout, str(repository.path / HARBOR)).version_of(WIND) == "0.9.0"
    assert dataset_versions.of_main(checkout, HARBOR, WIND) == "0.2.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            None,
            f"there is no {HARBOR}/zarr.json, the template that the code names. Write it, correct the path, or set "
            "version-source.",
        ),
        ("{", f"{HARBOR}/zarr.json is not JSON with attributes"),
        (POINTER, f"{HARBOR}/zarr.json is a Git LFS pointer"),
        (zarr({"dataset_id": "other", "dataset_version": "0.2.0"}), f"{HARBOR}/zarr.json is the template of dataset"),
        (zarr({"dataset_id": WIND}), f"{HARBOR}/zarr.json has no attribute dataset_version"),
    ],
)
def test_a_template_of_the_branch_that_cannot_be_read_is_refused(
    checkout: Checkout, repository: Repository, text: str | None, message: str
) -> None:
    file = repository.path / HARBOR / "zarr.json"
    file.write_text(text) if text is not None else file.unlink()
    with pytest.raises(Refused) as caught:
        dataset_versions.template_here(checkout, HARBOR).version_of(WIND)
    assert str(caught.value).startswith(message)


def test_a_template_that_is_a_device_is_not_read(checkout: Checkout, repository: Repository, hostile: Hostile) -> None:
    file = repository.path / HARBOR / "zarr.json"
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(Refused, match="there is no "):
        dataset_versions.template_here(checkout, HARBOR)
    hostile.tried("names from git")


# -- hostile paths and names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../../etc", "/etc/passwd", "a\0b", "\ud800", "../" * 3000, "loop/x"])
def test_a_path_of_a_record_that_leads_outside_is_refused(
    checkout: Checkout, repository: Repository, path: str, hostile: Hostile
) -> None:
    (repository.path / "loop").symlink_to("loop")
    if path == "loop/x":  # a loop of links: newer Pythons take it for a path that is not there
        try:
            assert dataset_versions.of_main(checkout, path, WIND) is None
        except Refused as error:
            assert "is outside the repository" in str(error)
    else:
        with pytest.raises(Refused, match="is outside the repository"):
            dataset_versions.of_main(checkout, path, WIND)
    hostile.tried("paths of a record")


@pytest.mark.parametrize(
    "path", [":(glob)**", ":/", ":!src", "*", "**/latest.zarr", "--help", "-z", "a\nb", "a\tb", "x" * 400]
)
def test_a_path_of_a_record_is_a_path_and_nothing_else(checkout: Checkout, path: str, hostile: Hostile) -> None:
    assert dataset_versions.of_main(checkout, path, WIND) is None
    hostile.tried("paths of a record")


@pytest.mark.parametrize("name", ["--upload-pack=touch ran", "-c", "--all", "ext::sh -c 'touch ran'", "$(touch ran)"])
def test_a_remote_of_a_branchs_settings_is_a_name_and_nothing_else(
    repository: Repository, name: str, hostile: Hostile
) -> None:
    with pytest.raises(Outside, match="has no git remote"):
        git.checkout(Settings(project=repository.path, remote=name))
    made = Checkout(repository.path, name, "main", "a/b")
    for ask in (made.fetch_main, made.stage_branches, lambda: made.remote_head("main")):
        with pytest.raises(Outside):
            ask()
    hostile.tried("settings of a branch", ran=(repository.path / "ran").exists())


def test_a_folder_that_looks_like_a_repository_is_not_used(
    repository: Repository, tmp_path: Path, hostile: Hostile
) -> None:
    """A branch can hold the files of a repository, with a configuration that has git run a program."""
    inside = repository.path / "packages"
    repository.git("init", "--quiet", "--bare", "--template=", str(inside))
    ran = tmp_path / "ran"
    with (inside / "config").open("a") as config:
        config.write(f'[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = "touch {ran}; false"\n')
        config.write(f'[remote "origin"]\n\turl = "ext::sh -c touch% {ran}"\n[protocol "ext"]\n\tallow = always\n')
    with pytest.raises(Outside, match=r"git cannot use the checkout at .*It says: .*bare repository"):
        git.checkout(Settings(project=inside))
    hostile.tried("names from git", ran=ran.exists())


@pytest.mark.parametrize(
    "answer",
    [
        "no tab at all",
        "zzzz\trefs/heads/main",
        f"{'a' * 40}\trefs/heads/stage/x\x1b[31m/v1 and more",
        f"{'a' * 40}\trefs/tags/main",
        f"{'a' * 39}\trefs/heads/main",
        f"{'a' * 40}\trefs/heads/",
    ],
)
def test_an_answer_that_is_no_list_of_branches_decides_nothing(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, hostile: Hostile
) -> None:
    good = f"{'a' * 40}\trefs/heads/main"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '%s\\n%s\\n' '{good}' '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for ask in (checkout.stage_branches, lambda: checkout.remote_head("main")):
        with pytest.raises(Outside, match=r"origin did not answer with a list of branches\. Nothing was decided\."):
            ask()
    hostile.tried("remote's answers")


def test_the_objects_of_a_listing_are_all_or_none(checkout: Checkout) -> None:
    with pytest.raises(Outside, match="git does not have all files of origin/main"):
        checkout.contents(["0" * 40])


# -- what is not committed ---------------------------------------------------------------------------------------------


def test_a_clean_work_tree_has_nothing_uncommitted(repository: Repository) -> None:
    repository.write(".gitignore", "build/\n")
    commit = repository.commit()
    repository.write("build/generated.py", "")
    repository.write("notes.txt", "")
    found = git.checkout(Settings(project=repository.path))
    assert (found.uncommitted, found.recorded) == ([], commit)


@pytest.mark.parametrize("change", ["edited", "added", "untracked", "deleted", "renamed", "staged"])
def test_what_is_not_committed_is_named_and_recorded(repository: Repository, change: str) -> None:
    name = "src/weather/datasets.py"
    file = repository.path / name
    repository.git("config", "status.showUntrackedFiles", "no")
    if change in ("edited", "staged"):
        file.write_text(f"{file.read_text()}# mine\n")
    elif change == "deleted":
        file.unlink()
    elif change == "renamed":
        repository.git("mv", name, "src/weather/other.py")
    else:
        repository.write(name := "src/new ü\n.py", "")
    if change in ("added", "staged"):
        repository.git("add", "--all")
    found = git.checkout(Settings(project=repository.path / "src"))
    assert name in found.uncommitted
    assert found.recorded == f"{repository.git('rev-parse', 'HEAD')}-dirty"


# -- git's own reasons -------------------------------------------------------------------------------------------------


def unusable(project: Path) -> str:
    with pytest.raises(Outside) as caught:
        git.find(Settings(project=project))
    return str(caught.value)


def test_git_itself_says_why_a_checkout_cannot_be_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git.find(Settings(project=tmp_path)) is None
    work = tmp_path / "work"
    repository.git("worktree", "add", "--quiet", str(work), "-b", "other")
    repository.git("worktree", "prune")
    shutil.rmtree(repository.path / ".git" / "worktrees")
    assert "git cannot use the checkout at" in (said := unusable(work))
    assert "not a git repository" in said and "worktrees" in said
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "dubious ownership" in (said := unusable(repository.path / "src"))
    assert "safe.directory" in said
    monkeypatch.undo()
    config = repository.path / ".git" / "config"
    config.write_text(f"{config.read_text()}[broken\n")
    assert "bad config" in unusable(repository.path)


def test_a_checkout_without_the_remote_is_one_that_cannot_be_used(repository: Repository) -> None:
    repository.git("remote", "remove", "origin")
    said = unusable(repository.path)
    assert "has no git remote 'origin'. It says: " in said and "No such remote" in said
    assert "set remote in [tool.staging-cronjobs] or STAGING_REMOTE" in said


# -- identity ----------------------------------------------------------------------------------------------------------

FORMS = {
    "weather/weather": [
        "https://dev.azure.com/demo/weather/_git/weather",
        "https://demo@dev.azure.com/demo/weather/_git/weather",
        "https://dev.azure.com/demo/_git/weather",
        "https://demo.visualstudio.com/_git/weather",
        "https://demo.visualstudio.com/weather/_git/weather",
        "https://demo.visualstudio.com/DefaultCollection/weather/_git/weather",
        "git@ssh.dev.azure.com:v3/demo/weather/weather",
        "ssh://git@ssh.dev.azure.com/v3/demo/weather/weather",
        "demo@vs-ssh.visualstudio.com:v3/demo/weather/weather",
        "ssh://demo@demo.visualstudio.com:22/weather/_ssh/weather",
    ],
    "team/weather": [
        "https://dev.azure.com/demo/team/_git/weather",
        "https://demo.visualstudio.com/team/_git/weather",
        "https://azure.example/tfs/DefaultCollection/team/_git/weather",
        "git@ssh.dev.azure.com:v3/demo/team/weather",
    ],
    "repos/weather": [
        "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/weather",
        "ssh://git-codecommit.us-east-1.amazonaws.com/v1/repos/weather",
        "ssh://APKAEXAMPLE@git-codecommit.us-east-1.amazonaws.com/v1/repos/weather",
        "codecommit://weather",
        "codecommit://profile@weather",
        "codecommit::us-east-1://weather",
        "codecommit::us-east-1://profile@weather",
    ],
    "demo/weather": [
        "https://github.com/demo/weather",
        "git@github.com:demo/weather.git",
        "git@github.com:/demo/weather.git",
        "ssh://git@ssh.github.com:443/demo/weather.git",
        "https://bitbucket.example/scm/demo/weather.git",
        "ssh://git@bitbucket.example:7999/demo/weather.git",
        "/srv/demo/weather/.git",
    ],
    "a/b/weather": [  # subgroups of GitLab, where another group has a b/weather too
        "https://gitlab.example/a/b/weather.git",
        "https://oauth2:token@gitlab.example:8443/a/b/weather/",
        "http://gitlab.example/a/b/weather",
        "git@gitlab.example:a/b/weather.git",
        "git@gitlab.example:/a/b/weather.git",
        "gitlab.example:a/b/weather",
        "ssh://git@gitlab.example/a/b/weather.git",
        "ssh://git@gitlab.example:2222/a/b/weather.git",
        "git+ssh://git@gitlab.example/a/b/weather",
        "git://gitlab.example/a/b/weather.git",
    ],
    "x/b/weather": ["https://gitlab.example/x/b/weather.git"],
    "srv/git/demo/weather": ["git@git.example:/srv/git/demo/weather.git", "ssh://git.example/srv/git/demo/weather.git"],
    "a/b/c/weather": ["https://gitlab.example/a/b/c/weather.git", "git@gitlab.example:a/b/c/weather.git"],
}


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in FORMS.items() for url in urls])
def test_all_forms_of_one_hosts_urls_are_one_repository(name: str, url: str) -> None:
    assert owner_and_name(url) == name


def test_a_repository_has_its_name_in_any_case() -> None:
    assert git.same_repository("own/weather", "Own/Weather")
    assert not git.same_repository("own/weather", "own/weather2")
    assert 'set repository = "own/weather"' in git.renamed("own/weather")


# -- whose settings count ----------------------------------------------------------------------------------------------

TABLE = "\n[tool.staging-cronjobs]\n"
HOSTILE = """namespace = "kube-system"
kube-context = "elsewhere"
repository = "some/other"
sentry-org = "thief"
sentry-project = "thief"
sentry-url = "https://thief.example"
"""
OURS = """namespace = "weather"
sentry-org = "demo"
sentry-project = "weather"
sentry-url = "https://sentry.example"
unknown-in-this-version = true
"""


def with_settings(repository: Repository, lines: str, *, push: str = "") -> Settings:
    """Commit these settings on the branch that is checked out; gives what is read from its work tree."""
    text = (repository.path / "pyproject.toml").read_text().partition("[tool.staging-cronjobs]")[0]
    repository.write("pyproject.toml", f"{text}{TABLE}{lines}")
    repository.commit("Change settings")
    if push:
        repository.push(push)
    return load(repository.path, {})


def never(line: str) -> None:
    raise AssertionError(line)


def place(own: Settings, say: Callable[[str], object]) -> Settings:
    return main_settings.placed(own, say).settings


def test_where_things_are_is_what_main_says_and_not_a_stage_branch(repository: Repository, hostile: Hostile) -> None:
    repository.write("pyproject.toml", f"[tool.staging-cronjobs]\n{OURS}")
    repository.commit()
    repository.push("main")
    repository.git("switch", "--quiet", "-c", BRANCH)
    own = with_settings(repository, f'{HOSTILE}timeout = "90s"\ndatasets = ["mine:D"]\n')
    checkout, settings = main_settings.with_main(git.checkout(own), own)
    for found in (settings, place(own, never)):
        assert (found.namespace, found.kube_context) == ("weather", "")
        assert (found.sentry_org, found.sentry_project, found.sentry_url) == (
            "demo",
            "weather",
            "https://sentry.example",
        )
        assert (found.timeout, found.datasets) == ("90s", ("mine:D",))  # what describes the branch's own code
    assert checkout.repository == "dynamical-demo/weather"
    hostile.tried("settings of a branch")


def test_options_and_the_environment_win_over_main(repository: Repository) -> None:
    with_settings(repository, OURS.replace("unknown-in-this-version = true\n", ""), push="main")
    own = load(repository.path, {"STAGING_NAMESPACE": "mine", "SENTRY_URL": "http://localhost:9000"})
    found = place(given(own, kube_context="north"), never)
    assert (found.namespace, found.kube_context, found.sentry_url) == ("mine", "north", "http://localhost:9000")
    assert found.sentry_org == "demo"


def test_what_main_does_not_say_is_not_set(repository: Repository, hostile: Hostile) -> None:
    repository.git("switch", "--quiet", "-c", BRANCH)
    found = place(with_settings(repository, HOSTILE), never)
    assert (found.namespace, found.kube_context, found.sentry_org, found.sentry_project) == ("", "", "", "")
    assert found.sentry_url == "https://sentry.io"
    hostile.tried("settings of a branch")


@pytest.mark.parametrize("project", ["", "src/weather"])
def test_the_file_of_main_is_the_nearest_one_whatever_the_branch_has(
    repository: Repository, project: str, hostile: Hostile
) -> None:
    with_settings(repository, 'namespace = "weather"\n', push="main")
    repository.git("switch", "--quiet", "-c", BRANCH)
    (repository.path / "pyproject.toml").unlink()
    repository.write("src/weather/pyproject.toml", f"{TABLE}{HOSTILE}")
    assert place(load(repository.path / project, {}), never).namespace == "weather"
    hostile.tried("settings of a branch")


@pytest.mark.parametrize("line", ['main = "evil"\n', "", 'main = "evil"\nremote = "origin"\n'])
def test_a_branch_cannot_call_itself_main(repository: Repository, line: str, hostile: Hostile) -> None:
    """With an empty line: one that hides which branch is main, where there is another by the usual name."""
    with_settings(repository, 'main = "trunk"\nnamespace = "weather"\n')
    repository.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    repository.git("--git-dir", str(repository.remote), "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert place(load(repository.path, {}), never).namespace == "weather"
    repository.git("switch", "--quiet", "-c", "evil")
    own = with_settings(repository, f"{line}{HOSTILE}", push="evil")
    for ask in (lambda own: main_settings.with_main(git.checkout(own), own), lambda own: place(own, never)):
        with pytest.raises(
            Refused, match=r"says that main is '(evil|main)', and pyproject.toml on the default branch of"
        ):
            ask(own)
    hostile.tried("settings of a branch")


def test_the_environment_may_say_which_branch_is_main(repository: Repository) -> None:
    with_settings(repository, 'namespace = "weather"\n')
    repository.git("push", "--quiet", "origin", "HEAD:refs/heads/release")
    found = place(load(repository.path, {"STAGING_MAIN": "release"}), never)
    assert found.namespace == "weather"


@pytest.mark.parametrize("line", ["[broken", "namespace = 5\n", 'sentry-url = "http://sentry.example"\n'])
def test_settings_of_main_that_cannot_be_read_are_named(repository: Repository, line: str) -> None:
    repository.write("pyproject.toml", f"{TABLE}{line}")
    repository.commit()
    repository.push("main")
    with pytest.raises(Usage, match=r"pyproject\.toml on origin/main|sentry-url is http://sentry\.example"):
        place(Settings(project=repository.path), never)


def test_a_remote_that_is_down_leaves_the_main_that_was_fetched_last(repository: Repository) -> None:
    with_settings(repository, 'namespace = "weather"\n', push="main")
    git.checkout(Settings(project=repository.path)).fetch_main()
    repository.git("switch", "--quiet", "-c", BRANCH)
    own = with_settings(repository, HOSTILE)
    shutil.rmtree(repository.remote)
    said: list[str] = []
    assert place(own, said.append).namespace == "weather"
    (line,) = said
    assert line.startswith("cannot read main of origin: ")
    assert line.endswith(". The settings of origin/main are those that were fetched last.")
    repository.git("update-ref", "-d", "refs/remotes/origin/main")
    with pytest.raises(
        Outside, match="Only main's settings say where releases are: pass --namespace and --kube-context"
    ):
        place(own, never)


def test_a_main_that_cannot_be_confirmed_does_not_count_when_the_remote_is_down(
    repository: Repository, hostile: Hostile
) -> None:
    repository.git("switch", "--quiet", "-c", "evil")
    own = with_settings(repository, f'main = "evil"\n{HOSTILE}', push="evil")
    shutil.rmtree(repository.remote)
    with pytest.raises(Outside, match="Only main's settings say where releases are"):
        place(own, never)
    hostile.tried("settings of a branch")


def test_without_a_checkout_a_persons_own_settings_count_but_not_where_a_token_goes(tmp_path: Path) -> None:
    tmp_path.joinpath("pyproject.toml").write_text(f"{TABLE}{HOSTILE}")
    said: list[str] = []
    found = place(load(tmp_path, {}), said.append)
    assert (found.namespace, found.sentry_project, found.sentry_url) == ("kube-system", "thief", "")
    assert "is in no git checkout" in said[0]
    assert "no main confirms it. Set SENTRY_URL to https://thief.example." in said[1]
    given_all = load(
        tmp_path, {"STAGING_NAMESPACE": "a", "STAGING_KUBE_CONTEXT": "b", "SENTRY_URL": "https://c.example"}
    )
    assert place(given_all, never) == given_all


def test_how_far_commits_are_behind_main(checkout: Checkout, repository: Repository, tmp_path: Path) -> None:
    root = repository.git("rev-parse", "main~1")
    ahead = repository.stage("ridge-snow", "0.2.0")
    repository.checkout("main")
    repository.git(
        "merge",
        "--quiet",
        "--no-ff",
        "-m",
        "Merge",
        repository.git("commit-tree", "-p", root, "-m", "x", "main^{tree}"),
    )
    repository.push("main")
    checkout.fetch_main()
    missing = "0" * 40
    tree = repository.git("rev-parse", "main^{tree}")
    # The merge and the commit that it brought; of the first commit also the second one.
    assert checkout.behind([ahead, root, missing, tree, "no-commit", f"{ahead}\n{root}"]) == {ahead: 2, root: 3}
    assert checkout.behind([repository.git("rev-parse", "main")]) == {repository.git("rev-parse", "main"): 0}
    unrelated = repository.git("commit-tree", "-m", "y", "main^{tree}")
    assert checkout.behind([unrelated, root]) == {unrelated: 4, root: 3}
    assert checkout.behind([]) == {}
    clone = elsewhere(repository, tmp_path, "--depth=1")
    shallow = git.checkout(Settings(project=clone.path))
    assert shallow.behind([clone.git("rev-parse", "HEAD")]) == {}  # what it lacks is not to be known


def told(checkout: Checkout, *wanted: tuple[str, str]) -> list[set[str] | str]:
    """The versions that main has of each dataset, or why that cannot be told."""
    found = dataset_versions.on_main(checkout, wanted)
    return [found[one].problem or {*found[one].versions} for one in wanted]


def test_the_versions_of_datasets_on_main(checkout: Checkout, repository: Repository) -> None:
    repository.write("a/zarr.json", '{"attributes": {"dataset_id": "broken", "dataset_version": ')
    repository.write("b/zarr.json", '{"attributes": {"dataset_version": "3.0"}}')
    repository.commit()
    checkout = pushed(repository)
    ridge = repository.template_path("ridge-snow")
    wanted = (("ridge-snow", ridge), ("ridge-snow", "gone"), ("new", "gone"), ("plain", "b"))
    assert told(checkout, *wanted) == [{"0.1.0"}, {"0.1.0"}, set(), {"3.0"}]
    assert told(checkout, ("ridge-snow", HARBOR), (WIND, HARBOR)) == [{"0.1.0"}, {"0.2.0"}]  # another is in its place
    (said,) = told(checkout, ("broken", "gone"))
    assert "a/zarr.json on origin/main is not JSON with attributes" in said
    assert dataset_versions.on_main(checkout, [("broken", "a")])["broken", "a"].where == "a/zarr.json"
    assert "is outside the repository" in told(checkout, ("ridge-snow", "../elsewhere"))[0]
    assert "is the template of dataset" in told(checkout, ("new", HARBOR))[0]
    repository.write("c/zarr.json", POINTER)
    repository.commit()
    checkout = pushed(repository)
    assert told(checkout, ("ridge-snow", ridge)) == [{"0.1.0"}]
    assert "is a Git LFS pointer" in told(checkout, ("new", "gone"))[0]  # what the pointer hides may be one


def test_however_many_are_asked_for_main_is_read_in_one_go(
    checkout: Checkout, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, run = [], shell.run
    monkeypatch.setattr(shell, "run", lambda *args, **how: asked.append(args) or run(*args, **how))
    dataset_versions.on_main(checkout, [(f"dataset-{n}", f"gone/{n}") for n in range(20)])
    assert len(asked) == 2
    for n in range(20):
        dataset_versions.here(checkout, f"gone/{n}", f"dataset-{n}")
    assert len(asked) == 3


def test_the_versions_of_datasets_in_files_of_the_projects_own(repository: Repository) -> None:
    versions = {"a": "0.1.0", "b": "0.2.0", "broken": 3}
    repository.write("versions.json", json.dumps(versions))
    for folder, version in (("a", "1.0"), ("b", "2.0"), ("broken", "x")):
        repository.write(f"t/{folder}/v.json", json.dumps({"version": version}))
    (repository.path / "t/link").mkdir()
    (repository.path / "t/link/v.json").symlink_to("../a/v.json")
    repository.write("t/folder/v.json/x", "")
    repository.commit()
    repository.push("main")
    repository.git("fetch", "--quiet", "origin")

    def said(source: str, *wanted: tuple[str, str]) -> list[set[str] | str]:
        return told(git.checkout(Settings(project=repository.path, version_source=source)), *wanted)

    def is_why(words: str, answer: set[str] | str) -> bool:
        return isinstance(answer, str) and words in answer

    *fine, broken = said("versions.json:{dataset_id}", ("a", ""), ("b", ""), ("new", ""), ("broken", ""))
    assert fine == [{"0.1.0"}, {"0.2.0"}, set()] and is_why("versions.json on origin/main", broken)
    assert is_why("there is no none.json", said("none.json:{dataset_id}", ("a", ""))[0])
    assert is_why("outside the repository", said("../out.json:{dataset_id}", ("a", ""))[0])
    *fine, broken = said("t/{dataset_id}/v.json:version", ("a", ""), ("b", ""), ("new", ""), ("broken", ""))
    assert fine == [{"1.0"}, {"2.0"}, set()] and is_why("t/broken/v.json", broken)
    its = "{template}/v.json:version"
    *fine, link, outside, folder = said(
        its, ("a", "t/a"), ("b", "t/none"), ("c", "t/link"), ("d", "../t"), ("e", "t/folder")
    )
    assert fine == [{"1.0"}, set()] and is_why("is a symbolic link", link)
    assert is_why("is outside the repository", outside) and is_why("is a folder", folder)
    assert said(its, ("a", "t/a"), ("a", "t/none")) == [
        {"1.0"},
        {"1.0"},
    ]  # one release knows where it has been moved to
    assert said(its, ("a", "t/a"), ("a", "t/b")) == [{"1.0"}, {"2.0"}]
    with pytest.raises(Refused, match=r"t/folder/v\.json on origin/main is a folder"):
        dataset_versions.of_main(git.checkout(Settings(project=repository.path, version_source=its)), "t/folder", "a")
