"""What `staging init --check` says of how a project installs this package, and of programs that import it."""

from pathlib import Path

import pytest

from hostile import Hostile
from repositories import Repository
from staging_cronjobs.checks import installation
from staging_cronjobs.external import git
from staging_cronjobs.model.settings import Settings

GUARDED = """try:
    from staging_cronjobs import mount
except ImportError:
    pass
else:
    mount(app, DATASETS)
"""
PYPROJECT = '[dependency-groups]\ndev = ["pytest", {include-group = "staging"}]\nstaging = ["staging-cronjobs"]\n'
LOCK = '[[package]]\nname = "staging-cronjobs"\nsource = { registry = "https://pypi.org/simple" }\n'
IMPORT = "from staging_cronjobs import mount\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "weather", tmp_path / "none")
    repository.path.mkdir()
    repository.git("init", "--quiet")
    repository.git("remote", "add", "origin", "https://github.invalid/dynamical-demo/weather.git")
    return repository


def lacking(repository: Repository, pyproject: str = PYPROJECT, lock: str | None = LOCK) -> list[str]:
    repository.git("add", "--all")
    return installation.lacking(git.checkout(Settings(project=repository.path)), pyproject, lock)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (GUARDED, []),
        (IMPORT, [1]),
        ("import os, staging_cronjobs.cli\n", [1]),
        (f"if __name__ == '__main__':\n    {IMPORT}", [2]),
        (f"def main():\n    {IMPORT}", [2]),
        (f"try:\n    {IMPORT}except ValueError:\n    pass\n", [2]),
        (f"try:\n    pass\nexcept ImportError:\n    {IMPORT}", [4]),
        (f"try:\n    {IMPORT}except (ValueError, ModuleNotFoundError):\n    pass\n", []),
        (f"try:\n    {IMPORT}except:\n    pass\n", []),
        (f"with contextlib.suppress(ImportError):\n    {IMPORT}", []),
        (f"with open('ImportError'):\n    {IMPORT}", [2]),
        (f"if TYPE_CHECKING:\n    {IMPORT}", []),
        (f"if TYPE_CHECKING:\n    pass\nelse:\n    {IMPORT}", [4]),
        (f"if importlib.util.find_spec('staging_cronjobs'):\n    {IMPORT}", []),
        ("from . import staging_cronjobs\nfrom .staging_cronjobs import mount\n", []),
        ("# from staging_cronjobs import mount\n", []),
        ("import staging_cronjobs_of_ours\n", []),
    ],
)
def test_an_import_that_fails_in_production_is_named(repository: Repository, code: str, lines: list[int]) -> None:
    repository.write("src/weather/__main__.py", code)
    found = [line for line in lacking(repository) if "production's install is without it" in line]
    assert [int(line.split()[2]) for line in found] == lines


@pytest.mark.parametrize("code", ["def f(:\n", "\0", "(" * 5000, "staging_cronjobs " * 9], ids=range(4))
def test_code_that_cannot_be_read_is_left_to_its_own_tests(repository: Repository, code: str, hostile: Hostile) -> None:
    repository.write("src/a.py", code + "# staging_cronjobs")
    found = lacking(repository)
    hostile.tried("names from git", "\n".join(found), changed=[line for line in found if "src/a.py line" in line])


@pytest.mark.parametrize("path", ["tests/test_cli.py", "src/weather/test_main.py", "conftest.py", "a/test/x.py"])
def test_what_production_never_runs_may_import_it(repository: Repository, path: str) -> None:
    repository.write(path, IMPORT)
    assert lacking(repository) == []


def test_what_git_does_not_know_is_not_read(repository: Repository) -> None:
    assert lacking(repository) == []
    repository.write("build/x.py", IMPORT)
    repository.write(".gitignore", "build/\n")
    assert lacking(repository) == []


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ('dev = ["pytest", {include-group = "staging"}]', False),
        ('dev = [{include-group = "all"}]\nall = [{include-group = "staging"}]', False),
        ('dev = ["pytest"]', True),
        ('dev = ["staging_cronjobs>=0.1"]', False),
        ('dev = [{include-group = "b"}]\nb = [{include-group = "dev"}, 1]', True),
        ("", True),
    ],
)
def test_a_program_that_mounts_it_has_it_wherever_uv_runs_it(repository: Repository, group: str, told: bool) -> None:
    repository.write("src/weather/__main__.py", GUARDED)
    pyproject = f'[dependency-groups]\nstaging = ["staging-cronjobs"]\n{group}\n'
    assert bool([line for line in lacking(repository, pyproject) if "`uv run` does not install it" in line]) is told
    repository.write("src/weather/__main__.py", "")
    assert lacking(repository, pyproject) == []


def test_groups_that_uv_installs_by_default_may_be_others(repository: Repository) -> None:
    repository.write("src/weather/__main__.py", GUARDED)
    pyproject = '[dependency-groups]\nstaging = ["staging-cronjobs"]\n[tool.uv]\ndefault-groups = '
    for groups, count in (('["staging"]', 0), ('"all"', 0), ("[]", 1)):
        assert len(lacking(repository, pyproject + groups)) == count


def test_a_project_that_depends_on_it_needs_no_guard(repository: Repository) -> None:
    repository.write("src/weather/__main__.py", IMPORT)
    assert lacking(repository, f'[project]\nname = "x"\ndependencies = ["Staging.Cronjobs >= 0.1"]\n{PYPROJECT}') == []
    assert lacking(repository, f'[project]\nname = "x"\ndependencies = ["staging-cronjobs-x"]\n{PYPROJECT}')


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('{ directory = "/home/me/clone" }', "/home/me/clone"),
        ('{ editable = "../clone" }', "../clone"),
        ('{ path = "../wheels/x.whl" }', "../wheels/x.whl"),
        ('{ git = "file:///home/me/clone?rev=v1#abc" }', "file:///home/me/clone"),
        ('{ git = "https://example.org/x?rev=v1#abc" }', ""),
        ('{ editable = "tools/clone" }', ""),
        ('{ registry = "https://pypi.org/simple" }', ""),
        ('{ git = 1 }', ""),
        ('"x"', ""),
    ],
)  # fmt: skip
def test_a_place_on_one_machine_is_told(repository: Repository, source: str, told: str) -> None:
    found = lacking(repository, lock=f'[[package]]\nname = "staging-cronjobs"\nsource = {source}\n')
    assert [line for line in found if f"installed from {told}" in line] == found
    assert len(found) == bool(told)


@pytest.mark.parametrize("source", ['{ path = "../clone" }', '[{ path = "../clone", marker = "x" }]'])
def test_a_path_in_pyproject_is_told_too(repository: Repository, source: str) -> None:
    (found,) = lacking(repository, f"{PYPROJECT}[tool.uv.sources]\nstaging-cronjobs = {source}\n")
    assert "installed from ../clone, which neither an image nor a workflow has" in found


@pytest.mark.parametrize("lock", ["[", "package = 1", "[[package]]\n", "[package]\nname = 'x'\n", None, ""])
def test_a_lock_that_cannot_be_read_is_told(repository: Repository, lock: str | None, hostile: Hostile) -> None:
    (found,) = lacking(repository, lock=lock)
    assert found.endswith("Run `uv lock`")
    hostile.tried("names from git", found)
