"""The one `kubectl proxy` of a command: what it spares, who can reach it, and what is done without it."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from controlplane.cluster import Cluster
from faults import Gate, RefusedError, Request, Run, make_wrappers, staging_command
from live import Namespace, Staging, wait_until, with_program
from repositories import Repository
from staged import install
from staging_cronjobs.model.staged_version import StagedVersion

pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)
RIDGE = StagedVersion("ridge-snow", "0.2.0")
DEPLOY = ("deploy", "--branch", RIDGE.branch, "--docker-image", "example.registry/weather:next")
LIST = ("list", "-o", "json")
# What a stand-in for kubectl does when it is to be a proxy, before the real one begins.
LOOK = 'folder=$(dirname "${3#--unix-socket=}")\n(stat -c %a "$folder"; echo "$folder" $$) >SEEN'


def with_kubectl(staging: Staging, folder: Path, proxy: str) -> tuple[Staging, Path]:
    """The program with a kubectl that notes each start, and begins a proxy with these lines; gives the notes too."""
    calls = folder / "calls"
    script = f'echo "$1" >>{calls}\nif [ "$1" = proxy ]; then\n:\n{proxy}\nfi\nexec $REAL "$@"'
    return with_program(staging, folder, "kubectl", script), calls


def test_all_questions_of_a_command_go_through_one_proxy(
    staging: Staging, repository: Repository, tmp_path: Path
) -> None:
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    staging.run(repository.path, *DEPLOY)
    noted, calls = with_kubectl(staging, tmp_path / "bin", "")
    noted.run(repository.path, *LIST)
    assert calls.read_text().split() == ["proxy"]
    calls.unlink()
    noted.run(repository.path, *DEPLOY)
    assert sorted(calls.read_text().split()) == ["get", "proxy"]  # the first looks for a Secret by its name alone


def test_a_command_logs_in_once(staging: Staging, repository: Repository, cluster: Cluster, tmp_path: Path) -> None:
    """Where the kubeconfig names a program for that, as those of the clouds do."""
    install(staging, repository, RIDGE)
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    (named,) = config["users"]
    pem = {part: b64decode(named["user"][f"client-{part}-data"]).decode() for part in ("certificate", "key")}
    status = {"clientCertificateData": pem["certificate"], "clientKeyData": pem["key"]}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    login, logins = tmp_path / "login", tmp_path / "logins"
    (tmp_path / "answer").write_text(json.dumps(answer))
    login.write_text(f"#!/bin/sh\necho >>{logins}\ncat {tmp_path}/answer\n")
    login.chmod(0o755)
    named["user"] = {"exec": {"apiVersion": answer["apiVersion"], "command": str(login), "interactiveMode": "Never"}}
    (tmp_path / "config").write_text(json.dumps(config))
    rows = staging.run(repository.path, *LIST, KUBECONFIG=str(tmp_path / "config")).json
    assert [row["release"] for row in rows] == [RIDGE.release]
    assert logins.read_text() == "\n"


def test_nobody_else_can_reach_the_proxy_and_it_ends_with_the_command(
    staging: Staging, repository: Repository, tmp_path: Path
) -> None:
    install(staging, repository, RIDGE)
    seen = tmp_path / "seen"
    looked, _ = with_kubectl(staging, tmp_path / "bin", LOOK.replace("SEEN", str(seen)))
    looked.run(repository.path, *LIST)
    mode, folder, process = seen.read_text().split()
    assert mode == "700"
    assert not Path(folder).exists()
    wait_until(lambda: not Path("/proc", process).exists(), what="the end of the proxy")


@pytest.mark.parametrize("proxy", ["exit 1", "sleep 1000 & sleep 0.5\nkill $!\nexit 0"], ids=["no start", "no socket"])
def test_without_a_proxy_each_question_has_a_kubectl_of_its_own(
    staging: Staging, repository: Repository, tmp_path: Path, proxy: str
) -> None:
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    staging.run(repository.path, *DEPLOY)
    without, calls = with_kubectl(staging, tmp_path / "bin", proxy)
    assert without.run(repository.path, *LIST).json == staging.run(repository.path, *LIST).json
    assert sorted(calls.read_text().split()) == ["get", "get", "proxy"]
    without.run(repository.path, *DEPLOY)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_a_busy_server_refuses_is_asked_again_by_kubectl(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, status: int
) -> None:
    install(staging, repository, RIDGE)
    refused: set[str] = set()

    def before(request: Request) -> None:
        path, _, _ = request.path.partition("?")  # a proxy quotes a query otherwise
        if path not in refused:
            refused.add(path)
            raise RefusedError(status)

    with Gate(live.client, tmp_path) as gate:
        door = gate.door("busy")
        door.before = before
        run = Run(
            staging, make_wrappers(tmp_path / "wrappers"), door, repository.path, staging_command(*LIST), environment={}
        )
        done = run.end()
    assert done.code == 0, done.stderr
    assert [row["release"] for row in done.json] == [RIDGE.release]
    assert any("/secrets" in path for path in refused)
