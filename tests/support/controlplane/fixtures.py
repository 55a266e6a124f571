"""The fixtures of tests/conftest.py: a cluster for the session, namespaces in it, and the tools that speak to it."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import getproxies

import pykube
import pytest
from pytest_helm_charts.clusters import Cluster as ConnectedCluster
from pytest_helm_charts.k8s.namespace import ensure_namespace_exists

from controlplane import binaries
from controlplane.binaries import UnavailableError
from controlplane.cluster import Cluster, guest, running
from controlplane.sharing import shared

OWN = "kwok-staging-cronjobs-"  # how the context of a control plane begins that ends with the session
# What would be at work in a namespace that stays, or be found by who looks at all of them.
LEFT = (("batch/v1", "cronjobs"), ("batch/v1", "jobs"), ("v1", "secrets"), ("v1", "configmaps"))


def existing_cluster(config: pytest.Config) -> str | None:
    """The kubeconfig of the cluster to use, if one is given."""
    return config.getoption("kubeconfig") or os.environ.get("KUBECONFIG")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this session, with jobs that run and complete: the existing one that is given, else our own.

    The workers of pytest-xdist share it.
    """
    given, place = existing_cluster(request.config), tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with ExitStack() as stack:
        with one_sentence(), shown(request.config):
            found = stack.enter_context(shared(place, lambda: guest(given) if given else running()))
        yield found


@pytest.fixture(scope="session")
def kube_config(cluster: Cluster) -> str:
    """For pytest-helm-charts."""
    return str(cluster.kubeconfig)


@pytest.fixture(scope="session")
def cluster_version(cluster: Cluster) -> str:
    """The server's version, such as v1.37.2."""
    return cluster.version()


@pytest.fixture(scope="module")
def kube_cluster(kube_cluster: ConnectedCluster, cluster: Cluster) -> Iterator[ConnectedCluster]:
    """pytest-helm-charts' own, whose kubectl() takes the program from PATH."""
    assert kube_cluster.kube_client is not None
    session = kube_cluster.kube_client.session
    # Read once: pytest changes a variable between tests, and scenarios that run beside them would stumble over that.
    session.proxies, session.trust_env = dict(getproxies()), False
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(cluster.bin), prepend=os.pathsep)
        patch.setenv("KUBECACHEDIR", cluster.environment()["KUBECACHEDIR"])
        yield kube_cluster


@pytest.fixture
def namespace(kube_cluster: ConnectedCluster) -> Iterator[str]:
    """The name of a fresh namespace; unlike pytest-helm-charts' factories this waits for nothing at the end."""
    assert kube_cluster.kube_client is not None
    with fresh_namespace(kube_cluster.kube_client) as name:
        yield name


@contextmanager
def fresh_namespace(client: pykube.HTTPClient) -> Generator[str]:
    """A namespace for the length of a block; on our own control plane, nothing of it is at work afterwards."""
    made, _ = ensure_namespace_exists(client, f"test-{secrets.token_hex(5)}")
    accounts = pykube.ServiceAccount.objects(client, namespace=made.name)
    while accounts.get_or_none(name="default") is None:  # before that, pods are refused
        time.sleep(0.01)
    yield made.name
    if not client.config.current_context.startswith(OWN):
        made.delete()
        return
    # All kinds that there are would be looked for in it, which is as much work as a small test.
    for version, kind in LEFT:
        how = {"propagationPolicy": "Background"}
        client.delete(version=version, namespace=made.name, url=kind, json=how).raise_for_status()


@pytest.fixture(scope="session")
def helm_4(request: pytest.FixtureRequest) -> Path:
    return tool("helm4", request.config)


@pytest.fixture(scope="session")
def helm_3(request: pytest.FixtureRequest) -> Path:
    return tool("helm3", request.config)


@pytest.fixture(scope="session")
def helm_oldest(request: pytest.FixtureRequest) -> Path:
    """The oldest Helm that works."""
    return tool("helm3-oldest", request.config)


@pytest.fixture(params=os.environ.get("STAGING_TEST_HELM", "helm4 helm3").split())
def helm(request: pytest.FixtureRequest) -> Path:
    """Each supported major version of Helm in turn, or those that STAGING_TEST_HELM names."""
    return tool(request.param, request.config)


@pytest.fixture(scope="session")
def tools_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Gives the PATH of a child process that is to use that helm: it, kubectl, git and the system's own programs."""

    def tools_path(helm: Path) -> str:
        folder = tmp_path_factory.mktemp("tools")
        folder.joinpath("helm").symlink_to(helm)
        folder.joinpath("kubectl").symlink_to(tool("kubectl", request.config))
        git = shutil.which("git")
        if git is None:
            pytest.fail("git is not on PATH, and these tests need it.", pytrace=False)
        return os.pathsep.join([str(folder), str(Path(git).parent), "/usr/bin", "/bin"])

    return tools_path


def tool(key: str, config: pytest.Config) -> Path:
    """One program, built when it must be."""
    with one_sentence(), shown(config):
        return binaries.path(key)


@contextmanager
def one_sentence() -> Generator[None]:
    """What is missing is an error of the test, never a skip, and no traceback explains it better."""
    try:
        yield
    except UnavailableError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@contextmanager
def shown(config: pytest.Config) -> Generator[None]:
    """Let progress lines through: the first build takes minutes."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield
