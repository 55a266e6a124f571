"""The main job, shown: two versions of one dataset staged beside production, and taken away again.

`make demo` runs it on a control plane of its own. Every line after a `$` is a command that a person would type.
"""

import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repositories import Repository, make_repository

DATASET = "harbor-wind-forecast"
IMAGE = "example.registry/weather"
SHOW_PRODUCTION = (
    "kubectl get cronjobs -o custom-columns=NAME:.metadata.name,SCHEDULE:.spec.schedule -l !staging-cronjobs/release"
)


def main() -> None:
    """Run the demo in a temporary folder; the first command that fails ends it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weather-") as folder:
        show(make_repository(Path(folder)))
    print(f"\nDone in {time.monotonic() - started:.0f} s.")


def show(repository: Repository) -> None:
    """The story, in order."""
    title("Production: what main deploys today")
    create_production(repository)
    before = production()
    command(repository, SHOW_PRODUCTION)

    title("Two new versions, each on its branch, each one Helm release")
    stage(repository, "0.3.0")
    stage(repository, "1.0.0")
    command(repository, "helm list")
    command(repository, "staging list")

    title("Run one staged job now")
    job = f"staging-{DATASET}-v0-3-0-update"
    command(repository, f"kubectl create job --from=cronjob/{job} {job}-now")
    command(repository, f"kubectl wait --for=condition=complete --timeout=30s job/{job}-now")
    command(repository, f"kubectl get job {job}-now")

    title("A new commit on one of them")
    branch = f"stage/{DATASET}/v0.3.0"
    repository.checkout(branch)
    repository.commit("Tune the blending")
    repository.push(branch)
    command(repository, f"staging deploy --branch {branch} --docker-image {image(repository)}")

    title("Pause and resume the other one")
    target = f"--dataset-id {DATASET} --version 1.0.0"
    command(repository, f"staging pause {target}")
    command(repository, "staging list")
    command(repository, f"staging resume {target}")

    title("Clean up")
    command(repository, f"staging cleanup --branch {branch} --yes")
    command(repository, f"staging cleanup {target} --yes")
    command(repository, "helm list")

    title("Production was never touched")
    command(repository, SHOW_PRODUCTION)
    after = production()
    if before != after:
        sys.exit(f"production changed: {before} is now {after}")
    print("same objects, same specs, same generations as before")


def stage(repository: Repository, version: str) -> None:
    """Push a stage branch, then do what the workflow of that push does."""
    branch = f"stage/{DATASET}/v{version}"
    print(f"\n(git push origin {branch})")
    repository.stage(DATASET, version)
    command(repository, f"staging deploy --branch {branch} --docker-image {image(repository)}")


def image(repository: Repository) -> str:
    """The image that a workflow would have built for the commit."""
    return f"{IMAGE}:{repository.git('rev-parse', 'HEAD')[:12]}"


def create_production(repository: Repository) -> None:
    """Apply main's own jobs of the dataset, as the team's production deploy does."""
    listed = run(repository.path, ["staging", "catalogue", "--docker-image", f"{IMAGE}:main"])
    cronjobs = next(d for d in json.loads(listed) if d["dataset_id"] == DATASET)["cronjobs"]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": cronjobs})
    run(repository.path, ["kubectl", "create", "-f", "-"], manifest)
    run(repository.path, ["kubectl", "create", "secret", "generic", "sentry"])  # the jobs name it


def production() -> list[tuple[str, int, str]]:
    """Name, generation and UID of every CronJob that is not staged."""
    listed = run(Path.cwd(), ["kubectl", "get", "cronjobs", "-l", "!staging-cronjobs/release", "-o", "json"])
    found = [c["metadata"] for c in json.loads(listed)["items"]]
    return [(m["name"], m["generation"], m["uid"]) for m in found]


def title(text: str) -> None:
    """A heading between two steps."""
    print(f"\n== {text}", flush=True)


def command(repository: Repository, line: str) -> None:
    """Show a command, run it in the repository, and show what it says."""
    print(f"\n$ {line}", flush=True)
    if code := subprocess.run(shlex.split(line), cwd=repository.path, stderr=subprocess.STDOUT).returncode:
        sys.exit(f"exit code {code}")


def run(folder: Path, line: list[str], text: str = "") -> str:
    """Run a command without showing it."""
    return subprocess.run(line, cwd=folder, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
