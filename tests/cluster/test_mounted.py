"""`deploy-staging` and `cleanup-staging` inside the user's own Typer app."""

import subprocess
import sys

import pytest

from hostile import Hostile
from live import IMAGE, LABEL, Done, Namespace, Staging
from repositories import Repository, stage_branch

RIDGE = ("ridge-snow", "0.2.0")
TARGET = ("--dataset-id", RIDGE[0], "--version", RIDGE[1])
MOUNTED = """
from staging_cronjobs.cli import mount

mount(app, DATASETS)

if __name__ == "__main__":
"""
COUNTED = "with open(ROOT / 'imports.txt', 'a') as imports:\n    imports.write('imported ')\n"
MAIN = "src/weather/__main__.py"


@pytest.fixture
def mounted(repository: Repository) -> Repository:
    """The example repository with both commands in its app, and a count of the imports of its datasets."""
    repository.checkout("main")
    text = (repository.path / MAIN).read_text()
    repository.write(MAIN, text.replace('\nif __name__ == "__main__":\n', MOUNTED))
    datasets = "src/weather/datasets.py"
    repository.write(datasets, (repository.path / datasets).read_text() + COUNTED)
    repository.write(".gitignore", "imports.txt\n__pycache__\n")
    repository.commit("Mount staging")
    repository.stage(*RIDGE)
    return repository


def weather(staging: Staging, repository: Repository, *args: str) -> Done:
    """Run the user's own program."""
    environment = {**staging.environment, "PYTHONPATH": "src"}
    done = subprocess.run(
        [sys.executable, "-m", "weather", *args],
        cwd=repository.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_deploy_and_cleanup_in_the_users_own_app(staging: Staging, mounted: Repository, live: Namespace) -> None:
    done = weather(staging, mounted, "deploy-staging", *TARGET, "--docker-image", IMAGE)
    assert done.code == 0, done.stderr
    assert "Installed release staging-ridge-snow-v0-2-0" in done.stdout
    assert (mounted.path / "src/weather/imports.txt").read_text() == "imported "
    assert live.names("cronjobs", f"{LABEL}release") == [
        f"staging-ridge-snow-v0-2-0-{k}" for k in ("update", "validate")
    ]
    (row,) = staging.run(mounted.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"], row["repository"]) == (*RIDGE, "dynamical-demo/weather")
    assert row["commit"] == mounted.remote_head(stage_branch(*RIDGE))

    done = weather(staging, mounted, "cleanup-staging", *TARGET)
    assert done.code == 3 and "pass --yes" in done.stderr
    done = weather(staging, mounted, "cleanup-staging", *TARGET, "--yes")
    assert done.code == 0, done.stderr
    assert live.leftovers() == []
    assert mounted.remote_head(stage_branch(*RIDGE)) is None


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.parametrize(
    ("code", "args", "words"),
    [
        (2, ["--dataset-id", "Ridge", "--version", "0.2.0"], "dataset id 'Ridge' is not usable"),
        (3, ["--dataset-id", "ridge-snwo", "--version", "0.2.0"], "Did you mean 'ridge-snow'"),
        (3, ["--dataset-id", "ridge-snow", "--version", "0.3.0"], "is at version 0.2.0, not 0.3.0"),
        (4, [*TARGET, "--kube-context", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_sentences_there_too(
    staging: Staging, mounted: Repository, live: Namespace, code: int, args: list[str], words: str
) -> None:
    done = weather(staging, mounted, "deploy-staging", *args, "--docker-image", IMAGE)
    assert done.code == code, done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert words in error
    assert "Traceback" not in done.stderr
    assert live.leftovers() == []


BROKEN = """
class Broken:
    dataset_id = "ridge-snow"
    def operational_kubernetes_resources(self, image_tag):
        {body}
DATASETS = [Broken()]
"""


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("raise KeyError('schedule')", 4, "your code failed for dataset 'ridge-snow': KeyError: 'schedule' ("),
        ("raise SystemExit(0)", 4, "your code failed for dataset 'ridge-snow': SystemExit: 0 ("),
        ("return None", 3, "dataset 'ridge-snow': operational_kubernetes_resources is NoneType"),
        ("return [{'spec': {1}}]", 3, "dataset 'ridge-snow' holds {1}, a set. JSON has no such value"),
        ("while True: yield {}", 3, "operational_kubernetes_resources has more than 1,000 items"),
    ],
)
def test_errors_of_user_code_name_the_dataset(
    staging: Staging, mounted: Repository, live: Namespace, body: str, code: int, words: str, hostile: Hostile
) -> None:
    datasets = "src/weather/datasets.py"
    mounted.write(datasets, (mounted.path / datasets).read_text() + BROKEN.replace("{body}", body))
    mounted.commit("Break a dataset")
    done = weather(staging, mounted, "deploy-staging", *TARGET, "--docker-image", IMAGE)
    assert done.code == code, done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert words in error
    hostile.tried("user code", error, changed=live.leftovers())


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_the_users_logging_does_not_show_how_staging_works(staging: Staging, mounted: Repository) -> None:
    """The example logs everything at DEBUG to stderr; of what this program does it sees nothing."""
    done = weather(staging, mounted, "deploy-staging", *TARGET, "--docker-image", IMAGE)
    assert "weather INFO weather.startup: started" in done.stderr
    assert [line for line in done.stderr.splitlines() if "git" in line or "kubectl" in line] == []


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
@pytest.mark.parametrize(
    "own",
    [
        "@app.command()\ndef deploy_staging() -> None:\n    pass\n",
        '@app.command(name="cleanup-staging")\ndef tidy() -> None:\n    pass\n',
        'app.add_typer(typer.Typer(), name="deploy-staging")\n',
    ],
    ids=["by-function", "by-name", "group"],
)
def test_an_own_command_of_that_name_is_not_shadowed(staging: Staging, mounted: Repository, own: str) -> None:
    text = (mounted.path / MAIN).read_text()
    mounted.write(MAIN, text.replace("\nmount(app", f"\n{own}\nmount(app"))
    done = weather(staging, mounted, "list-datasets")
    assert done.code == 1
    assert "ValueError: the app already has a command" in done.stderr and "Rename it" in done.stderr


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_the_users_own_commands_are_as_they_were(staging: Staging, mounted: Repository) -> None:
    done = weather(staging, mounted, "list-datasets")
    assert done.code == 0 and RIDGE[0] in done.stdout.splitlines()
    help_text = weather(staging, mounted, "--help").stdout
    assert all(command in help_text for command in ("list-datasets", "deploy-staging", "cleanup-staging"))
