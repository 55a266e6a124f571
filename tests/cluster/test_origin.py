"""Who deployed a version, and from where: in annotations, list, status and Helm's history, and harmless everywhere."""

import json
from typing import Any

import pytest

from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Staging
from repositories import Repository
from staged import names
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
SUBJECT = 'Tune the blending, "twice": {{ it }} # ü'
RUN = "https://github.com/dynamical-demo/weather/actions/runs/7"
GITHUB = {
    "GITHUB_ACTOR": "octocat[bot]",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "dynamical-demo/weather",
    "GITHUB_RUN_ID": "7",
}
FACTS = ("actor", "subject", "run")
one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


def stage(repository: Repository, subject: str) -> str:
    """Push the version with a commit of this subject on top."""
    if not repository.remote_head(RIDGE.branch):
        repository.stage(RIDGE.dataset_id, RIDGE.version)
    repository.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", subject)
    repository.push(RIDGE.branch)
    return repository.git("rev-parse", "HEAD")


def deploy(staging: Staging, repository: Repository, **environment: str) -> None:
    staging.run(
        repository.path, "deploy", "--branch", RIDGE.branch, "--docker-image", IMAGE, code=0, given="", **environment
    )


def history(staging: Staging) -> list[str]:
    return [row["description"] for row in json.loads(staging.helm("history", RIDGE.release, "-o", "json"))]


def seen(staging: Staging, repository: Repository, live: Namespace) -> list[dict[str, str]]:
    """The facts as `list`, `status` and the annotations of a CronJob have them."""
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    (version,) = staging.run(repository.path, "status", "-o", "json").json["versions"]
    marks: dict[str, Any] = live.get("cronjobs", names(RIDGE)[0])["metadata"]["annotations"]
    marks = {fact: marks.get(f"{LABEL}{fact}", "") for fact in FACTS}
    return [{fact: found[fact] for fact in FACTS} for found in (row, version, marks)]


def test_who_deployed_and_from_where_is_told_everywhere(
    staging: Staging, repository: Repository, live: Namespace
) -> None:
    commit = stage(repository, SUBJECT)
    deploy(staging, repository, **GITHUB)
    expected = {"actor": "octocat[bot]", "subject": SUBJECT, "run": RUN}
    assert seen(staging, repository, live) == [expected] * 3
    told = " ".join(staging.run(repository.path, "status").stdout.split())
    assert f"deployed by octocat[bot] ({RUN}): {SUBJECT}" in told
    assert RUN in staging.run(repository.path, "status", "-o", "markdown").stdout
    assert history(staging) == [f"{RIDGE.branch} at {commit[:12]} by octocat[bot] ({RUN}): {SUBJECT}"]

    staging.run(repository.path, "pause", RIDGE.branch)
    staging.run(repository.path, "resume", RIDGE.branch, code=0, given="", **GITHUB)
    assert history(staging)[1:] == ["paused by Weather", f"resumed by octocat[bot] ({RUN})"]
    assert seen(staging, repository, live) == [expected] * 3  # of the deploy, whoever paused it

    deploy(staging, repository)
    assert seen(staging, repository, live) == [{"actor": "Weather", "subject": SUBJECT, "run": ""}] * 3
    assert history(staging)[3] == f"{RIDGE.branch} at {commit[:12]} by Weather: {SUBJECT}"


@one_major
def test_where_nobody_is_known_nothing_is_told(staging: Staging, repository: Repository, live: Namespace) -> None:
    commit = stage(repository, "x")
    repository.git("config", "--unset", "user.name")
    deploy(staging, repository)
    assert seen(staging, repository, live) == [{"actor": "", "subject": "x", "run": ""}] * 3
    assert history(staging) == [f"{RIDGE.branch} at {commit[:12]}: x"]


HOSTILE = {
    "a terminal's commands": "\x1b[2J\x1b]0;x\x07 \u202e \x85\x9b31m",
    "lines": "ok\rfake\x0b::error::x",
    "what YAML lacks": "\x7f\ufffe\ue000",
    "a shell's": "$(touch stolen) `touch stolen`; touch stolen",
    "a template": "{{ .Values }} {{ fail `x` }}",
    "an option": "--post-renderer=sh",
    "long": "x" * 5000,
}


@one_major
def test_a_hostile_subject_or_actor_does_nothing(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    for text in HOSTILE.values():
        stage(repository, text)
        github = {**GITHUB, "GITHUB_ACTOR": text, "GITHUB_SERVER_URL": f"http://x/{text}"}
        deploy(staging, repository, **github)
        listed, marked, told = seen(staging, repository, live)
        assert listed == marked == told
        assert all(fact.isprintable() and len(fact) <= 120 for fact in listed.values()) and listed["run"] == ""
        done = [staging(repository.path, *command) for command in (("list",), ("status",), ("pause", RIDGE.branch))]
        assert not any(one.code for one in done)
        said = "".join(one.stdout + one.stderr for one in done) + "".join(history(staging))
        assert not {c for c in said if c != "\n" and not c.isprintable()}
        hostile.tried("names from git", said, ran=list(repository.path.glob("**/stolen")))


@one_major
def test_annotations_that_lie_are_not_what_is_listed(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    stage(repository, SUBJECT)
    deploy(staging, repository, **GITHUB)
    true = seen(staging, repository, live)[0]
    for fact, text in (("run", "http://evil.example/x"), ("subject", "\x1b[2J"), ("actor", "x" * 81)):
        marks = {"metadata": {"annotations": {f"{LABEL}{fact}": text}}}
        for name in names(RIDGE):
            live.kubectl("patch", "cronjob", name, "--type=merge", "--patch", json.dumps(marks))
        done = staging.run(repository.path, "list", "-o", "json")
        assert {fact: done.json[0][fact] for fact in FACTS} == true
        hostile.tried("release records", done.stdout)
        staging.run(repository.path, "resume", RIDGE.branch)  # puts the annotations right
