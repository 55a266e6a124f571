"""Fixtures for tests on the real control plane; whatever uses `staging` runs with each supported major of Helm.

For one major only: `@pytest.mark.parametrize("helm", ["helm4"], indirect=True)`.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

from controlplane.cluster import Cluster
from controlplane.fixtures import fresh_namespace
from cronjob_specs import Specs
from live import Namespace, Production, Staging, cron_jobs_of
from repositories import Repository, make_repository
from sentry_server import SentryServer
from staged import Place, Sentry


@pytest.fixture
def live(kube_cluster: ConnectedCluster, cluster: Cluster, namespace: str) -> Namespace:
    """The test's own fresh namespace, and what is in it."""
    assert kube_cluster.kube_client is not None
    return Namespace(kube_cluster.kube_client, cluster, namespace)


@pytest.fixture(scope="session")
def specs(cluster: Cluster) -> Specs:
    """What can be made by the API server's own schema."""
    document = json.loads(cluster.kubectl("get", "--raw", "/openapi/v3/apis/batch/v1"))
    return Specs(document["components"]["schemas"])


@pytest.fixture
def staging(cluster: Cluster, namespace: str, helm: Path, tools_path: Callable[[Path], str], tmp_path: Path) -> Staging:
    """The program itself, in the test's own namespace: `staging(folder, *args)`, or `staging.run` to insist on a code.

    It has the tools it needs on PATH and an empty home, and none of the machine's settings.
    """
    home = tmp_path / "home"
    home.mkdir()
    return Staging.within(cluster, namespace, tools_path(helm), home)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The example datasets as a git repository with a remote, on main."""
    return make_repository(tmp_path)


@pytest.fixture(scope="module")
def place(
    kube_cluster: ConnectedCluster,
    cluster: Cluster,
    helm_4: Path,
    tools_path: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """A namespace, a repository and the program for a whole module, whose tests must not be in each other's way."""
    folder, client = tmp_path_factory.mktemp("place"), kube_cluster.kube_client
    assert client is not None
    with fresh_namespace(client) as name:
        staging = Staging.within(cluster, name, tools_path(helm_4), folder)
        yield Place(staging, Namespace(client, cluster, name), make_repository(folder))


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    """A Sentry of the test's own; `staging` knows it with `**sentry.environment`."""
    with SentryServer() as server:
        project = server.add_project("weather")
        yield Sentry(server, project, server.add_token([project]))


@pytest.fixture
def production(live: Namespace) -> Iterator[Production]:
    """Creates CronJobs that are not ours, `production(cron_jobs)`; when the test ends they must be as they were."""
    made = Production(live)
    yield made
    assert not made.changes()


@pytest.fixture
def weather_in_production(production: Production, staging: Staging, repository: Repository) -> Production:
    """The CronJobs of all example datasets, as main has them, run in the namespace already."""
    production(cron_jobs_of(staging.catalogue(repository.path)))
    return production
