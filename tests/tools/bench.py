"""What the program costs beside the bare tools: ratios within one run, on a control plane of its own (`make bench`).

Times differ from machine to machine and from hour to hour; commands that are compared run in turn, and the median
counts. Nothing here is asserted.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from controlplane import cluster
from docs import CHART, environment
from repositories import Repository, make_repository
from staging_cronjobs.model import values
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.output import terminal

DATASET, VERSION = "ridge-snow", "0.2.0"
IMAGE = "example.registry/weather:1"
RELEASES = 50  # staged beside the one that is measured
RUNS = 15  # of each command that needs no cluster
CLUSTER_RUNS = 7


def main() -> None:
    """Measure everything, then print one table."""
    with tempfile.TemporaryDirectory(prefix="weather-") as name, cluster.running() as plane:
        folder = Path(name)
        repository = make_repository(folder)
        repository.stage(DATASET, VERSION)
        bench = Bench(repository, environment(folder, plane, str(plane.bin)))
        target = f"--branch stage/{DATASET}/v{VERSION}"
        python = shlex.quote(sys.executable)
        start = (f"{python} -c pass", f"{python} -c 'import typer'", "staging --help", f"staging name {target}")
        rows = bench.compare(start, RUNS)
        bench.stage_many(folder / "values.yaml")
        rows += bench.compare(("helm list --max 0", "staging list"), CLUSTER_RUNS)
        upgrade = f"helm upgrade --install {StagedVersion(DATASET, VERSION).release} {CHART} -f {folder}/values.yaml"
        upgrade += " --rollback-on-failure --server-side=false"
        deploy = f"staging deploy {target} --docker-image {IMAGE}"
        rows += bench.compare((upgrade, deploy), CLUSTER_RUNS)
    print(f"{os.cpu_count()} cores; medians; each group of commands against its first; {RELEASES + 1} staged releases")
    terminal.table(("COMMAND", "TIME", "RATIO"), rows)


class Bench:
    """Runs command lines in a repository."""

    def __init__(self, repository: Repository, environment: Mapping[str, str]) -> None:
        self.repository = repository
        self.environment = dict(environment)

    def compare(self, lines: tuple[str, ...], runs: int) -> list[tuple[str, str, str]]:
        """Rows of command, median time, and the ratio to the first command's; one run of each is not counted."""
        times: dict[str, list[float]] = {line: [] for line in lines}
        for _ in range(runs + 1):
            for line in lines:
                started = time.perf_counter()
                self.run(line)
                times[line].append(time.perf_counter() - started)
        medians = {line: statistics.median(taken[1:]) for line, taken in times.items()}
        first = medians[lines[0]]
        return [(_short(line), f"{median * 1000:.0f} ms", f"{median / first:.1f}") for line, median in medians.items()]

    def stage_many(self, file: Path) -> None:
        """Releases of other versions, made by hand of one version's values; `file` keeps that one's."""
        target = f"--branch stage/{DATASET}/v{VERSION}"
        file.write_text(self.run(f"staging render {target} --docker-image {IMAGE}"))
        self.run(f"staging deploy {target} --docker-image {IMAGE}")
        known = values.parse("bench", _yaml(file))
        for number in range(RELEASES):
            staged = StagedVersion(DATASET, f"9.{number}")
            record = known.record.model_copy(update={"version": staged.version, "branch": staged.branch})
            jobs = {key: job.model_copy(update={"name": staged.job_name(key)}) for key, job in known.jobs.items()}
            text = values.dump(known.model_copy(update={"record": record, "jobs": jobs}))
            self.run(f"helm install {staged.release} {CHART} -f -", text)

    def run(self, line: str, given: str = "") -> str:
        """A command's standard output; raises when it fails."""
        done = subprocess.run(
            shlex.split(line),
            cwd=self.repository.path,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{line}: {done.stderr or done.stdout}")
        return done.stdout


def _yaml(file: Path) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(file.read_text())


def _short(line: str) -> str:
    program, *rest = shlex.split(line)
    return shlex.join([Path(program).name.removesuffix(".exe"), *(rest[:2] if rest[0] == "-c" else rest[:1])])


if __name__ == "__main__":
    main()
