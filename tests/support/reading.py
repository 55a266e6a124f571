"""Workflow files as data."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"


@cache
def read(name: str) -> dict[str, Any]:
    """One workflow of this repository, by its file's name."""
    return YAML(typ="safe").load((WORKFLOWS / name).read_text())


def steps(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step with its job."""
    for job, content in workflow["jobs"].items():
        for step in content.get("steps", []):  # a job that calls a workflow has none
            yield job, step
