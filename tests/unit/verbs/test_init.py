"""`staging init` in repositories of every kind; tests/workflows/test_adopting.py has the way of a whole team."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import typer

from catalogues import cron_job
from controlplane import binaries
from hostile import Hostile
from live import PROGRAM, Done, outside_environment
from repositories import Repository
from staging_cronjobs import cli
from staging_cronjobs.errors import Refused
from staging_cronjobs.model import settings
from staging_cronjobs.verbs import init
from terminal import Terminal

ROOT = Path(__file__).parents[3]
DEPLOY, CLEANUP = ".github/workflows/deploy-staging.yml", ".github/workflows/cleanup-staging.yml"
WORKFLOWS = (DEPLOY, CLEANUP)
PYPROJECT = '[project]\nname = "weather"\n'
GROUP = '[dependency-groups]\nstaging = ["staging-cronjobs"]\n'
LOCK = 'version = 1\n\n[[package]]\nname = "staging-cronjobs"\n'
END = "\x04"  # what ^D types
DATASETS = "--datasets=weather.datasets:DATASETS"


@dataclass(frozen=True)
class Project(Repository):
    """A user's repository in which `staging init` is run."""

    def init(self, *args: str) -> Done:
        """A run in this process, where nobody can be asked."""
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as error:
            code = typer.main.get_command(cli.app).main(["init", *args], prog_name="staging", standalone_mode=False)
        return Done(code or 0, out.getvalue(), error.getvalue())

    def refused(self, *args: str, code: int = 3) -> str:
        """The one sentence of a run that must end so, and must have left every file as it was."""
        before = self.files()
        result = self.init(*args)
        assert result.code == code, result.stderr
        assert self.files() == before
        (sentence,) = re.findall(r"^error: (.+)$", result.stderr, re.MULTILINE)
        assert "Traceback" not in result.stderr
        return sentence

    def lacks(self) -> list[str]:
        """What `--check` names; it must write nothing."""
        before = self.files()
        result = self.init("--check")
        found = re.findall(r"^still to do: (.+)$", result.stdout, re.MULTILINE)
        assert self.files() == before
        assert result.code == (3 if found else 0), result.stderr
        return found

    def files(self) -> dict[str, bytes | str]:
        """Every path outside .git: a file's content, a link's target, or that it is a folder."""
        found = [p for p in self.path.rglob("*") if ".git" not in p.relative_to(self.path).parts[:1]]
        return {
            str(p.relative_to(self.path)): str(p.readlink())
            if p.is_symlink()
            else p.read_bytes()
            if p.is_file()
            else "/"
            for p in found
        }

    def text(self, name: str) -> str:
        return (self.path / name).read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with a pyproject.toml alone, whose remote nobody can reach; it is the current folder."""
    folder = tmp_path / "weather"
    folder.mkdir()
    project = Project(folder, tmp_path / "nowhere")
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("remote", "add", "origin", "https://github.invalid/dynamical-demo/weather.git")
    project.write("pyproject.toml", PYPROJECT)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    (tmp_path / "tools").mkdir()
    # It knows of no namespace, as the real one does here, and says so at once.
    (tmp_path / "tools" / "kubectl").symlink_to(shutil.which("false") or "")
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("STAGING_")]:
        monkeypatch.delenv(name)
    return project


@pytest.fixture
def ready(project: Project) -> Project:
    """One in which nothing is missing."""
    project.write("pyproject.toml", PYPROJECT + GROUP)
    project.write("uv.lock", LOCK)
    project.write("Dockerfile", "FROM scratch\n")
    assert project.init(DATASETS, "--yes").code == 0
    return project


def shipped(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_workflows_and_the_settings_are_written(project: Project) -> None:
    result = project.init(DATASETS, "--yes")
    assert result.code == 0, result.stderr
    assert [project.text(name) for name in WORKFLOWS] == [shipped(name) for name in WORKFLOWS]
    assert project.text("pyproject.toml").startswith(PYPROJECT)
    found = settings.load(project.path, {})
    assert found.datasets == ("weather.datasets:DATASETS",)
    assert (found.first_deploy, found.namespace) == ("paused", "default")
    assert sorted(project.files()) == sorted([".github", ".github/workflows", *WORKFLOWS, "pyproject.toml"])


def test_a_reader_who_leaves_half_way_leaves_no_half_done_change(project: Project) -> None:
    def leave(line: str) -> None:
        raise BrokenPipeError(line)

    found = init.look(settings.load(project.path, {}), "", ["weather.datasets:DATASETS"])
    project.write("pyproject.toml", found.files[-1].after)  # so that there is no difference to be shown before
    found = init.look(settings.load(project.path, {}), "", ())
    with pytest.raises(BrokenPipeError):
        init.install(found, leave, lambda _: True)
    assert [project.text(name) for name in WORKFLOWS] == [shipped(name) for name in WORKFLOWS]


def test_every_setting_that_is_offered_in_a_comment_exists(project: Project) -> None:
    project.init("--yes")
    text = re.sub(r"^# (?=[a-z-]+ = )", "", project.text("pyproject.toml"), flags=re.MULTILINE)
    project.write("pyproject.toml", text)
    found = settings.load(project.path, {})
    assert (found.skip_jobs, found.sentry_org) == (("archive-grib-files",), "my-organization")


def test_without_datasets_it_names_what_to_fill_in(project: Project) -> None:
    assert "still to do: pyproject.toml must say where your datasets are" in project.init("--yes").stderr
    assert [line for line in project.lacks() if "where your datasets are" in line]


@pytest.mark.parametrize("args", [["--environment", "prod"], []], ids=["named again", "kept"])
def test_an_environment_that_exists_takes_the_place_of_the_default_in_both(ready: Project, args: list[str]) -> None:
    assert ready.init("--environment", "prod", "--yes").code == 0
    for name in WORKFLOWS:
        assert ready.text(name) == shipped(name).replace(
            "STAGING_ENVIRONMENT || 'staging'", "STAGING_ENVIRONMENT || 'prod'"
        )
        assert ready.text(name) != shipped(name)
    before = ready.files()
    assert f"{DEPLOY}: up to date" in ready.init(*args).stderr
    assert (ready.files(), ready.lacks()) == (before, [])


def test_an_environment_that_somebody_wrote_by_hand_is_kept_as_it_stands(ready: Project) -> None:
    for name in WORKFLOWS:
        ready.write(name, shipped(name).replace("STAGING_ENVIRONMENT || 'staging'", r"STAGING_ENVIRONMENT || 'a b\1'"))
    assert ready.lacks() == []


def test_what_is_so_already_is_not_written_again(ready: Project) -> None:
    inodes = {name: (ready.path / name).stat().st_ino for name in ready.files()}
    result = ready.init()
    assert result.code == 0
    assert result.stderr.count(": up to date") == 3
    assert "Nothing is missing" in result.stderr
    assert {name: (ready.path / name).stat().st_ino for name in ready.files()} == inodes


def test_from_a_folder_below_the_files_are_written_at_the_top(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("packages/ice/pyproject.toml", PYPROJECT)
    monkeypatch.chdir(project.path / "packages" / "ice")
    assert project.init("--yes").code == 0
    assert settings.TABLE in project.text("pyproject.toml")
    assert project.text("packages/ice/pyproject.toml") == PYPROJECT
    assert not (project.path / "packages" / "ice" / ".github").exists()


# -- files that exist --------------------------------------------------------------------------------------------------


def test_a_program_is_shown_the_difference_and_nothing_is_written(project: Project) -> None:
    project.write(CLEANUP, "name: Mine\n")
    assert "pass --yes" in project.refused()
    shown = project.init().stderr
    assert f"--- {CLEANUP}" in shown
    assert "-name: Mine" in shown
    assert "+name: Cleanup staging" in shown


def test_with_yes_an_edited_workflow_is_replaced(ready: Project) -> None:
    ready.write(DEPLOY, ready.text(DEPLOY) + "# mine\n")
    assert [line.partition(". ")[0] for line in ready.lacks()] == [
        f"{DEPLOY} is out of date, or edited outside of the parts that are yours"
    ]
    assert ready.init("--yes").code == 0
    assert (ready.text(DEPLOY), ready.lacks()) == (shipped(DEPLOY), [])


@pytest.mark.parametrize(
    ("answers", "written"),
    [("yyy", (DEPLOY, CLEANUP, "pyproject.toml")), ("nyn", (CLEANUP,)), ("nnn", ()), ("yy" + END, ())],
    ids=["yes", "the second alone", "no", "end of input at the last"],
)
def test_a_person_is_asked_for_each_file(project: Project, answers: str, written: Sequence[str]) -> None:
    for name in WORKFLOWS:
        project.write(name, "name: Mine\n")
    before = project.files()
    environment = outside_environment(project.remote) | {"PATH": os.environ["PATH"]}
    terminal = Terminal([PROGRAM, "init"], project.path, environment)
    try:
        for name, answer in zip((DEPLOY, CLEANUP, "pyproject.toml"), answers, strict=False):
            terminal.wait_for(f"Apply this change to {name}? [y/N]: ")
            terminal.press(answer if answer == END else f"{answer}\n")
        done = terminal.end()
    finally:
        terminal.close()
    assert done.code == (130 if answers[-1] == END else 0), done.stderr
    assert {name for name, content in project.files().items() if before.get(name) != content} == set(written)


def test_a_table_of_the_users_own_is_never_changed(project: Project) -> None:
    own = f'{settings.TABLE}\ndatasets = ["a.b:C"] # mine\nfirst-deploy = "running"\n\n{PYPROJECT}'
    project.write("pyproject.toml", own)
    assert project.init().code == 0
    assert "Write its datasets there yourself" in project.refused(DATASETS)
    assert project.init("--datasets=a.b:C").code == 0
    assert project.text("pyproject.toml") == own


def test_a_last_line_without_its_end_stays_a_line(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT.rstrip())
    assert project.init("--yes").code == 0
    assert project.text("pyproject.toml").startswith(PYPROJECT)
    assert settings.load(project.path, {}).first_deploy == "paused"


KUBECONFIG = """apiVersion: v1
kind: Config
current-context: north
clusters:
  - {name: north, cluster: {server: "https://127.0.0.1:1"}}
