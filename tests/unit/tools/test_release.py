"""What must hold before a release leaves the clone, and the steps of release.yml that make its parts."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import release
from acting import uv
from controlplane import binaries
from reading import read

CHANGELOG = """# Changelog

## Unreleased

- Not yet.

## [1.2.0] - 2026-11-23

### Added

- One thing.

## 1.1.0

- Another.
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What of a clone a release is made of, at version 1.2.0, with a few versions in its changelog."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(release.ROOT / name, tmp_path)
    for name in ("renderer", "charts", ".github"):
        shutil.copytree(release.ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "tools").mkdir(parents=True)
    shutil.copy(release.__file__, tmp_path / "tests" / "tools")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for place in ("pyproject.toml", "charts/staging-cronjobs/Chart.yaml"):
        file = tmp_path / place
        file.write_text(file.read_text().replace(release.versions()["pyproject.toml"], "1.2.0"))
    return tmp_path


def test_the_notes_are_what_the_changelog_says_of_the_version(clone: Path) -> None:
    assert release.notes("v1.2.0", clone) == "### Added\n\n- One thing."


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.2.1", "v1.2.0-rc1", "v1.1.0"])
def test_another_tag_than_the_version_is_refused(clone: Path, tag: str) -> None:
    with pytest.raises(release.UnfitError, match=f"the tag is {tag}, but pyproject.toml has 1.2.0"):
        release.notes(tag, clone)


@pytest.mark.parametrize("field", ["version", "appVersion"])
def test_a_chart_of_another_version_is_refused(clone: Path, field: str) -> None:
    chart = clone / "charts" / "staging-cronjobs" / "Chart.yaml"
    lines = [f"{field}: 9.9.9" if line.startswith(f"{field}:") else line for line in chart.read_text().splitlines()]
    chart.write_text("\n".join(lines))
    with pytest.raises(release.UnfitError, match=f"the tag is v1.2.0, but Chart.yaml's {field} has 9.9.9"):
        release.notes("v1.2.0", clone)


@pytest.mark.parametrize("changelog", ["", "## 1.2.00\n\n- x\n", "## 1.2.0\n\n## 1.1.0\n\n- x\n"])
def test_a_version_without_notes_is_refused(clone: Path, changelog: str) -> None:
    (clone / "CHANGELOG.md").write_text(changelog)
    with pytest.raises(release.UnfitError, match=r"CHANGELOG\.md says nothing under a heading `## 1.2.0`"):
        release.notes("v1.2.0", clone)


def test_a_wheel_without_the_chart_as_it_is_here_is_refused(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    chart.mkdir()
    for name in ("Chart.yaml", "values.yaml"):
        (chart / name).write_text(name)
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("staging_cronjobs/chart/Chart.yaml", "another")
    with pytest.raises(release.UnfitError, match=r"a.whl has no, or another: \S+/Chart.yaml, \S+/values.yaml"):
        release.check_wheel(wheel, chart)


def run_build(clone: Path, tag: str) -> subprocess.CompletedProcess[str]:
    """The shell of the job that builds a release, as a runner starts it."""
    steps = "\n".join(step["run"] for step in read("release.yml")["jobs"]["build"]["steps"] if "run" in step)
    programs = clone / "programs"
    programs.mkdir()
    programs.joinpath("uv").symlink_to(uv())
    programs.joinpath("helm").symlink_to(binaries.path("helm4"))
    own = {"GITHUB_REF_NAME": tag, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps]
    return subprocess.run(shell, cwd=clone, env=os.environ | own, capture_output=True, text=True)


def test_the_steps_of_the_workflow_make_every_part(clone: Path) -> None:
    init = clone / "renderer" / "staging_cronjobs" / "__init__.py"
    init.write_text(init.read_text().replace(release.versions()["pyproject.toml"], "1.2.0"))
    done = run_build(clone, "v1.2.0")
    assert done.returncode == 0, done.stderr
    made = {str(f.relative_to(clone)) for folder in ("dist", "chart", "notes") for f in (clone / folder).iterdir()}
    assert made - {"dist/.gitignore"} == {
        "dist/staging_cronjobs-1.2.0-py3-none-any.whl",
        "dist/staging_cronjobs-1.2.0.tar.gz",
        "chart/staging-cronjobs-1.2.0.tgz",
        "notes/notes.md",
    }
    assert (clone / "notes" / "notes.md").read_text() == "### Added\n\n- One thing.\n"


def test_a_wrong_tag_ends_the_workflow_before_anything_is_built(clone: Path) -> None:
    done = run_build(clone, "v9.9.9; touch built")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the tag is v9.9.9; touch built, but pyproject.toml has 1.2.0")
    assert not (clone / "dist").exists() and not (clone / "built").exists()
