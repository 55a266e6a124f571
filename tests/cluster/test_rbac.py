"""docs/rbac.yaml: the whole cycle runs with exactly these rights, and each of them is missed by somebody."""

import copy
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from live import IMAGE, Done, Namespace, Staging, wait_until
from repositories import Repository
from staged import CHART, Place, install, names, push
from staging_cronjobs.model.staged_version import StagedVersion

MANIFEST = Path(__file__).parents[2] / "docs" / "rbac.yaml"
PLACEHOLDER = "namespace: weather"
CI, OPERATOR = "staging-ci", "staging-operator"
DATASET = "ridge-snow"
REFUSED, OUTSIDE, UNFINISHED = 3, 4, 5
GROUP = "rbac.authorization.k8s.io"
GROUPS = {"jobs": "batch", "cronjobs": "batch"}  # all else is in the core group

Rules = list[dict[str, Any]]
Right = tuple[str, str, str]  # role, resource, verb


def manifest() -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(MANIFEST.read_text()))


def rules() -> dict[str, Rules]:
    """The rules of each role."""
    return {thing["metadata"]["name"]: thing["rules"] for thing in manifest() if thing["kind"] == "Role"}


RIGHTS: list[Right] = [
    (role, resource, verb)
    for role, found in rules().items()
    for rule in found
    for resource in rule["resources"]
    for verb in rule["verbs"]
]