users:
  - {name: north, user: {}}
contexts:
  - {name: north, context: {cluster: north, user: north, namespace: of-the-kubeconfig}}
"""


@pytest.mark.parametrize(
    ("kubeconfig", "environment", "namespace"),
    [
        (KUBECONFIG, {}, "of-the-kubeconfig"),
        (KUBECONFIG, {"STAGING_NAMESPACE": "of-the-environment"}, "of-the-environment"),
        (KUBECONFIG.replace(", namespace: of-the-kubeconfig", ""), {}, "default"),
        ("", {"STAGING_NAMESPACE": "of-the-environment"}, "of-the-environment"),
        ("", {}, "default"),
    ],
)
def test_the_namespace_is_written_so_that_everybody_means_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, kubeconfig: str, environment: dict[str, str], namespace: str
) -> None:
    (project.path.parent / "none").write_text(kubeconfig)
    monkeypatch.setenv("PATH", f"{binaries.path('kubectl').parent}:{os.environ['PATH']}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert project.init("--yes").code == 0
    assert f'namespace = "{namespace}" # where releases go' in project.text("pyproject.toml")
    assert settings.load(project.path, {}).namespace == namespace


def test_without_kubectl_the_namespace_is_kubernetes_own_default(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert project.init("--yes").code == 0
    assert settings.load(project.path, {}).namespace == "default"


def test_files_with_windows_line_ends_keep_them(ready: Project) -> None:
    (ready.path / "pyproject.toml").write_bytes(PYPROJECT.replace("\n", "\r\n").encode())
    for name in WORKFLOWS:
        (ready.path / name).write_bytes(shipped(name).replace("\n", "\r\n").encode())
    result = ready.init("--yes")
    assert result.code == 0
    assert f"{DEPLOY}: up to date" in result.stderr and f"{CLEANUP}: up to date" in result.stderr
    (ready.path / DEPLOY).write_bytes(b"name: Mine\r\n")
    assert ready.init("--yes").code == 0
    for name in (*WORKFLOWS, "pyproject.toml"):
        content = (ready.path / name).read_bytes()
        assert content.count(b"\r\n") == content.count(b"\n") > 3, name
    assert settings.load(ready.path, {}).first_deploy == "paused"


def test_lines_of_a_users_own_keep_their_ends_whatever_they_are(project: Project) -> None:
    own = b'[project]\nname = "weather"\r\n'
    (project.path / "pyproject.toml").write_bytes(own)
    assert project.init("--yes").code == 0
    assert (project.path / "pyproject.toml").read_bytes().startswith(own + b"\n[tool.staging-cronjobs]\n")


def test_a_file_that_may_be_run_still_may(project: Project) -> None:
    project.write(DEPLOY, "name: Mine\n")
    (project.path / DEPLOY).chmod(0o750)
    before = os.umask(0o027)
    try:
        assert project.init("--yes").code == 0
    finally:
        os.umask(before)
    assert (project.path / DEPLOY).stat().st_mode & 0o777 == 0o750
    assert (project.path / CLEANUP).stat().st_mode & 0o777 == 0o640


# -- parts that are the user's -----------------------------------------------------------------------------------------

TESTS = "        run: uv run --no-sync pytest\n"
MINE = "        run: uv run --no-sync pytest -m 'not slow' # \udce9\n"  # a byte that is no UTF-8, as it is read


def edit(project: Project, name: str, before: str, after: str) -> None:
    text = (project.path / name).read_bytes().decode(errors="surrogateescape")
    assert before in text
    (project.path / name).write_bytes(text.replace(before, after).encode(errors="surrogateescape"))


def test_what_stands_between_the_marks_is_kept_and_the_rest_is_brought_up_to_date(ready: Project) -> None:
    edit(ready, DEPLOY, TESTS, MINE)
    edit(ready, CLEANUP, "update-kubeconfig --name", "update-kubeconfig --alias x --name")
    mine = {name: (ready.path / name).read_bytes() for name in WORKFLOWS}
    assert ready.lacks() == []
    for name in WORKFLOWS:
        edit(ready, name, "v4.3.1", "v4.0.0")
    assert len(ready.lacks()) == 2
    done = ready.init("--yes")
    assert done.code == 0
    assert {name: (ready.path / name).read_bytes() for name in WORKFLOWS} == mine
    assert "does not stay" not in done.stderr and "none of your own changes" not in done.stderr


def test_a_part_that_is_shipped_otherwise_is_told_with_the_comparison_and_nothing_fails(ready: Project) -> None:
    assert "notice: .github" not in ready.init("--check").stderr
    edit(ready, DEPLOY, TESTS, MINE)
    edit(ready, DEPLOY, "DOCKERFILE: Dockerfile", "DOCKERFILE: pyproject.toml")
    done = ready.init("--check")
    told = f"^notice: {DEPLOY} keeps your quality.checks, which this version ships otherwise. .*: `(.*)`$"
    (command,) = re.findall(told, done.stderr, re.MULTILINE)
    assert done.code == 0
    compared = subprocess.run(["bash", "-c", command], cwd=ready.path, capture_output=True)
    assert compared.returncode == 1 and b"+        run: uv run --no-sync pytest -m" in compared.stdout
    assert "ships otherwise" not in ready.init().stderr


def test_a_part_with_nothing_in_it_stays_empty(ready: Project) -> None:
    begin, end = "      # staging: yours begin quality.checks\n", "      # staging: yours end quality.checks\n"
    inside = ready.text(DEPLOY).partition(begin)[2].partition(end)[0]
    edit(ready, DEPLOY, inside, "")
    assert ready.lacks() == []


def test_a_file_from_before_there_were_marks_is_replaced_and_it_is_said_what_goes(ready: Project) -> None:
    marked = ready.text(DEPLOY)
    old = re.sub(r"^ *# staging: yours .*\n", "", marked, flags=re.MULTILINE)
    ready.write(DEPLOY, old)
    assert len(ready.lacks()) == 1
    assert "pass --yes" in ready.refused()
    done = ready.init("--yes")
    assert f"{DEPLOY} has no marks around parts that are yours, so none of your own changes to it stays." in done.stderr
    assert ready.text(DEPLOY) == marked


def test_a_part_that_only_one_side_has_is_named(ready: Project) -> None:
    edit(ready, DEPLOY, "yours begin deploy.packages", "yours begin deploy.other")
    edit(ready, DEPLOY, "yours end deploy.packages", "yours end deploy.other")
    done = ready.init("--yes")
    assert f"{DEPLOY} has no part deploy.other any more, so what you wrote there does not stay." in done.stderr
    assert f"{DEPLOY} lacks the marks of deploy.packages, so what you changed there does not stay." in done.stderr
    assert ready.text(DEPLOY) == shipped(DEPLOY)


@pytest.mark.parametrize("name", WORKFLOWS)
@pytest.mark.parametrize("args", [["--yes"], ["--check"]], ids=["init", "check"])
@pytest.mark.parametrize(("kind", "twice"), [("begin", False), ("end", False), ("begin", True), ("end", True)], ids=str)
def test_broken_marks_are_told_and_nothing_is_written(
    ready: Project, name: str, args: list[str], kind: str, twice: bool, hostile: Hostile
) -> None:
    mark = re.findall(rf"^ *# staging: yours {kind} .*\n", ready.text(name), re.MULTILINE)[0]
    edit(ready, name, mark, mark * 2 if twice else "")
    edit(ready, CLEANUP, "v4.3.1", "v4.0.0")
    sentence = ready.refused(*args)
    assert sentence.startswith(f"{name} ")
    hostile.tried("names from git", sentence)


def dockerfile_of(project: Project) -> list[str]:
    return re.findall(r"^ +DOCKERFILE: (.+)$", project.text(DEPLOY), re.MULTILINE)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["deploy/Dockerfile"], "deploy/Dockerfile"),
        (["Dockerfile", "deploy/Dockerfile"], "Dockerfile"),
        (["a/Dockerfile", "b/Dockerfile"], "Dockerfile"),
        (["a/Dockerfile.old", "b/xDockerfile"], "Dockerfile"),
        (["it's $(id)/Dockerfile"], "Dockerfile"),
        ([], "Dockerfile"),
    ],
)
def test_the_only_dockerfile_that_git_knows_is_built(project: Project, there: list[str], found: str) -> None:
    for path in there:
        project.write(path, "FROM scratch\n")
    project.git("add", "--all")
    project.write("untracked/Dockerfile", "FROM scratch\n")
    project.init("--yes")
    assert dockerfile_of(project) == [found]
    assert bool([line for line in project.lacks() if "builds Dockerfile, and" in line]) is (found not in there)


def test_a_dockerfile_is_named_and_stays_named(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("a/Dockerfile", "b/worker.dockerfile"):
        ready.write(path, "FROM scratch\n")
    monkeypatch.chdir(ready.path / "b")
    assert ready.init("--dockerfile", "worker.dockerfile", "--yes").code == 0
    assert dockerfile_of(ready) == ["b/worker.dockerfile"]
    assert ready.lacks() == []
    assert ready.init("--yes").code == 0
    assert dockerfile_of(ready) == ["b/worker.dockerfile"]


@pytest.mark.parametrize("path", ["none", "a b", "../out", "-x", "$(id)", "folder", "x${{ github.token }}"])
def test_a_dockerfile_that_is_not_there_or_would_not_stand_in_the_workflow(
    ready: Project, tmp_path: Path, path: str, hostile: Hostile
) -> None:
    for name in ("a b", "$(id)", "-x", "x${{ github.token }}"):
        ready.write(name, "FROM scratch\n")
    (tmp_path / "out").touch()
    (ready.path / "folder").mkdir()
    sentence = ready.refused(f"--dockerfile={path}", code=2)
    hostile.tried("names from git", sentence, changed=dockerfile_of(ready) != ["Dockerfile"])


def test_a_build_of_the_users_own_has_its_file_named_there(ready: Project) -> None:
    edit(ready, DEPLOY, "          DOCKERFILE: Dockerfile\n", "")
    (ready.path / "Dockerfile").rename(ready.path / "other")
    assert ready.lacks() == []
    assert "has no line DOCKERFILE: in its part image.build" in ready.refused("--dockerfile=other")


PRODUCTION = """
jobs:
  deploy:
    steps:
      - uses: aws-actions/configure-aws-credentials@1111111111111111111111111111111111111111 # v4
        with:
          role-to-assume: ${{ secrets.AWS_ROLE_ARN }}
          aws-region: ${{ vars.AWS_REGION }}
      - uses: "actions/checkout@v4"
      - uses: "depot/setup-action@v1"
        with:
          token: ${{ secrets.GITHUB_TOKEN }}
      - run: |
          uv run pytest -m "not slow" --verbose
          aws eks update-kubeconfig --name ${{ vars.CLUSTER }}
      - env: {REGISTRY: "${{ secrets['REGISTRY'] }}", PROJECT: "${{ vars.DEPOT_PROJECT }}"}
        run: 'uv run ruff check --diff'
