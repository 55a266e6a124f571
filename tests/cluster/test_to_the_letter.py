"""The two commands as a team types them, in a repository of its own shape: `uv run main deploy-staging …`.

The package comes from a git repository, as it does where no index has it; production's install is without it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from acting import ROOT, make_tool, uv, uv_environment
from live import IMAGE, LABEL, Namespace, Staging
from repositories import Repository, make_first_user, stage_branch
from staged import Sentry
from staging_cronjobs import __version__
from staging_cronjobs.model.staged_version import StagedVersion
from terminal import Terminal

URL = "https://git.invalid/tools/staging-cronjobs.git"  # nobody has it: git is told to take the copy instead
SNOW = StagedVersion("ridge-snow", "0.2.0")
TARGET = ("--dataset-id", SNOW.dataset_id, "--version", SNOW.version)
MAIN = "src/weather/__main__.py"
SETTINGS = """
[tool.staging-cronjobs]
datasets = ["weather.datasets:DATASETS"]
first-deploy = "paused"
skip-jobs = ["archive-grib-files"]
backfill = "uv run main {dataset_id} backfill-kubernetes --docker-image {image}"
"""
GUARD = """
try:
    from staging_cronjobs import mount
except ImportError:  # production's image is without it
    pass
else:
    mount(app, DATASETS)

