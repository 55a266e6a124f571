"""`staging rollback`: back to the last other commit, with what was paused still paused."""

import pytest

from live import IMAGE, Namespace, Staging
from repositories import Repository
from staged import install, names
from staging_cronjobs.model.staged_version import StagedVersion

REFUSED = 3
RIDGE = StagedVersion("ridge-snow", "0.2.0")
NEWER = "example.registry/reformatters:newer"
DEPLOY = ("deploy", "--branch", RIDGE.branch, "--docker-image")


def image_of(live: Namespace, name: str) -> str:
    pod = live.get("cronjobs", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod["containers"][0]["image"]


def test_back_to_the_last_other_commit_as_paused_as_now(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    first = repository.stage(RIDGE.dataset_id, RIDGE.version)
    staging.run(repository.path, *DEPLOY, IMAGE)
    said = staging.run(repository.path, "rollback", RIDGE.branch, code=REFUSED).stderr
    assert "has no other commit to go back to" in said and first[:12] in said

    second = repository.commit("Change")
    repository.push(RIDGE.branch)
    staging.run(repository.path, *DEPLOY, NEWER)
    staging.run(repository.path, "pause", RIDGE.branch)
    uids = {name: live.get("cronjobs", name)["metadata"]["uid"] for name in names(RIDGE)}
    done = staging.run(repository.path, "rollback", names(RIDGE)[0])
    assert f"is back at {first[:12]}, as it was deployed at 20" in done.stdout
    assert f", and still paused. It was at {second[:12]}." in done.stdout
    assert f"The next push to {RIDGE.branch} deploys the head of the branch again." in done.stdout
    for name, uid in uids.items():
        assert image_of(live, name) == IMAGE
        assert live.get("cronjobs", name)["spec"]["suspend"] is True
        assert live.get("cronjobs", name)["metadata"]["uid"] == uid
    assert f"rolled back to {first[:12]}" in staging.helm("history", RIDGE.release)
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["commit"], row["paused"], row["status"]) == (first, True, "deployed")

    staging.run(repository.path, "rollback", RIDGE.branch)  # the last other one is now the newer one
    assert image_of(live, names(RIDGE)[0]) == NEWER
    staging.run(repository.path, "resume", RIDGE.branch)
    assert "still paused" not in staging.run(repository.path, "rollback", RIDGE.branch).stdout
    assert live.get("cronjobs", names(RIDGE)[0])["spec"]["suspend"] is False


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_a_job_that_the_older_commit_lacks_is_named(staging: Staging, repository: Repository, live: Namespace) -> None:
    install(staging, repository, RIDGE, ["update"])
    repository.checkout("main")
    repository.commit("Change")
    install(staging, repository, RIDGE, ["update", "validate"])
    done = staging.run(repository.path, "rollback", RIDGE.branch)
    assert f"does not have these CronJobs: {names(RIDGE)[1]}." in done.stdout
    assert live.names("cronjobs") == names(RIDGE)[:1]
