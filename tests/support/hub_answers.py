"""What GitHub's API says of a repository that is set up as docs/adopting.md says, for the stand-in of `gh`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = ("DOCKER_REPOSITORY", "AWS_ROLE_TO_ASSUME", "AWS_REGION", "EKS_CLUSTER_NAME", "DEPOT_PROJECT")
REPOSITORY = "repos/dynamical-demo/weather"
RULES = f"{REPOSITORY}/rules/branches/stage%2Fdoctor%2Fv0"


def environment_path(name: str) -> str:
    return f"{REPOSITORY}/environments/{name}"


def all_set(environment: str) -> dict[str, Any]:
    """The answers by their paths."""
    path = environment_path(environment)
    policies = [{"id": 1, "name": "stage/*/*", "type": "branch"}, {"id": 2, "name": "main", "type": "branch"}]
    return {
        REPOSITORY: {"full_name": "dynamical-demo/weather", "default_branch": "main"},
        f"{REPOSITORY}/actions/variables": {"total_count": 0, "variables": []},
        f"{REPOSITORY}/actions/secrets": {"total_count": 0, "secrets": []},
        path: {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}},
        f"{path}/deployment-branch-policies": {"total_count": 2, "branch_policies": policies},
        f"{path}/variables": {"total_count": 2, "variables": [{"name": name, "value": "x"} for name in NAMES[:2]]},
        f"{path}/secrets": {"total_count": 3, "secrets": [{"name": name} for name in NAMES[2:]]},
        RULES: [{"type": "creation", "ruleset_id": 1}, {"type": "update", "ruleset_id": 1}],
    }


def write(state: Path, answers: Mapping[str, Any]) -> None:
    """Let the stand-in give these answers: text as it is, all else as JSON."""
    folder = state / "answers"
    folder.mkdir(parents=True, exist_ok=True)
    for path, answer in answers.items():
        file = folder / path.replace("/", "_")
        file.write_text(answer if isinstance(answer, str) else json.dumps(answer))
