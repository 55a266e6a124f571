"""What the chart's tests share."""

import pytest

from chart.rendering import Reader
from controlplane.fixtures import tool


@pytest.fixture(scope="session")
def reader(request: pytest.FixtureRequest) -> Reader:
    """Kubernetes' own reader of manifests."""
    return Reader(tool("kubectl", request.config))
