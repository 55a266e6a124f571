"""`staging doctor` on a real cluster: what is there is ok, what is missing is wrong with the command that mends it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import hub_answers
from acting import STANDINS
from hostile import Hostile
from live import Done, Namespace, Staging
from repositories import Repository
from sentry_server import answered
from staged import Place, Sentry

PYPROJECT = '\n[dependency-groups]\nstaging = ["staging-cronjobs"]\n'
LOCK = 'version = 1\n\n[[package]]\nname = "staging-cronjobs"\nsource = { registry = "https://pypi.org/simple" }\n'
REFUSED = 3
RIGHTS = [f"rights on {kind}" for kind in ("cronjobs", "jobs", "pods", "pods/log", "secrets")]
PROGRAMS = ["helm", "kubectl", "git"]
THERE = ["main", "cluster", "namespace", *RIGHTS, "Sentry"]
CODE = ["datasets", "templates", "stores", "jobs", "kubectl apply"]
FILES = ["workflows", "settings", "Dockerfile", "package"]
HUB = ["GitHub", "environment prod", "secrets and variables", "rules of stage branches"]
SKIPPED = "archive-buoy-reports,archive-grib-files"


@dataclass(frozen=True)
class Patient:
    """A repository in which everything is as it should be, until a test changes it."""

    staging: Staging
    live: Namespace
    repository: Repository
    state: Path  # of the stand-in of gh

    def __call__(self, **environment: str) -> Done:
        return self.staging(self.repository.path, "doctor", "-o", "json", **environment)

    def seen(self, **environment: str) -> dict[str, dict[str, Any]]:
        """Each look by what it looked at, of which the last counts; the exit code fits them."""
        done = self(**environment)
        found = json.loads(done.stdout)
        assert done.code == (REFUSED if any(look["state"] == "wrong" for look in found) else 0), done.stderr
        assert not [look for look in found if look["state"] != "ok" and not look["commands"]], "nothing mends it"
        return {look["what"]: look for look in found}

    def states(self, **environment: str) -> dict[str, str]:
        return {what: look["state"] for what, look in self.seen(**environment).items()}

    def mend(self, look: Mapping[str, Any]) -> None:
        """What the look says is typed by an administrator."""
        for command in look["commands"]:
            subprocess.run(["bash", "-ec", command], env=dict(self.live.cluster.environment()), check=True)


@pytest.fixture(scope="module")
def patient(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Patient:
    state, tools = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("tools")
    hub_answers.write(state, hub_answers.all_set("prod"))
    tools.joinpath("gh").symlink_to(STANDINS / "person" / "gh")
    own = place.staging.environment
    path = f"{tools}{os.pathsep}{own['PATH']}"
    # User code is what the tests' own Python loads.
    more = {"PATH": path, "STANDINS_STATE": str(state), "STAGING_SKIP_JOBS": SKIPPED}
    repository = place.repository
    repository.write("pyproject.toml", (repository.path / "pyproject.toml").read_text() + PYPROJECT)
    repository.write("uv.lock", LOCK)
    repository.write("Dockerfile", "FROM scratch\n")
    staging = Staging({**own, **more})
    staging.run(repository.path, "init", "--environment", "prod", "--yes")
    repository.commit("Stage by workflow")
    repository.push("main")
    return Patient(staging, place.live, repository, state)


def test_where_all_is_as_it_should_be_each_look_says_so(patient: Patient) -> None:
    found = patient.seen()
    assert {what: look["found"] for what, look in found.items() if look["state"] != "ok"} == {}
    assert list(found) == [*PROGRAMS, *THERE, *CODE, *FILES, *HUB]
    assert not any(look["commands"] for look in found.values())
    shown = patient.staging(patient.repository.path, "doctor").stdout
    assert f"{len(found)} ok, 0 wrong, 0 unknown." in shown
    assert re.findall(r"^(\S.*?)  +ok  ", shown, re.MULTILINE) == list(found)


def test_the_code_of_the_datasets_is_not_loaded_while_the_token_is_there(patient: Patient, sentry: Sentry) -> None:
    patient.repository.write("src/weather/datasets.py", "open('loaded', 'w')\n")
    try:
        found = patient.seen(**sentry.environment)
    finally:
        patient.repository.git("checkout", "--quiet", ".")
    assert {what: look["state"] for what, look in found.items() if look["state"] != "ok"} == {"datasets": "unknown"}
    assert not (patient.repository.path / "loaded").exists()


# -- what is missing, and what mends it --------------------------------------------------------------------------------


def test_a_namespace_that_is_missing_is_made_by_the_command(patient: Patient) -> None:
    other = f"{patient.live.name}-other"
    look = patient.seen(STAGING_NAMESPACE=other)["namespace"]
    assert (look["state"], look["found"]) == ("wrong", f"there is no namespace {other}")
    patient.mend(look)
    assert patient.states(STAGING_NAMESPACE=other)["namespace"] == "ok"
    patient.live.cluster.kubectl("delete", "namespace", other, "--wait=false")


def as_account(patient: Patient, name: str, folder: Path) -> Patient:
    """The same with the token of a new ServiceAccount, which has no rights yet."""
    patient.live.kubectl("create", "serviceaccount", name)
    config = json.loads(patient.live.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": patient.live.kubectl("create", "token", name).strip()}
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return replace(patient, staging=Staging({**patient.staging.environment, "KUBECONFIG": str(file)}))


def test_rights_that_are_missing_are_given_by_the_commands(patient: Patient, tmp_path: Path) -> None:
    nobody = as_account(patient, "nobody", tmp_path)
    found = nobody.seen()
    assert [found[what]["state"] for what in RIGHTS] == ["wrong"] * len(RIGHTS)
    assert found["namespace"]["state"] == "unknown"  # without any right, whether it exists cannot be told
    assert "may not create, delete, get, list, update" in found["rights on cronjobs"]["found"]
    for what in RIGHTS:
        patient.mend(found[what])
    found = nobody.seen()
    assert [found[what]["state"] for what in (*RIGHTS, "namespace")] == ["ok"] * (len(RIGHTS) + 1)


def test_an_operators_account_need_not_deploy(patient: Patient, tmp_path: Path) -> None:
    operator = as_account(patient, "operator", tmp_path)
    manifest = (Path(__file__).parents[2] / "docs" / "rbac.yaml").read_text()
    patient.live.cluster.kubectl(
        "apply", "-f", "-", given=manifest.replace("namespace: weather", f"namespace: {patient.live.name}")
    )
    binding = ("rolebinding", "operator", "--role=staging-operator", f"--serviceaccount={patient.live.name}:operator")
    patient.live.kubectl("create", *binding)
    found = operator.seen()
    assert found["namespace"]["state"] == "ok"  # by a dry run: it may not read namespaces
    look = found["rights on cronjobs"]
    assert look["state"] == "unknown"
    assert "may not create, which is needed to deploy. It may operate" in look["found"]
    assert "staging-doctor" not in patient.live.kubectl("get", "secrets", "-o", "name")


def test_a_cluster_that_does_not_answer_is_wrong_and_the_rest_of_it_unknown(patient: Patient, tmp_path: Path) -> None:
    config = json.loads(patient.live.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1"}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    found = patient.states(KUBECONFIG=str(file))
    assert found["cluster"] == "wrong"
    assert {found[what] for what in ("namespace", "rights", "kubectl apply")} == {"unknown"}
    none = patient.seen(KUBECONFIG="/nonexistent", STAGING_KUBE_CONTEXT="", STAGING_NAMESPACE="")
    assert none["cluster"]["state"] == "wrong" and "no cluster is named" in none["cluster"]["found"]
    assert not {"namespace", "rights"} & none.keys()


def test_a_program_that_is_missing_is_wrong_and_what_it_would_tell_is_not_ok(patient: Patient, tmp_path: Path) -> None:
    git = tmp_path / "git"
    git.symlink_to(shutil.which("git") or "")
    found = patient.seen(PATH=str(tmp_path))
    assert {what: found[what]["state"] for what in PROGRAMS} == {"helm": "wrong", "kubectl": "wrong", "git": "ok"}
    told = {found[what]["state"] for what in ("cluster", "namespace", "rights", "kubectl apply", "GitHub")}
    assert told == {"unknown"}
    assert "https://helm.sh" in found["helm"]["commands"][0]


def test_a_remote_that_does_not_answer_leaves_main_unknown(patient: Patient) -> None:
    moved = patient.repository.remote.with_name("moved")
    patient.repository.remote.rename(moved)
    try:
        assert patient.states()["main"] == "unknown"
    finally:
        moved.rename(patient.repository.remote)


Change = Callable[[Patient], None]


def edited(name: str, before: str, after: str) -> Change:
    def edit(patient: Patient) -> None:
        file = patient.repository.path / name
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    return edit


def removed(name: str) -> Change:
    return lambda patient: (patient.repository.path / name).unlink()


DEPLOY = ".github/workflows/deploy-staging.yml"
MAIN = "src/weather/__main__.py"
BROKEN: dict[str, tuple[str, Change, str, str]] = {
    "workflows": ("workflows", edited(DEPLOY, "v4.3.1", "v4.0.0"), "out of date", "staging init"),
    "Dockerfile": ("Dockerfile", removed("Dockerfile"), "no such file", "staging init --dockerfile PATH"),
    "a path": (
        "package",
        edited("uv.lock", 'registry = "https:/', 'directory = "/home'),
        "neither an image nor a workflow has",
        'uv add --group staging "staging-cronjobs @ git+https://…@v…"',
    ),
    "settings": (
        "settings",
        edited("pyproject.toml", "datasets =", "datasets-of-mine ="),
        "has no setting",
        "${EDITOR:-vi} pyproject.toml",
    ),
    "datasets": (
        "settings",
        edited("pyproject.toml", '["weather.datasets:DATASETS"]', "[]"),
        "must say where your datasets are",
        'datasets = ["weather.datasets:DATASETS"]',
    ),
    "template": (
        "templates",
        edited("src/weather/versions.json", '"0.1.0"', '"0.9.0"'),
        "is at version",
        "staging catalogue",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_in_the_repository_is_told(patient: Patient, name: str) -> None:
    what, change, words, command = BROKEN[name]
    change(patient)
    try:
        look = patient.seen()[what]
        assert look["state"] == "wrong" and words in look["found"], look
        assert look["commands"][0] == command
    finally:
        patient.repository.git("checkout", "--quiet", ".")


def test_a_program_that_would_not_start_in_production_or_lack_our_commands_is_told(patient: Patient) -> None:
    edited(MAIN, "app =", "from staging_cronjobs import mount\n\napp =")(patient)
    try:
        found = [look for look in json.loads(patient().stdout) if look["what"] == "package"]
    finally:
        patient.repository.git("checkout", "--quiet", ".")
    production, people = found
    assert {look["state"] for look in found} == {"wrong"}
    assert f"{MAIN} line 7 imports staging_cronjobs, and production's install is without it" in production["found"]
    assert production["commands"][:3] == ["try:", "    from staging_cronjobs import mount", "except ImportError:"]
    assert "`uv run` does not install it" in people["found"] and people["commands"] == ["uv lock"]


def test_a_namespace_that_main_does_not_set_is_told_with_the_line_that_sets_it(patient: Patient) -> None:
    look = patient.seen(STAGING_NAMESPACE="")["namespace set"]
    assert (look["state"], look["commands"]) == ("wrong", ['namespace = "default"'])
    assert "each kubeconfig decides" in look["found"]
    assert "namespace set" not in patient.seen()


def test_code_that_cannot_be_imported_is_told_and_the_rest_is_looked_at(patient: Patient) -> None:
    patient.repository.write("src/weather/datasets.py", "raise RuntimeError('\x1b[2J no')\n")
    try:
        found = patient.seen()
        assert found["datasets"]["state"] == "wrong" and "no" in found["datasets"]["found"]
        assert found["workflows"]["state"] == "ok"
    finally:
        patient.repository.git("checkout", "--quiet", ".")


def test_jobs_that_archive_are_named_with_the_setting(patient: Patient) -> None:
    look = patient.seen(STAGING_SKIP_JOBS="")["jobs"]
    assert look["state"] == "unknown"
    assert look["commands"] == ['skip-jobs = ["archive-buoy-reports", "archive-grib-files"]']


def test_what_was_staged_with_kubectl_is_told(patient: Patient) -> None:
    patient.live.kubectl("create", "cronjob", "stage-ridge-snow-v0-2-0-update", "--image=i", "--schedule=0 0 29 2 *")
    try:
        look = patient.seen()["kubectl apply"]
        assert look["state"] == "wrong" and "docs/migrating.md" in look["found"]
    finally:
        patient.live.kubectl("delete", "cronjob", "stage-ridge-snow-v0-2-0-update")


# -- Sentry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "state", "words"),
    [
        ({"alerts:read", "alerts:write", "project:read"}, "ok", "may delete them"),
        ({"alerts:read", "project:read"}, "wrong", "lacks the scope alerts:write"),
        ({"org:ci"}, "wrong", "does not allow this (403)"),
        ({"alerts:read", "alerts:write"}, "unknown", "no monitor at all"),
    ],
    ids=["all", "reads", "organization", "sees nothing"],
)
def test_what_a_token_may_do_is_told(
    patient: Patient, sentry: Sentry, scopes: set[str], state: str, words: str
) -> None:
    token = sentry.server.add_token([sentry.project], scopes)
    done = patient(**sentry.environment | {"SENTRY_AUTH_TOKEN": token})
    (look,) = [look for look in json.loads(done.stdout) if look["what"] == "Sentry"]
    assert (look["state"], words in look["found"]) == (state, True), look
    assert token not in done.stdout + done.stderr
    assert {request.method for request in sentry.server.requests} == {"GET"}


def test_without_a_token_it_is_unknown_and_nothing_is_asked(patient: Patient, sentry: Sentry) -> None:
    assert patient.states(**sentry.settings)["Sentry"] == "unknown"
    assert sentry.server.requests == []


@pytest.mark.parametrize("answer", [b"[", b"{}", b'{"auth": {"scopes": 1}}', b'{"auth": {"scopes": [1]}}', b"[]"])
def test_scopes_that_cannot_be_read_are_unknown(
    patient: Patient, sentry: Sentry, answer: bytes, hostile: Hostile
) -> None:
    sentry.check_in("a")
    sentry.server.inject(answered(200, answer), path="/api/0/?")
    sentry.server.inject(answered(200, answer), method="GET", skip=1)
    done = patient(**sentry.environment)
    (look,) = [look for look in json.loads(done.stdout) if look["what"] == "Sentry"]
    assert look["state"] == "unknown", look
    hostile.tried("Sentry's answers", done.stdout + done.stderr)


# -- hostile answers ---------------------------------------------------------------------------------------------------

SAID = "\x1b[2J\x9b1mno\rerror: forged \x1b]52;c;eA==\x07\u202e\u200b\n::error::x\n##[error]y"
ANSWERS = [SAID, "[]", '{"serverVersion": [], "clientVersion": 1}', '{"status": {"allowed": "yes"}}' * 30]
# What is not ok any more, whatever else still is: helm's version may be any text.
TOLD = {"kubectl": "rights", "git": "repository", "gh": "GitHub", "helm": "helm"}


@pytest.mark.parametrize(("answer", "code"), [*((answer, "0") for answer in ANSWERS), (SAID, "1")], ids=range(5))
@pytest.mark.parametrize("program", TOLD)
def test_what_programs_answer_does_nothing_and_is_never_ok(
    patient: Patient, program: str, answer: str, code: str, tmp_path: Path, hostile: Hostile
) -> None:
    (tmp_path / "answer").write_text(answer)
    (tmp_path / program).write_text(f"#!/bin/sh\ncat {tmp_path}/answer; cat {tmp_path}/answer >&2\nexit {code}\n")
    (tmp_path / program).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{patient.staging.environment['PATH']}"
    done = patient.staging(patient.repository.path, "doctor", PATH=path, GITHUB_ACTIONS="true")
    said = done.stdout + done.stderr
    acting = [line for line in said.split("\n") if not line.isprintable() or line.startswith(("error: f", "##["))]
    assert done.code in (0, REFUSED), said
    assert re.findall(f"^{TOLD[program]}  +(wrong|unknown)  ", said, re.MULTILINE), said
    hostile.tried("terminal text", said, changed=acting)
