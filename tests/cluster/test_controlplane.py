"""The control plane itself: jobs run in it, and nothing of it outlives who started it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import controlplane
from controlplane import binaries, processes
from controlplane.cluster import Cluster, ControlPlane, guest, running
from controlplane.sharing import shared

TESTS = Path(controlplane.__file__).parents[1]
RUN = [sys.executable, "-m", "controlplane", "run", "--"]


def cron_job(**annotations: str) -> str:
    """An Indexed job of 38 workers that asks for what the jobs of real catalogues ask."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "150G"}}}
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"eks.amazonaws.com/compute-type": "auto", "karpenter.sh/capacity-type": "spot"},
        "containers": [{"name": "worker", "image": "i", "resources": {"requests": {"cpu": "14", "memory": "120G"}}}],
        "volumes": [
            {"name": "key", "secret": {"secretName": "not-there"}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}},
        ],
    }
    job = {
        "completions": 38,
        "parallelism": 20,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": {"metadata": {"annotations": annotations}, "spec": pod},
    }
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}
    return json.dumps({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "update"}, "spec": spec})


def start_job(cluster: Cluster, namespace: str, **annotations: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", given=cron_job(**annotations))
    cluster.kubectl("create", "-n", namespace, "job", "--from=cronjob/update", "update-1")


def status(cluster: Cluster, namespace: str) -> dict[str, Any]:
    return json.loads(cluster.kubectl("get", "-n", namespace, "job", "update-1", "--output=json"))["status"]


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.1)


def test_a_job_of_38_indexed_workers_completes(cluster: Cluster, namespace: str) -> None:
    start_job(cluster, namespace)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/update-1", "--timeout=30s")
    assert status(cluster, namespace)["succeeded"] == 38
    assert status(cluster, namespace)["completedIndexes"] == "0-37"


def test_pods_run_as_long_as_their_annotation_says(cluster: Cluster, namespace: str) -> None:
    start_job(cluster, namespace, **{"staging-cronjobs.test/run-seconds": "3"})
    wait_until(lambda: status(cluster, namespace).get("ready") == 20)
    assert not status(cluster, namespace).get("succeeded")
    wait_until(lambda: status(cluster, namespace).get("succeeded"))


def test_a_job_fails_when_its_annotation_says_so(cluster: Cluster, namespace: str) -> None:
    start_job(cluster, namespace, **{"staging-cronjobs.test/exit-code": "3"})
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Failed", "job/update-1", "--timeout=30s")


def test_the_plugins_fixtures_work_on_it(kube_cluster: Any, namespace: str, cluster_version: str) -> None:
    assert namespace in {found["metadata"]["name"] for found in kube_cluster.kubectl("get namespaces")}
    assert cluster_version.startswith("v1.")


def test_helm_is_the_version_that_was_asked_for(helm: Path, tools_path: Callable[[Path], str]) -> None:
    output = subprocess.check_output(["helm", "version", "--short"], env={"PATH": tools_path(helm)}, text=True)
    assert output.split("+")[0].strip() in {binaries.BINARIES["helm4"].version, binaries.BINARIES["helm3"].version}


def test_two_start_at_the_same_moment_side_by_side() -> None:
    commands = [[*RUN, "kubectl", "get", "nodes", "--output=name"]] * 2
    started = [subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len(set(outputs)) == 2, outputs


@pytest.mark.parametrize("started", [False, True], ids=["while it starts", "while it runs"])
def test_nothing_is_left_when_the_starter_is_killed(started: bool, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    starter = subprocess.Popen(
        [*RUN, "sh", "-c", "echo up; exec sleep 60"], cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout
    wait_until(lambda: any(programs(tmp_path)))
    if started:
        assert starter.stdout.readline() == "up\n"
        assert len(programs(tmp_path)) >= 5
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_until(lambda: not programs(tmp_path) and not list(tmp_path.iterdir()), seconds=10)
    starter.stdout.close()


def programs(folder: Path) -> list[int]:
    return list(processes.running(folder.resolve()))


@pytest.fixture(scope="module")
def own() -> Iterator[ControlPlane]:
    """One that no other module uses: what is done to it would be in their way."""
    with running() as plane:
        yield plane


def test_a_cluster_without_a_kwok_node_gets_one_and_loses_it(own: ControlPlane) -> None:
    def nodes() -> list[str]:
        return own.kubectl("get", "nodes", "--output=name").split()

    (before,) = nodes()
    own.kubectl("label", before, "type-")
    with guest(str(own.kubeconfig)):
        (new,) = set(nodes()) - {before}
        own.kubectl("label", new, "type=kwok")
        with guest(str(own.kubeconfig)):
            assert set(nodes()) == {before, new}
    assert nodes() == [before]


def test_the_api_server_starts_again_with_what_it_knew(own: ControlPlane) -> None:
    own.kubectl("create", "configmap", "known")
    own.stop_api_server(signal.SIGKILL)  # asked kindly, it takes its time
    assert not own.answers()
    own.start_api_server()
    assert own.kubectl("get", "configmap", "known", "--output=name")
    own.kubectl("create", "namespace", "after")
    # The controllers have endured it.
    wait_until(lambda: "default" in own.kubectl("get", "serviceaccounts", "--namespace", "after"), seconds=60)


def test_those_who_work_side_by_side_share_a_cluster_until_the_last_has_left(tmp_path: Path) -> None:
    started: list[Cluster] = []
    stopped: list[Cluster] = []

    @contextmanager
    def start() -> Generator[Cluster]:
        started.append(Cluster(Path(f"cluster-{len(started)}")))
        yield started[-1]
        stopped.append(started[-1])

    first, second = ExitStack(), ExitStack()
    assert [stack.enter_context(shared(tmp_path, start)) for stack in (first, second)] == started * 2
    leaving = threading.Thread(target=first.close)
    leaving.start()
    wait_until(lambda: not (tmp_path / "started").read_text())
    assert not stopped
    second.close()
    leaving.join()
    assert stopped == started
    with shared(tmp_path, start) as another:
        assert another == started[1]


def test_without_go_one_sentence_says_so(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "STAGING_TOOLS_CACHE": str(tmp_path / "cache")}
    build = [sys.executable, "-m", "controlplane", "build", "etcd"]
    done = subprocess.run(build, cwd=TESTS, env=environment, capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stderr == (
        f"error: {binaries.BINARIES['etcd']} must be built, and that needs Go 1.26.0 or newer on PATH.\n"
    )
