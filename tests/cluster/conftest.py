"""Fixtures for tests on the real control plane; whatever uses `staging` runs with each supported major of Helm.

For one major only: `@pytest.mark.parametrize("helm", ["helm4"], indirect=True)`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster

from controlplane.cluster import Cluster
from live import Namespace, Production, Staging, cron_jobs_of, outside_environment
from repositories import Repository, make_repository
from sentry_server import SentryServer
from staged import Sentry


@pytest.fixture
def live(kube_cluster: ConnectedCluster, cluster: Cluster, namespace: str) -> Namespace:
    """The test's own fresh namespace, and what is in it."""
    assert kube_cluster.kube_client is not None
    return Namespace(kube_cluster.kube_client, cluster, namespace)


@pytest.fixture
def staging(cluster: Cluster, namespace: str, helm: Path, tools_path: Callable[[Path], str], tmp_path: Path) -> Staging:
    """The program itself, in the test's own namespace: `staging(folder, *args)`, or `staging.run` to insist on a code.

    It has the tools it needs on PATH and an empty home, and none of the machine's settings.
    """
    home = tmp_path / "home"
    home.mkdir()
    cluster_environment = {name: cluster.environment()[name] for name in ("KUBECONFIG", "KUBECACHEDIR")}
    own = {"PATH": tools_path(helm), "STAGING_NAMESPACE": namespace}
    return Staging({**outside_environment(home), **cluster_environment, **own})


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The example datasets as a git repository with a remote, on main."""
    return make_repository(tmp_path)


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
