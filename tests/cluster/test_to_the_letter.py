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
from dataclasses import dataclass
from pathlib import Path

import pytest

from acting import ROOT, uv, uv_environment
from live import IMAGE, LABEL, Namespace, Staging
from repositories import Repository, make_repository, stage_branch
from staged import Sentry
from staging_cronjobs import __version__
from staging_cronjobs.model.staged_version import StagedVersion
from terminal import Terminal

URL = "https://git.invalid/tools/staging-cronjobs.git"  # nobody has it: git is told to take the copy instead
SNOW = StagedVersion("ridge-snow", "0.2.0")
TARGET = ("--dataset-id", SNOW.dataset_id, "--version", SNOW.version)
MAIN, PROGRAM = "src/weather/__main__.py", 'main = "weather.__main__:app"'
SETTINGS = """first-deploy = "paused"
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
ARCHIVER = """

class Archiver(BaseModel):
    \"\"\"Has no version: it is never staged.\"\"\"

    dataset_id: str = "ridge-archive"

    def operational_kubernetes_resources(self, image_tag: str) -> list[CronJob]:
        \"\"\"Its CronJobs.\"\"\"
        job = ArchiveCronJob(name="x", schedule="5 1 * * *", image=image_tag, dataset_id=self.dataset_id)
        return [replace(job, name="ridge-archive-archive")]


DATASETS.append(Archiver())
"""


@dataclass(frozen=True)
class Theirs:
    """A team's repository, and the git repository that this package comes from."""

    repository: Repository
    tool: Path
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


def git(folder: Path, *args: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(["git", *who, *args], cwd=folder, env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This work tree, as it is now, as a git repository with a tag."""
    folder = tmp_path_factory.mktemp("tool") / "staging-cronjobs.git"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Release")
    git(folder, "tag", f"v{__version__}")
    return folder


@pytest.fixture(scope="module")
def theirs(tool: Path, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """With a `main` of its own, pydantic jobs, an archiver, an image in a folder, and a production workflow."""
    folder = tmp_path_factory.mktemp("theirs")
    repository = make_repository(folder)
    instead = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{tool}.insteadOf", "GIT_CONFIG_VALUE_0": URL}
    own = {"UV_CACHE_DIR": str(folder / "cache"), "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder)}
    theirs = Theirs(repository, tool, git(tool, "rev-parse", "HEAD"), {**uv_environment(), **own, **instead})
    change(repository, "src/weather/kubernetes.py", "from dataclasses import", "from pydantic.dataclasses import")
    change(repository, "src/weather/datasets.py", "import json\n", "import json\nfrom dataclasses import replace\n")
    datasets = repository.path / "src/weather/datasets.py"
    datasets.write_text(datasets.read_text() + ARCHIVER)
    change(repository, MAIN, '\nif __name__ == "__main__":\n', GUARD)
    change(repository, "pyproject.toml", "\njob-prefixes = ", f"\n{SETTINGS}job-prefixes = ")
    change(repository, "pyproject.toml", 'weather = "weather.__main__:app"', PROGRAM)
    change(repository, "pyproject.toml", '["typer>=0.16"]', '["typer>=0.16", "pydantic>=2.7"]')
    repository.write("deploy/Dockerfile", "FROM scratch\n")
    repository.write(".github/workflows/deploy-production.yml", "name: Deploy production\n")
    repository.write(".gitignore", ".venv\n__pycache__\n")
    repository.commit("Be as we are")
    shutil.copy(ROOT / "uv.lock", repository.path)  # uv keeps to its versions
    theirs.done("add", "--quiet", "--group", "staging", f"staging-cronjobs @ git+{URL}@v{__version__}")
    groups = '[dependency-groups]\ndev = [{ include-group = "staging" }]\n'
    change(repository, "pyproject.toml", "[dependency-groups]\n", groups)
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
    assert "list-datasets" in main.stdout and "deploy-staging" not in main.stdout
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


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_the_commands_of_the_plan_to_the_letter(
    theirs: Theirs, staging: Staging, live: Namespace, sentry: Sentry
) -> None:
    theirs.repository.commit("Stage beside production")
    theirs.repository.push("main")
    theirs.repository.stage(SNOW.dataset_id, SNOW.version)
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
    for name in git(ROOT, "ls-files", "charts/staging-cronjobs").splitlines():
        inside = package / "chart" / Path(name).relative_to("charts/staging-cronjobs")
        assert inside.read_bytes() == (ROOT / name).read_bytes()
    for name in ("deploy", "cleanup"):
        inside = package / "workflows" / f"{name}-staging.yml"
        assert inside.read_bytes() == (ROOT / ".github/workflows" / inside.name).read_bytes()
    facts = json.loads(next(package.parent.glob("staging_cronjobs-*.dist-info/direct_url.json")).read_text())
    assert facts["vcs_info"]["commit_id"] == theirs.commit
    done = theirs.done(
        "run", "--no-project", "--isolated", "--with", f"git+{URL}@v{__version__}", "staging", "--version"
    )
    assert done == f"{__version__} (commit {theirs.commit})\n"
