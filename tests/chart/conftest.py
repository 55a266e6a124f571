"""What the chart's tests share."""

from pathlib import Path

import pytest

from controlplane.fixtures import tool
from rendering import Reader


@pytest.fixture(scope="session")
def reader(request: pytest.FixtureRequest) -> Reader:
    """Kubernetes' own reader of manifests."""
    return Reader(tool("kubectl", request.config))


@pytest.fixture(params=["helm_oldest", "helm_3", "helm_4"])
def any_helm(request: pytest.FixtureRequest) -> Path:
    """Each supported Helm: they have schema engines of their own."""
    return request.getfixturevalue(request.param)