if __name__ == "__main__":
"""


@dataclass(frozen=True)
class Theirs:
    """A team's repository, and the commit of the git repository that this package comes from."""

    repository: Repository
    commit: str
    environment: Mapping[str, str]

    def uv(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run uv in the repository."""
        environment = {**self.environment, **more}
        return subprocess.run([uv(), *args], cwd=self.repository.path, env=environment, capture_output=True, text=True)

    def done(self, *args: str, **more: str) -> str:
        """Run uv in the repository, and see that it ends well."""
        done = self.uv(*args, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """Shaped like the first user's: a `main` of its own, with our two commands; it has a first commit on main."""
    folder = tmp_path_factory.mktemp("theirs")
    tool = make_tool(folder / "staging-cronjobs.git")
    repository = make_first_user(folder)
    repository.commit("Be as we are")
    repository.push("main")
    address = f"url.file://{tool.path}.insteadOf"
    instead = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": address, "GIT_CONFIG_VALUE_0": URL}
    own = {"UV_CACHE_DIR": str(folder / "cache"), "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder)}
    theirs = Theirs(repository, tool.git("rev-parse", "HEAD"), {**uv_environment(), **own, **instead})
    change(repository, MAIN, '\nif __name__ == "__main__":\n', GUARD)
    repository.write("pyproject.toml", (repository.path / "pyproject.toml").read_text() + SETTINGS)
    shutil.copy(ROOT / "uv.lock", repository.path)  # uv keeps to its versions
    theirs.done("add", "--quiet", "--group", "staging", f"staging-cronjobs @ git+{URL}@v{__version__}")
    change(repository, "pyproject.toml", 'dev = ["pytest>=8"]', 'dev = ["pytest>=8", { include-group = "staging" }]')
    theirs.done("lock", "--quiet")
    theirs.done("sync", "--quiet", "--locked")
    return theirs


def change(repository: Repository, name: str, before: str, after: str) -> None:
    text = (repository.path / name).read_text()
    assert text.count(before) == 1, name
    repository.write(name, text.replace(before, after))


def test_init_finds_their_dockerfile_and_nothing_else_is_to_do(theirs: Theirs) -> None:
    theirs.done("run", "staging", "init", "--environment", "prod", "--yes", KUBECONFIG="/nonexistent")
    text = (theirs.repository.path / ".github/workflows/deploy-staging.yml").read_text()
    assert "DOCKERFILE: deploy/Dockerfile\n" in text
    theirs.done("run", "staging", "init", "--check")
    change(theirs.repository, MAIN, "except ImportError", "except ValueError")
    found = theirs.uv("run", "staging", "init", "--check")
    change(theirs.repository, MAIN, "except ValueError", "except ImportError")
    assert found.returncode == 3
    assert re.findall("^still to do: (.+)", found.stdout, re.MULTILINE) == [
        f"{MAIN} line {theirs.repository.path.joinpath(MAIN).read_text().splitlines().index('try:') + 2} imports "
        "staging_cronjobs, and production's install is without it: only the group staging has it. Put `try:` and "
        "`except ImportError:` around the import"
    ]


def test_production_installs_and_starts_without_it(theirs: Theirs, tmp_path: Path) -> None:
    """As a Dockerfile does: a lock, no git, and nothing of the package's repository in reach."""
    image = tmp_path / "app"
    shutil.copytree(theirs.repository.path, image, ignore=shutil.ignore_patterns(".venv", ".git"))
    cache = shutil.copytree(theirs.environment["UV_CACHE_DIR"], tmp_path / "cache", symlinks=True)
    known = [*cache.glob("git-*"), *cache.glob("sdists-*/git")]
    assert known
    for folder in known:
        shutil.rmtree(folder)
    without_git = {name: value for name, value in theirs.environment.items() if not name.startswith("GIT_")}
    environment = {**without_git, "UV_CACHE_DIR": str(cache), "PATH": str(tmp_path)}
    sync = [uv(), "sync", "--quiet", "--locked", "--no-dev", "--no-editable"]
    subprocess.run(sync, cwd=image, env=environment, check=True)
    assert not [*image.glob(".venv/lib/*/site-packages/staging_cronjobs*")]
    main = subprocess.run([image / ".venv/bin/main", "--help"], env=environment, capture_output=True, text=True)
    assert main.returncode == 0, main.stderr
    assert "deploy-production" in main.stdout and "deploy-staging" not in main.stdout
    (installed,) = image.glob(".venv/lib/*/site-packages/weather/__main__.py")
    installed.write_text(installed.read_text().replace("except ImportError", "except ValueError"))
    main = subprocess.run([image / ".venv/bin/main", "--help"], env=environment, capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'staging_cronjobs'" in main.stderr


def test_the_workflows_install_and_run_it(theirs: Theirs) -> None:
    for args in (("--only-group", "staging"), ("--no-dev", "--group", "staging")):
        theirs.done("sync", "--quiet", "--locked", *args)
        said = theirs.done("run", "--no-sync", "staging", "--version")
        assert said == f"{__version__} (commit {theirs.commit})\n"
    theirs.done("sync", "--quiet", "--locked")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_all_of_their_datasets_can_be_staged_on_each_python(theirs: Theirs, version: str, tmp_path: Path) -> None:
    found = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), shutil.which(f"python{version}")]
    if not (python := next(filter(None, found), None)):
        pytest.skip(f"this machine has no Python {version}")
    there = replace(theirs, repository=Repository(tmp_path / "weather", theirs.repository.remote))
    shutil.copytree(theirs.repository.path, there.repository.path, ignore=shutil.ignore_patterns(".venv"))
    there.done("sync", "--quiet", "--locked", UV_PYTHON=str(python))
    without_cluster = {"UV_PYTHON": str(python), "KUBECONFIG": "/nonexistent"}
    assert version in there.done("run", "--no-sync", "python", "--version", **without_cluster)
    verdicts = json.loads(there.done("run", "--no-sync", "staging", "check", "-o", "json", **without_cluster))
    fine = {verdict["dataset_id"] for verdict in verdicts if verdict["release"] and not verdict["problem"]}
    assert len(fine) == 22 and {verdict["dataset_id"] for verdict in verdicts} - fine == {"glacier-ice-sources"}
    assert "cleanup-staging" in there.done("run", "--no-sync", "main", "--help", **without_cluster)


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_the_commands_of_the_plan_to_the_letter(
    theirs: Theirs, staging: Staging, live: Namespace, sentry: Sentry
) -> None:
    theirs.repository.commit("Stage beside production")
    theirs.repository.push("main")
    theirs.repository.git("checkout", "--quiet", "-b", SNOW.branch)
    for name in ("src/weather/datasets.py", "src/weather/ridge_snow/templates/latest.zarr/zarr.json"):
        change(theirs.repository, name, '"0.1.0"', f'"{SNOW.version}"')
    theirs.repository.commit("Stage it")
    theirs.repository.push(SNOW.branch)
    reach = {**theirs.environment, **staging.environment, **sentry.environment}
    environment = {name: value for name, value in reach.items() if name != "SENTRY_AUTH_TOKEN"}
    done = theirs.uv("run", "main", "deploy-staging", *TARGET, "--docker-image", IMAGE, **environment)
    assert done.returncode == 0, done.stderr
    assert f"To remove it: main cleanup-staging {' '.join(TARGET)}" in done.stdout.splitlines()
    backfill = f"uv run main {SNOW.dataset_id} backfill-kubernetes --docker-image {IMAGE}"
    assert f"  1. backfill the stores above: {backfill}" in done.stdout.splitlines()
    made = [SNOW.job_name(key) for key in ("update", "validate")]
    assert live.names("cronjobs", f"{LABEL}release") == made

    sentry.check_in(*made)
    assert sentry.slugs() == made
    command = [uv(), "run", "main", "cleanup-staging", *TARGET, "--sentry-token", sentry.token]
    terminal = Terminal(command, theirs.repository.path, {**theirs.environment, **environment})
    try:
        terminal.wait_for("[y/N]: ")
        done = terminal.answer("y")
    finally:
        terminal.close()
    assert done.code == 0, done.stderr
    assert (live.leftovers(), sentry.slugs()) == ([], [])
    assert theirs.repository.remote_head(stage_branch(SNOW.dataset_id, SNOW.version)) is None


def test_pip_installs_it_whole_from_git_and_it_runs_in_any_folder(theirs: Theirs, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "v"], check=True)
    install = [tmp_path / "v/bin/pip", "install", "--quiet", "--no-deps", f"git+{URL}@v{__version__}"]
    subprocess.run(install, env={**os.environ, **theirs.environment}, check=True, capture_output=True)
    (package,) = tmp_path.glob("v/lib/*/site-packages/staging_cronjobs")
    for name in Repository(ROOT, ROOT).git("ls-files", "charts/staging-cronjobs").splitlines():
        inside = package / "chart" / Path(name).relative_to("charts/staging-cronjobs")
        assert inside.read_bytes() == (ROOT / name).read_bytes()
    for name in ("deploy", "cleanup"):
        inside = package / "workflows" / f"{name}-staging.yml"
        assert inside.read_bytes() == (ROOT / ".github/workflows" / inside.name).read_bytes()
    facts = json.loads(next(package.parent.glob("staging_cronjobs-*.dist-info/direct_url.json")).read_text())
    assert facts["vcs_info"]["commit_id"] == theirs.commit
    tell = "from staging_cronjobs.external import shipped; print(shipped.requirement())"
    told = subprocess.run([tmp_path / "v/bin/python", "-c", tell], check=True, capture_output=True, text=True).stdout
    assert told == f"staging-cronjobs @ git+{URL}@{theirs.commit}\n"
    done = theirs.done(
        "run", "--no-project", "--isolated", "--with", f"git+{URL}@v{__version__}", "staging", "--version"
    )
    assert done == f"{__version__} (commit {theirs.commit})\n"
