"""Fixtures for tests that run the workflows of `staging init`."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

import acting
from acting import Hub, World, adopt, make_programs
from controlplane.cluster import Cluster
from controlplane.fixtures import fresh_namespace
from live import Namespace, Staging
from repositories import make_repository
from sentry_server import SentryServer
from staged import Sentry, install
from staging_cronjobs.model.staged_version import StagedVersion


@pytest.fixture(scope="session")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uv.lock that fits every adopted repository."""
    repository = make_repository(tmp_path_factory.mktemp("lock"))
    adopt(repository)
    return repository.path / "uv.lock"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def make_world(
    kube_cluster: ConnectedCluster,
    cluster: Cluster,
    lock: Path,
    programs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], World]]:
    """Makes worlds, each with a namespace of its own."""
    client = kube_cluster.kube_client
    assert client is not None
    environment = {name: cluster.environment()[name] for name in ("KUBECONFIG", "KUBECACHEDIR")}
    with ExitStack() as stack:

        def make() -> World:
            folder = tmp_path_factory.mktemp("world")
            live = Namespace(client, cluster, stack.enter_context(fresh_namespace(client)))
            server = stack.enter_context(SentryServer())
            project = server.add_project("weather")
            sentry = Sentry(server, project, server.add_token([project]))
            repository = make_repository(folder)
            settings = {name.lower(): value for name, value in sentry.settings.items()}
            adopt(repository, lock, namespace=live.name, timeout="60s", **settings)
            hub = Hub(folder / "hub", repository, programs, environment)
            stack.callback(hub.stop)
            return World(hub, live, sentry)

        yield make


@pytest.fixture(scope="module")
def install_by_hand(
    cluster: Cluster, helm_4: Path, tools_path: Callable[[Path], str]
) -> Callable[[World, StagedVersion], None]:
    """Makes what a deploy leaves behind, without a workflow."""

    def install_by_hand(world: World, staged: StagedVersion) -> None:
        environment = {"PATH": tools_path(helm_4), "STAGING_NAMESPACE": world.live.name}
        install(Staging({**cluster.environment(), **environment}), world.repository, staged)

    return install_by_hand


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which uv finds the package as if on an index, and of all others this repository's versions."""
    folder = tmp_path_factory.mktemp("index")
    wheels, versions = folder / "wheels", folder / "versions.txt"
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
    subprocess.run(build, cwd=acting.ROOT, check=True, capture_output=True)
    export = ("export", "--quiet", "--frozen", "--all-groups", "--no-emit-project", "--no-hashes")
    command = [acting.uv(), *export, "--output-file", str(versions)]
    subprocess.run(command, cwd=acting.ROOT, env=acting.uv_environment(), check=True, capture_output=True)
    return {"UV_FIND_LINKS": str(wheels), "UV_CONSTRAINT": str(versions)}


@pytest.fixture
def packages(index: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """uv has the variables of `index`."""
    for name, value in index.items():
        monkeypatch.setenv(name, value)
