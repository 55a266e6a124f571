"""What the chart's tests share."""

import pytest

from controlplane.fixtures import tool
from rendering import Reader


@pytest.fixture(scope="session")
def reader(request: pytest.FixtureRequest) -> Reader:
    """Kubernetes' own reader of manifests."""
    return Reader(tool("kubectl", request.config))
