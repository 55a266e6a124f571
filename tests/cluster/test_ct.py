"""chart-testing, as those who keep charts know it: `ct lint` and `ct install` with the settings of ct.yaml."""

import os
import subprocess
import sys
from pathlib import Path

from controlplane import binaries
from live import Namespace, Staging
from rendering import CHART

ROOT = CHART.parents[1]


def ct(staging: Staging, *args: str) -> str:
    """What it says; its linters are in this Python's environment."""
    environment = {**staging.environment}
    environment["PATH"] += f"{os.pathsep}{Path(sys.executable).parent}"
    command = [binaries.path("ct"), *args, "--config", "ct.yaml", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_chart_passes_lint_and_install_with_all_of_its_examples(staging: Staging, live: Namespace) -> None:
    assert "All charts linted successfully" in ct(staging, "lint")
    said = ct(staging, "install", "--namespace", live.name)
    assert "All charts installed successfully" in said
    for file in CHART.glob("ci/*-values.yaml"):
        assert f"{file.relative_to(ROOT)}" in said
    assert live.leftovers() == []
