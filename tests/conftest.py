"""Fixtures for all tests; nothing is built or started before a test asks for it."""

import gc
import os
import signal
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

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
from faults import Count, Matrix
from hostile import Report, hostile  # noqa: F401

HERE = Path(__file__).parent

settings.register_profile("tests", deadline=None)  # a busy machine is no failure
settings.load_profile("tests")
# A shell that runs the tests in the background has them ignore ^C, and with them the programs that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# `staging` writes more where it finds itself in a workflow: the tests are not, though one may run them.
for name in [name for name in os.environ if name.startswith("GITHUB_")]:
    del os.environ[name]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Report(), "hostile-inputs")


def pytest_report_header(config: pytest.Config) -> str:
    if given := existing_cluster(config):
        return f"cluster: the existing one of {given}"
    return "cluster: a control plane of its own, started when the first test needs it"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first, or at the end all others would wait for it."""
    folders = ("workflows", "cluster", "chart", "unit")
    items.sort(key=lambda item: (item.path.stem != "test_faults", folders.index(item.path.relative_to(HERE).parts[0])))


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays: no collection of garbage has to look through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist prints nothing: it hands its part of the fault matrix to the main process."""
    matrix = session.config.pluginmanager.get_plugin("fault-matrix")
    if matrix and hasattr(session.config, "workeroutput"):
        rows = [(*key, *astuple(count)) for key, count in matrix.counts.items()]
        session.config.workeroutput["fault-matrix"] = rows


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The main process prints the fault matrix that a worker has handed over."""
    rows = getattr(node, "workeroutput", {}).get("fault-matrix", [])
    if rows:
        matrix = Matrix()
        matrix.counts = {(kind, helm): Count(*counts) for kind, helm, *counts in rows}
        node.config.pluginmanager.register(matrix, f"fault-matrix of {node.gateway.id}")
