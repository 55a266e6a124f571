"""`staging pause`: the Jobs that go on are named, and stopped when asked."""

import pytest

from live import Namespace, Staging, wait_until
from repositories import Repository
from running import pod_of, start
from staged import RUN_SECONDS, install, names
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
OTHER = StagedVersion("ridge-snow", "0.3.0")
LONG = {RUN_SECONDS: "3600"}


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_running_jobs_are_named_and_stopped_when_asked(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    install(staging, repository, RIDGE)
    install(staging, repository, OTHER)
    assert "No Job of it runs." in staging.run(repository.path, "pause", RIDGE.branch).stdout
    start(live, names(RIDGE)[0], "first", annotations=LONG)
    start(live, names(RIDGE)[1], "second", annotations=LONG)
    start(live, names(OTHER)[0], "other", annotations=LONG)
    pod_of(live, "first")
    done = staging.run(repository.path, "pause", RIDGE.branch)
    assert "is paused already" in done.stdout
    assert "These Jobs still run: first, second. To stop them:\n" in done.stdout
    assert f"  staging pause {RIDGE.branch} --stop-running\n" in done.stdout
    assert live.names("jobs") == ["first", "other", "second"]

    done = staging.run(repository.path, "pause", names(RIDGE)[0], "--stop-running")
    assert "Stopped, with their pods: first, second" in done.stdout
    wait_until(lambda: live.names("jobs") == ["other"], what="the Jobs are gone")
    assert "is running" in staging.run(repository.path, "resume", RIDGE.branch).stdout
