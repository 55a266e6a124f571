"""Cleanup of several staged versions side by side: each in a process of its own, so that one cannot stop another."""

import sys
from collections.abc import Callable, Sequence

from . import actions, overview, shell
from . import cluster as clusters
from .errors import Refused, Unfinished, Usage
from .settings import Settings
from .staged_version import StagedVersion

AT_ONCE = 4


def targets(
    settings: Settings, branches: Sequence[str], dataset_id: str, version: str, all_versions: bool
) -> list[StagedVersion]:
    """The staged versions that the options name. Raises `Usage`, or `Refused` when nothing of the dataset is staged."""
    if not all_versions:
        return [StagedVersion.from_branch(branch) for branch in dict.fromkeys(branches)]
    if not dataset_id or version or branches:
        raise Usage("--all-versions goes with --dataset-id alone")
    cluster = clusters.connect(settings)
    found = [row["version"] for row in overview.rows(cluster) if row["dataset_id"] == dataset_id]
    if not found:
        raise Refused(f"no version of {dataset_id} is staged in {cluster}: nothing was touched")
    return [StagedVersion(dataset_id, v) for v in found]


def cleanup(targets: Sequence[StagedVersion], flags: Sequence[str], token: str, say: Callable[[str], None]) -> None:
    """Clean up all of them. Raises `Unfinished` that names how many are not done."""
    program = (sys.executable, "-m", "staging_cronjobs.cli", "cleanup", "--yes", *flags)
    commands = [(*program, "--branch", target.branch) for target in targets]
    # The children ask Sentry themselves: the token goes by environment, never by command line. Annotations are ours.
    secret = {"GITHUB_ACTIONS": "", **({"SENTRY_AUTH_TOKEN": token} if token else {})}
    failed = 0
    for target, result in zip(targets, shell.run_all(commands, at_once=AT_ONCE, env=secret), strict=True):
        failed += result.code != 0
        last = (result.stderr.strip().splitlines() or [""])[-1].removeprefix("error: ")
        say(f"{target.branch}: {f'exit code {result.code}: {last}' if result.code else 'done'}")
        if result.stdout:
            print(actions.plain(result.stdout), end="")
    if failed:
        raise Unfinished(
            f"{failed} of {len(targets)} staged versions are not cleaned up: see above, and run this again"
        )