"""
HINT = "Use the same in the parts that are yours, where it is the same thing."


def hints_in(said: str) -> list[str]:
    """The lines of hints, the last of which says what to do with them."""
    lines = said.splitlines()
    return lines[: lines.index(HINT) + 1][lines.index("pyproject.toml: written") + 1 :] if HINT in lines else []


def test_what_other_workflows_have_otherwise_is_told_once(project: Project, hostile: Hostile) -> None:
    project.write(".github/workflows/production.yml", PRODUCTION * 2)
    project.write(".github/workflows/backfill.yml", PRODUCTION.partition("      - run")[0])
    project.write(".github/workflows/old.txt", PRODUCTION)
    project.write(".github/workflows/x\x1b[2J.yml", PRODUCTION)
    project.write(".github/workflows/broken.yml", "\x1b[2J uses: depot/setup-action@\x1b[2J\n: [")
    project.git("add", "--all")
    done = project.init("--yes")
    pins = dict(re.findall(r"uses: (\S+)@(\S+)", shipped(DEPLOY)))
    both = ".github/workflows/backfill.yml and .github/workflows/production.yml"
    one = ".github/workflows/production.yml"
    aws, depot = "aws-actions/configure-aws-credentials", "depot/setup-action"
    assert hints_in(done.stderr) == [
        f"{DEPLOY} uses {aws}@{pins[aws]}, and it is @{'1' * 40} in {both}.",
        f"{DEPLOY} uses {depot}@{pins[depot]}, and it is @v1 in {both}.",
        f"{DEPLOY} has AWS_ROLE_TO_ASSUME for role-to-assume, and it is AWS_ROLE_ARN in {both}.",
        f'{DEPLOY} runs `uv run pytest`, and it is `uv run pytest -m "not slow" --verbose` in {one}.',
        f"{DEPLOY} runs `uv run ruff check`, and it is `uv run ruff check --diff` in {one}.",
        f"{DEPLOY} reads DOCKER_REPOSITORY, EKS_CLUSTER_NAME. No other workflow does, and {one} reads "
        "CLUSTER, REGISTRY.",
        HINT,
    ]
    hostile.tried("names from git", done.stderr, ran="\x1b" in done.stderr)
    assert hints_in(project.init("--yes").stderr) == []


def test_secrets_that_other_workflows_have_and_ours_does_not_need_are_not_told(project: Project) -> None:
    names = re.findall(r"secrets\.(\w+)", shipped(DEPLOY))
    text = "".join(f"    - run: echo ${{{{ secrets.{name} }}}}\n" for name in [*names, "SLACK_TOKEN"])
    project.write(".github/workflows/production.yml", text)
    project.git("add", "--all")
    assert hints_in(project.init("--yes").stderr) == []


THEIRS = """
jobs:
  quality:
    steps:
      - name: Install
        run: uv sync --all-extras --dev --locked
      - run: uv run ruff check
      - run: uv run pytest -p no:sugar --verbose
  deploy:
    environment: prod
    steps:
      - uses: azure/setup-kubectl@v3
      - uses: depot/build-push-action@v1
        with:
          project: ${{ secrets.DEPOT_ID }}
          platforms: linux/amd64
