"""A deploy that is done says so, in whatever locale."""

import subprocess

import pytest

from forks import PROGRAM
from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Staging
from repositories import Repository

BRANCH = "stage/ridge-snow/v0.2.0"
FILE = "src/weather/datasets.py"
STORE = "s3://weather-data/caf\xe9-\u96ea-"


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_from_deploy_to_cleanup_in_any_locale(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    repository.stage("ridge-snow", "0.2.0")
    text = (repository.path / FILE).read_text()
    assert "s3://weather-data/" in text
    repository.write(FILE, text.replace("s3://weather-data/", STORE))
    repository.commit("Write to another store")
    repository.push(BRANCH)
    for encoding in ("ascii", "latin-1", "gbk", "euc_jp", "utf-8"):
        shown = STORE.encode(encoding, "backslashreplace").decode(encoding)
        environment = {**staging.environment, "PYTHONIOENCODING": encoding}
        for args in (("deploy", "--docker-image", IMAGE), ("cleanup", "--yes", "--keep-branch")):
            command = [PROGRAM, *args, "--branch", BRANCH]
            done = subprocess.run(command, cwd=repository.path, env=environment, capture_output=True, timeout=120)
            hostile.tried("locales", done.stderr.decode(encoding))
            assert done.returncode == 0, done.stderr
            assert shown in done.stdout.decode(encoding)
    assert live.names("cronjobs", f"{LABEL}release") == []