def as_account(staging: Staging, live: Namespace, account: str, folder: Path) -> Staging:
    """The program with a kubeconfig that holds a token of this ServiceAccount and nothing else."""
    config = json.loads(live.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": live.kubectl("create", "token", account).strip()}
    file = folder / f"{account}.kubeconfig"
    file.write_text(json.dumps(config))
    return Staging({**staging.environment, "KUBECONFIG": str(file)})


# The whole cycle


@pytest.fixture
def accounts(staging: Staging, live: Namespace, tmp_path: Path) -> dict[str, Staging]:
    """The program as each account of the manifest."""
    text = MANIFEST.read_text()
    live.cluster.kubectl("apply", "-f", "-", given=text.replace(PLACEHOLDER, f"namespace: {live.name}"))
    return {account: as_account(staging, live, account, tmp_path) for account in rules()}


def test_the_whole_cycle_with_exactly_these_rights(
    accounts: Mapping[str, Staging], repository: Repository, live: Namespace
) -> None:
    ci, operator = accounts[CI], accounts[OPERATOR]
    staged = StagedVersion("glacier-ice-forecast-5-day", "0.3.0")
    target = ("--dataset-id", staged.dataset_id, "--version", staged.version)
    deploy = ("deploy", *target, "--docker-image", IMAGE)
    repository.stage(staged.dataset_id, staged.version)
    # Whether an empty namespace exists is not for this account to ask.
    assert operator.run(repository.path, "list").stdout.startswith("No staged versions in ")
    operator.run(repository.path, "sweep")
    ci.run(repository.path, *deploy)
    assert [row["release"] for row in operator.run(repository.path, "list", "-o", "json").json] == [staged.release]
    operator.run(repository.path, "status", "--check", *target)
    operator.run(repository.path, "pause", *target)
    operator.run(repository.path, "resume", *target)
    ci.run(repository.path, *deploy, "--skip-job", "archive-grib-files")
    assert live.names("cronjobs") == names(staged)
    operator.run(repository.path, "sweep", "--grace", "0s")
    operator.run(repository.path, "run", *target, "--key", "update")
    wait_until(lambda: live.names("pods"))
    operator.run(repository.path, "cleanup", *target, "--yes")
    assert live.leftovers() == []
    assert repository.remote_head(staged.branch) is None


# One right less


@dataclass(frozen=True)
class World:
    """A namespace and a repository for all cases; each has a version and an account of its own."""

    admin: Staging
    live: Namespace
    repository: Repository
    dataset: dict[str, Any]  # of the catalogue

    def version(self, right: Right) -> StagedVersion:
        """A version that no other case has."""
        return StagedVersion(DATASET, f"1.{RIGHTS.index(right)}.0")

    def deploy(self, staging: Staging, staged: StagedVersion, jobs: int = 2, **environment: str) -> Done:
        """Deploy so many of the dataset's jobs, from a catalogue on standard input."""
        self.repository.bump(DATASET, staged.version)  # every branch has the same commit
        store = {"primary_url": f"s3://weather-data/{DATASET}/v{staged.version}.icechunk", "replica_urls": []}
        entry = self.dataset | store | {"version": staged.version, "cronjobs": self.dataset["cronjobs"][:jobs]}
        args = ("deploy", "--branch", staged.branch, "--docker-image", IMAGE, "--datasets", "-", "--allow-dirty")
        return staging(self.repository.path, *args, given=json.dumps([entry]), **environment)

    def account(self, right: Right, folder: Path) -> Staging:
        """The program as an account with all rights of a role but this one."""
        role, resource, verb = right
        name = f"{role}-{resource}-{verb}".replace("/", "-")
        less = [
            {**rule, "verbs": [v for v in rule["verbs"] if resource not in rule["resources"] or v != verb]}
            for rule in rules()[role]
        ]
        made = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Role",
                "metadata": {"name": name},
                "rules": [r for r in less if r["verbs"]],
            },
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.live.name}],
            },
        ]
        self.live.kubectl("create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        return as_account(self.admin, self.live, name, folder)


@pytest.fixture(scope="module")
def world(place: Place) -> World:
    entries = place.staging.catalogue(place.repository.path)
    (dataset,) = [entry for entry in entries if entry["dataset_id"] == DATASET]
    return World(place.staging, place.live, place.repository, dataset)


# Which command, or which deploy, misses which right, and its exit code. GONE: the branch is deleted while Helm works.
# FULL: there are as many revisions as Helm keeps, so it deletes the oldest, and reads that one before.
INSTALL, AGAIN, GONE, FULL = "installs", "upgrades and drops a job", "takes away what it made", "upgrades once more"
CASES: dict[Right, tuple[str, int]] = {
    (CI, "secrets", "list"): (INSTALL, OUTSIDE),
    (CI, "secrets", "create"): (INSTALL, OUTSIDE),
    (CI, "secrets", "update"): (INSTALL, UNFINISHED),
    (CI, "secrets", "get"): (FULL, OUTSIDE),
    (CI, "secrets", "delete"): (GONE, UNFINISHED),
    (CI, "cronjobs", "get"): (INSTALL, OUTSIDE),
    (CI, "cronjobs", "create"): (INSTALL, OUTSIDE),
    (CI, "cronjobs", "update"): (AGAIN, OUTSIDE),
    (CI, "cronjobs", "delete"): (AGAIN, OUTSIDE),
    (CI, "cronjobs", "list"): (INSTALL, OUTSIDE),
    (CI, "jobs", "list"): (GONE, UNFINISHED),
    (CI, "pods", "list"): (GONE, UNFINISHED),
    (OPERATOR, "secrets", "list"): ("list", OUTSIDE),
    (OPERATOR, "secrets", "create"): ("pause", OUTSIDE),
    (OPERATOR, "secrets", "update"): ("pause", UNFINISHED),
    (OPERATOR, "secrets", "get"): ("pause", OUTSIDE),
    (OPERATOR, "secrets", "delete"): ("cleanup", UNFINISHED),
    (OPERATOR, "cronjobs", "list"): ("sweep", OUTSIDE),
    (OPERATOR, "cronjobs", "get"): ("cleanup", OUTSIDE),
    (OPERATOR, "cronjobs", "update"): ("pause", UNFINISHED),
    (OPERATOR, "cronjobs", "delete"): ("cleanup", UNFINISHED),
    (OPERATOR, "jobs", "list"): ("cleanup", OUTSIDE),
    (OPERATOR, "jobs", "create"): ("run", OUTSIDE),
    (OPERATOR, "jobs", "delete"): ("pause --stop-running", UNFINISHED),
    (OPERATOR, "pods", "list"): ("cleanup", UNFINISHED),
    (OPERATOR, "pods", "get"): ("logs", OUTSIDE),
    (OPERATOR, "pods/log", "get"): ("logs", OUTSIDE),
}
MOST = 10  # revisions that Helm keeps (its --history-max)
OPTIONAL = [(CI, kind, "get") for kind in ("configmaps", "persistentvolumeclaims", "serviceaccounts")]
WORDS = {(CI, "secrets", "update"): "lack the right to update secrets"}  # Helm has none of Kubernetes' own


def test_every_right_of_the_manifest_is_missed_by_some_command() -> None:
    assert sorted([*CASES, *OPTIONAL]) == sorted(RIGHTS)
    assert all(
        rule["apiGroups"] == [GROUPS.get(r, "")]
        for found in rules().values()
        for rule in found
        for r in rule["resources"]
    )


@pytest.mark.parametrize("right", [right for right in CASES if right[0] == CI], ids="-".join)
def test_a_deploy_without_one_right_names_it(world: World, right: Right, tmp_path: Path) -> None:
    ci, (moment, code) = world.account(right, tmp_path), CASES[right]
    staged = world.version(right)
    push(world.repository, staged)
    if moment in (AGAIN, FULL):
        install(world.admin, world.repository, staged)
    if moment == FULL:
        fill(world, staged)
    jobs = 1 if moment == AGAIN else 2
    during = deleted_meanwhile(world, staged, tmp_path / "deleting") if moment == GONE else {}
    check(world.deploy(ci, staged, jobs, **during), right, code)


def test_a_deploy_without_the_optional_rights_says_what_it_does_not_know(world: World, tmp_path: Path) -> None:
    ci, staged = world.account(OPTIONAL[0], tmp_path), world.version(OPTIONAL[0])  # the others are in the same rule
    push(world.repository, staged)
    dataset = copy.deepcopy(world.dataset)
    pod = dataset["cronjobs"][0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod |= {"serviceAccountName": "a", "priorityClassName": "b"}
    volumes = [{"configMap": {"name": "c"}}, {"persistentVolumeClaim": {"claimName": "d"}}]
    pod["volumes"] = [*pod["volumes"], *({"name": f"v-{index}", **v} for index, v in enumerate(volumes))]
    done = replace(world, dataset=dataset).deploy(ci, staged, 1)
    assert done.code == 0, done.stderr
    kinds = "configmaps, persistentvolumeclaims, priorityclasses, serviceaccounts"
    unknown = f"warning: cannot check whether the {kinds} that jobs refer to exist: the account may not get them"
    assert unknown in done.stderr
    assert "warning: Secret sentry is not in namespace " in done.stderr


def test_the_guard_of_productions_workflow_works_as_the_operator_and_names_what_it_lacks(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path
) -> None:
    own, staged = World(staging, live, repository, {}), StagedVersion(DATASET, "0.2.0")
    install(staging, repository, staged, seconds=3600)
    staging.run(repository.path, "run", "--branch", staged.branch, "--key", "update")
    repository.bump(DATASET, staged.version)
    guard = ("guard", "--pause", "--wait", "1s", "--stop")
    for verb, kind, said in (("update", "cronjobs", "is not paused: "), ("delete", "jobs", "may still run. ")):
        done = own.account((OPERATOR, kind, verb), tmp_path).run(repository.path, *guard, code=UNFINISHED)
        assert said in done.stderr and "forbidden" in done.stderr
        suspended = {live.get("cronjobs", name)["spec"]["suspend"] for name in names(staged)}
        assert suspended == {kind == "jobs"}
    own.account((OPERATOR, "jobs", "create"), tmp_path).run(repository.path, *guard)
    assert not live.names("jobs")


@pytest.mark.parametrize("right", [right for right in CASES if right[0] == OPERATOR], ids="-".join)
def test_an_operators_command_without_one_right_names_it(world: World, right: Right, tmp_path: Path) -> None:
    operator, (command, code) = world.account(right, tmp_path), CASES[right]
    staged = world.version(right)
    push(world.repository, staged)
    install(world.admin, world.repository, staged, seconds=3600 if "stop" in command else 0)
    if right[1:] == ("secrets", "get"):
        fill(world, staged)
    args = {
        "list": (),
        "sweep": (),
        "pause": ("--branch", staged.branch),
        "pause --stop-running": ("--branch", staged.branch),
        "run": ("--branch", staged.branch, "--key", "update"),
        "logs": ("--branch", staged.branch),
        "cleanup": ("--branch", staged.branch, "--yes"),
    }
    if command in ("logs", "pause --stop-running"):
        world.admin.run(world.repository.path, "run", *args["run"])
        wait_until(lambda: world.live.names("pods", f"staging-cronjobs/release={staged.release}"))
    if right[1] in ("jobs", "pods") and right[2] == "list":
        check_status(operator, world, staged, right[1])
    check(operator(world.repository.path, *command.split(), *args[command]), right, code)


def fill(world: World, staged: StagedVersion) -> None:
    """Upgrade until there are as many revisions as Helm keeps."""
    for _ in range(MOST - 1):
        world.admin.helm("upgrade", staged.release, str(CHART), "--reuse-values")


def check_status(operator: Staging, world: World, staged: StagedVersion, kind: str) -> None:
    """What may not be listed is unknown, and so it is wrong."""
    found = operator.run(world.repository.path, "status", "-o", "json", staged.branch).json
    (problem,) = found["unknown"]
    assert f'cannot list resource "{kind}"' in problem["text"]
    assert found["versions"][0]["jobs"][0]["known"] is (kind == "pods")
    operator.run(world.repository.path, "status", "--check", staged.branch, code=REFUSED)


def check(done: Done, right: Right, code: int) -> None:
    """It ended with this code and one sentence that names the right."""
    _, resource, verb = right
    assert done.code == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert WORDS.get(right, f'cannot {verb} resource "{resource}"') in last


def deleted_meanwhile(world: World, staged: StagedVersion, folder: Path) -> dict[str, str]:
    """A PATH whose `helm upgrade` ends with somebody else's deletion of the branch."""
    search = world.admin.environment["PATH"]
    folder.mkdir()
    helm = folder / "helm"
    helm.write_text(
        f'#!/bin/sh\n{shutil.which("helm", path=search)} "$@" || exit\n'
        f'[ "$1" != upgrade ] || git --git-dir {world.repository.remote} update-ref -d refs/heads/{staged.branch}\n'
    )
    helm.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{search}"}
