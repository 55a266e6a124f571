"""A project without Zarr templates: its versions are in a file of its own, which main's settings name."""

import json

import pytest

from hostile import Hostile
from live import IMAGE, Namespace, Staging
from repositories import VERSIONS, Repository, stage_branch
from staging_cronjobs.errors import Refused
from staging_cronjobs.external import dataset_versions, git
from staging_cronjobs.model.settings import Settings

SOURCE = f"{VERSIONS}:{{dataset_id}}"
SNOW = ("ridge-snow", "0.2.0")
BRANCH = stage_branch(*SNOW)
HELM = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


@pytest.fixture
def plain(repository: Repository) -> Repository:
    """The example without any template; main says where versions are."""
    for file in repository.path.glob("src/**/zarr.json"):
        file.unlink()
    pyproject = repository.path / "pyproject.toml"
    pyproject.write_text(f'{pyproject.read_text()}version-source = "{SOURCE}"\n')
    repository.commit("Have no templates")
    repository.push("main")
    return repository


def stage(repository: Repository, dataset_id: str, version: str) -> None:
    repository.git("checkout", "--quiet", "-B", stage_branch(dataset_id, version), "main")
    repository._update(VERSIONS, dataset_id, version)
    repository.commit("Stage")
    repository.push(stage_branch(dataset_id, version))


@HELM
def test_it_is_deployed_compared_and_guarded(staging: Staging, plain: Repository, live: Namespace) -> None:
    stage(plain, *SNOW)
    done = staging.run(plain.path, "deploy", "--branch", BRANCH, "--docker-image", IMAGE, "-o", "json").json
    main = json.loads(plain.git("show", f"main:{VERSIONS}"))[SNOW[0]]
    assert done["main_version"] == main != SNOW[1]
    assert f"  main      {main}, older than this\n" in staging.run(plain.path, "status", "--check").stdout
    assert staging.run(plain.path, "sweep", "-o", "json").json == []
    plain.checkout("main")
    staging.run(plain.path, "guard")
    plain._update(VERSIONS, *SNOW)
    plain.commit("Take it over")
    found = staging.run(plain.path, "guard", code=3)
    assert VERSIONS in found.stderr
    plain.push("main")
    plain.checkout(BRANCH)
    again = staging.run(plain.path, "deploy", "--branch", BRANCH, "--docker-image", IMAGE, code=3)
    assert "origin/main has version 0.2.0 of ridge-snow too" in again.stderr
    staging.run(plain.path, "cleanup", "--promoted", "--yes")
    assert live.leftovers() == []


@HELM
def test_a_branch_does_not_say_where_main_has_its_versions(
    staging: Staging, plain: Repository, live: Namespace, hostile: Hostile
) -> None:
    """Else it could name a file in which main seems to have another version."""
    main = json.loads(plain.git("show", f"main:{VERSIONS}"))[SNOW[0]]
    plain.git("checkout", "--quiet", "-B", stage_branch(SNOW[0], main))
    plain.write("other.json", json.dumps({SNOW[0]: main}))
    text = (plain.path / "pyproject.toml").read_text()
    plain.write("pyproject.toml", text.replace(VERSIONS, "other.json"))
    plain.commit("Be clever")
    plain.push(stage_branch(SNOW[0], main))
    args = ("deploy", "--branch", stage_branch(SNOW[0], main), "--docker-image", IMAGE)
    done = staging.run(plain.path, *args, code=3)
    assert f"origin/main has version {main} of ridge-snow too" in done.stderr
    hostile.tried("settings of a branch", done.stderr, changed=live.leftovers())


def test_what_main_has_is_read_by_git_alone(plain: Repository, hostile: Hostile) -> None:
    def checkout(source: str = SOURCE) -> git.Checkout:
        plain.git("fetch", "--quiet", "origin")
        return git.checkout(Settings(project=plain.path, version_source=source))

    versions = json.loads((plain.path / VERSIONS).read_text())
    assert dataset_versions.of_main(checkout(), "", "ridge-snow") == versions["ridge-snow"]
    assert dataset_versions.of_main(checkout(), "", "new-dataset") is None
    assert dataset_versions.of_main(checkout("versions/{dataset_id}.json:version"), "", "ridge-snow") is None
    for source, sentence in (
        ("none.json:{dataset_id}", "there is no none.json on origin/main, which version-source names"),
        ("../out.json:{dataset_id}", "is outside the repository"),
        ("/etc/out.json:{dataset_id}", "is outside the repository"),
        ("v.xml:a", "It must be a JSON, TOML or Python file and a key in it"),
    ):
        with pytest.raises(Refused, match=sentence) as refused:
            dataset_versions.of_main(checkout(source), "", "ridge-snow")
        hostile.tried("settings of a branch", refused.value.message)
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    for text, sentence in ((lfs, "is a Git LFS pointer"), ("", "is a symbolic link")):
        (plain.path / VERSIONS).unlink()
        if text:
            plain.write(VERSIONS, text)
        else:
            (plain.path / VERSIONS).symlink_to("/etc/passwd")
        plain.commit("Break it")
        plain.push("main")
        with pytest.raises(Refused, match=sentence) as refused:
            dataset_versions.of_main(checkout(), "", "ridge-snow")
        hostile.tried("names from git", refused.value.message)


@HELM
def test_the_branch_must_say_its_version_there(staging: Staging, plain: Repository, live: Namespace) -> None:
    stage(plain, *SNOW)
    code = plain.path / "src/weather/datasets.py"
    code.write_text(code.read_text().replace("VERSIONS[self.dataset_id]", '"0.3.0"'))
    plain.commit("Say two things")
    branch = stage_branch(SNOW[0], "0.3.0")
    plain.git("checkout", "--quiet", "-B", branch)
    plain.push(branch)
    done = staging.run(plain.path, "deploy", "--branch", branch, "--docker-image", IMAGE, code=3)
    assert f"is at version 0.2.0, not 0.3.0, in {VERSIONS}" in done.stderr
    assert live.leftovers() == []