"""


def test_a_workflow_of_their_own_in_our_place_is_read_before_it_is_replaced(project: Project) -> None:
    project.write(DEPLOY, THEIRS)
    project.git("add", "--all")
    said = project.init("--yes").stderr
    assert hints_in(said) == [
        f"{DEPLOY} builds for linux/amd64,linux/arm64, and it is linux/amd64 in the old {DEPLOY}.",
        f"{DEPLOY} runs `uv sync --locked --group staging`, and it is `uv sync --all-extras --dev --locked` in the old "
        f"{DEPLOY}.",
        f"{DEPLOY} runs `uv run pytest`, and it is `uv run pytest -p no:sugar --verbose` in the old {DEPLOY}.",
        f"{DEPLOY} reads DOCKER_REPOSITORY, AWS_ROLE_TO_ASSUME, AWS_REGION, EKS_CLUSTER_NAME, DEPOT_PROJECT. No "
        f"other workflow does, and the old {DEPLOY} reads DEPOT_ID.",
        HINT,
    ]
    assert "deploys to the environment prod, and the staging workflows use staging" in said
    assert "`staging init --environment prod`" in said


def test_an_environment_that_is_named_is_not_proposed(project: Project) -> None:
    project.write(".github/workflows/production.yml", THEIRS)
    project.git("add", "--all")
    assert "deploys to the environment" not in project.init("--yes", "--environment", "prod").stderr


@pytest.mark.parametrize("name", ["${{ inputs.where }}", "\x1b[2J", "a b", "$(id)", "[prod]"])
def test_what_is_no_name_of_an_environment_is_not_proposed(project: Project, name: str, hostile: Hostile) -> None:
    project.write(".github/workflows/production.yml", THEIRS.replace("environment: prod", f"environment: {name}"))
    project.git("add", "--all")
    said = project.init("--yes").stderr
    hostile.tried("names from git", said, changed="deploys to the environment" in said)


# -- what cannot be ----------------------------------------------------------------------------------------------------


def link(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(folder.parent)

    return make


def folder(name: str) -> Callable[[Path], None]:
    def make(top: Path) -> None:
        (top / name).unlink(missing_ok=True)
        (top / name).mkdir(parents=True)

    return make


@pytest.mark.parametrize("args", [["--yes"], ["--check"]], ids=["init", "check"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        (DEPLOY, folder(DEPLOY)),
        (CLEANUP, link(CLEANUP)),
        ("pyproject.toml", folder("pyproject.toml")),
        ("pyproject.toml", link("pyproject.toml")),
        (".github", link(".github")),
        (".github/workflows", link(".github/workflows")),
        (".github", lambda top: (top / ".github").write_text("")),
    ],
    ids=["folder", "link", "folder pyproject", "link pyproject", "linked .github", "linked workflows", "file .github"],
)
def test_what_is_no_plain_file_or_folder_is_left_alone(
    project: Project, name: str, make: Callable[[Path], None], args: list[str]
) -> None:
    make(project.path)
    kind = "folder" if name.startswith(".github") and not name.endswith(".yml") else "file"
    assert project.refused(*args) == f"{name} is not a plain {kind}. Move it out of the way."


def test_nothing_is_written_through_a_link_that_a_branch_has_committed(
    project: Project, tmp_path: Path, hostile: Hostile
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    names = ("pyproject.toml", *WORKFLOWS)
    links = [(project.path / name).with_name(f".{Path(name).name}{end}") for name in names for end in (".new", ".tmp")]
    for link in links:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(victim)
    result = project.init("--yes")
    assert result.code == 0
    assert all(link.is_symlink() for link in links)
    assert [project.text(name) for name in WORKFLOWS] == [shipped(name) for name in WORKFLOWS]
    hostile.tried("names from git", result.stderr, changed=victim.read_text() != "mine")


def test_a_folder_that_becomes_a_link_while_somebody_is_asked_is_not_followed(
    project: Project, tmp_path: Path, hostile: Hostile
) -> None:
    project.write(DEPLOY, "name: Mine\n")
    (tmp_path / "elsewhere").mkdir()
    found = init.look(settings.load(project.path, {}), "", ())

    def swap(question: str) -> bool:
        if (project.path / ".github").is_dir() and not (project.path / ".github").is_symlink():
            (project.path / ".github").rename(project.path / "old")
            (project.path / ".github").symlink_to(tmp_path / "elsewhere")
        return True

    with pytest.raises(Refused, match=r"\.github is not a plain folder"):
        init.install(found, print, swap)
    hostile.tried("names from git", changed=[*(tmp_path / "elsewhere").iterdir()])


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (b"[project\n", 2, "cannot be read as TOML"),
        (b'name = "\xff"\n', 2, "cannot be read as TOML"),
        (b"tool = {}\n", 3, f"{settings.TABLE} cannot be appended to pyproject.toml. Write it there yourself"),
        (b"[tool]\nstaging-cronjobs = 1\n", 2, "must be a table"),
        (b"[tool.staging-cronjobs]\ndatsets = []\n", 2, "Did you mean 'datasets'?"),
    ],
)
def test_a_pyproject_that_cannot_take_the_settings(project: Project, content: bytes, code: int, sentence: str) -> None:
    (project.path / "pyproject.toml").write_bytes(content)
    assert sentence in project.refused("--yes", code=code)


def test_a_repository_without_pyproject(project: Project) -> None:
    (project.path / "pyproject.toml").unlink()
    assert "has no pyproject.toml. Make one with `uv init --bare`" in project.refused("--yes")
    assert "pyproject.toml is missing" in project.lacks()


def test_a_folder_without_repository_or_remote(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.git("remote", "remove", "origin")
    assert "no git remote 'origin'" in project.refused(code=4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not in a git work tree" in project.refused("--check", code=4)


@pytest.mark.parametrize("name", ["it's", "a b", "x\ny", "x}}", "$(id)", "é"])
def test_an_environment_that_would_not_stand_in_the_workflow(project: Project, name: str) -> None:
    assert "letters, digits, dots, dashes and underscores only" in project.refused("--environment", name, code=2)


@pytest.mark.parametrize(("works", "code"), [(0, 4), (1, 5)], ids=["first", "second"])
def test_a_disk_that_fails_leaves_whole_files_and_says_how_to_go_on(
    project: Project, monkeypatch: pytest.MonkeyPatch, works: int, code: int
) -> None:
    replace, done = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        if len(done) == works:
            raise OSError(28, "No space left on device")
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    result = project.init("--yes")
    assert result.code == code
    assert "No space left on device. Run the same command again to finish." in result.stderr
    monkeypatch.undo()
    monkeypatch.chdir(project.path)
    assert project.text("pyproject.toml") == PYPROJECT
    assert project.init("--yes").code == 0
    assert [project.text(name) for name in WORKFLOWS] == [shipped(name) for name in WORKFLOWS]
    assert not [name for name in project.files() if name.endswith(".new")]


# -- check -------------------------------------------------------------------------------------------------------------


def test_nothing_is_missing_in_a_repository_that_is_ready(ready: Project) -> None:
    assert ready.lacks() == []


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (DEPLOY, None, f"{DEPLOY} is missing"),
        (CLEANUP, None, f"{CLEANUP} is missing"),
        (
            DEPLOY,
            ("v4.3.1", "v4.0.0"),
            f"{DEPLOY} is out of date, or edited outside of the parts that are yours. `staging init` shows",
        ),
        (
            "Dockerfile",
            None,
            f"{DEPLOY} builds Dockerfile, and there is no such file. Run `staging init --dockerfile PATH`",
        ),
        ("uv.lock", None, "uv.lock is missing, or has no staging-cronjobs. Run `uv lock`"),
        ("uv.lock", ("staging-cronjobs", "other"), "uv.lock is missing, or has no staging-cronjobs. Run `uv lock`"),
        (
            "pyproject.toml",
            (GROUP, ""),
            "no dependency group staging. Run `uv add --group staging 'staging-cronjobs @ git+https://…@v…'`",
        ),
        ("pyproject.toml", ("[tool.staging-cronjobs]", "[tool.x]"), "pyproject.toml has no [tool.staging-cronjobs]"),
        (
            "pyproject.toml",
            ("weather.datasets:DATASETS", "package.module:ATTRIBUTE"),
            "must say where your datasets are",
        ),
        ("pyproject.toml", ('["weather.datasets:DATASETS"]', "[]"), "must say where your datasets are"),
    ],
)
def test_one_thing_that_is_missing_is_named_alone(
    ready: Project, name: str, change: tuple[str, str] | None, sentence: str
) -> None:
    if change:
        assert change[0] in ready.text(name)
        ready.write(name, ready.text(name).replace(*change))
    else:
        (ready.path / name).unlink()
    (found,) = ready.lacks()
    assert sentence in found


def with_jobs(project: Project, *keys: str, settings: str = "") -> None:
    """Its datasets are a catalogue file with one dataset, which has these jobs."""
    jobs = [cron_job(f"ridge-snow-{key}") for key in keys]
    project.write("catalogue.json", json.dumps([{"dataset_id": "ridge-snow", "version": "0.1.0", "cronjobs": jobs}]))
    own = project.text("pyproject.toml").replace("weather.datasets:DATASETS", "catalogue.json")
    project.write("pyproject.toml", own.replace("first-deploy", f"{settings}\nfirst-deploy", 1))


def test_jobs_that_archive_are_told_with_the_setting_and_nothing_fails(ready: Project) -> None:
    with_jobs(ready, "update", "archive-grib-files", "archive-reports")
    told = (
        "notice: archive-grib-files, archive-reports may write outside of a version's stores, where production's job "
        "writes too. If so, leave them out in [tool.staging-cronjobs]: "
        'skip-jobs = ["archive-grib-files", "archive-reports"]\n'
    )
    done = ready.init("--check")
    assert (done.code, done.stdout) == (0, "") and told in done.stderr
    with_jobs(ready, "update", "archive-grib-files", settings='skip-jobs = ["archive-grib-files"]')
    assert "notice:" not in ready.init("--check").stderr


def test_whether_jobs_archive_is_not_known_where_the_code_cannot_be_read(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ready.init("--check")
    assert done.code == 0 and "is not known, because your code cannot be read. " in done.stderr
    with_jobs(ready, "archive-grib-files")
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", "secret")
    assert "notice:" not in ready.init("--check").stderr


def test_settings_of_the_shell_do_not_hide_what_the_repository_lacks(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.write("pyproject.toml", ready.text("pyproject.toml").replace("weather.datasets:DATASETS", ""))
    ready.write("pyproject.toml", ready.text("pyproject.toml").replace('[""]', "[]"))
    monkeypatch.setenv("STAGING_DATASETS", "weather.datasets:DATASETS")
    assert len(ready.lacks()) == 1


# -- what to set -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_what_to_set_names_everything_with_this_repository_and_environment(ready: Project, environment: str) -> None:
    text = ready.init("--environment", environment, "--yes").stdout
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert f"environments/{environment}/deployment-branch-policies -f 'name=stage/*/*'" in text
    assert f'"token.actions.githubusercontent.com:sub": "repo:dynamical-demo/weather:environment:{environment}"' in text
    assert '"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"' in text
    assert '"$name"' in text
    assert "AWS_ROLE_TO_ASSUME" in text and "Depot must trust" in text
    assert "$environment" not in text
    assert 'first-deploy = "paused"' in text
    for name in WORKFLOWS:
        for word in re.findall(r"(?:secrets|vars)\.([A-Z_]+)", shipped(name)):
            assert word in text or word in ("STAGING_ENVIRONMENT", "STAGING_CLEANUP_ENVIRONMENT"), word
    documents = [json.loads(found) for found in re.findall(r"<<'END'\n(.*?)^END$", text, re.DOTALL | re.MULTILINE)]
    (ruleset,) = [found for found in documents if "rules" in found]
    assert ruleset["conditions"]["ref_name"]["include"] == ["refs/heads/stage/**"]
    assert not {rule["type"] for rule in ruleset["rules"]} & {"non_fast_forward", "deletion"}


def test_an_environment_that_exists_is_not_made_anew(ready: Project) -> None:
    """A PUT would take its reviewers and its own branches away."""
    assert "--method PUT" in ready.init("--environment", "staging").stdout
    ready.write("pyproject.toml", ready.text("pyproject.toml").replace('# main = "main"', 'main = "trunk"'))
    assert "-f name=trunk" in ready.init().stdout
    assert "--method PUT" not in ready.init("--environment", "prod", "--yes").stdout


def test_what_to_set_follows_the_parts_that_are_the_users(ready: Project) -> None:
    for name in WORKFLOWS:
        text = re.sub(r"- name: Log in to AWS\n(?:(?! {6}(?:#|- )).*\n)*", "", ready.text(name))
        text = re.sub(r"\b(secrets|vars)\.(AWS_\w+|EKS_CLUSTER_NAME)", r"\1.GKE_CLUSTER", text)
        ready.write(name, text.replace(".DEPOT_PROJECT", ".BUILDER"))
    text = ready.init("--yes").stdout
    assert "for name in DOCKER_REPOSITORY GKE_CLUSTER BUILDER; do" in text
    assert not re.findall("AWS_ROLE|amazonaws|Depot|EKS", text)
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
