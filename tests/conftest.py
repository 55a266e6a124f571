"""Fixtures for all tests; nothing is built or started before a test asks for it."""

import pytest
from controlplane.fixtures import (  # noqa: F401
    cluster,
    cluster_version,
    existing_cluster,
    helm,
    helm_3,
    helm_4,
    helm_oldest,
    kube_cluster,
    kube_config,
    namespace,
    tools_path,
)
from hypothesis import settings

settings.register_profile("tests", deadline=None)  # a busy machine is no failure
settings.load_profile("tests")


def pytest_report_header(config: pytest.Config) -> str:
    if given := existing_cluster(config):
        return f"cluster: the existing one of {given}"
    return "cluster: a control plane of its own, started when the first test needs it"
