"""What the program costs beside the tools that it uses: ratios within one run, on a control plane of its own.

`make bench` prints a table and JSON; with `ARGS="--write"` it puts the table into docs/benchmarks.md. Commands that are
compared run in turn, and the median counts, because times differ from machine to machine and from minute to minute.
Nothing here is asserted.
"""

import argparse
import json
import os
import platform
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pykube

import many
from controlplane import binaries, cluster, ports
from docs import CHART, ROOT, environment
from far import away
from repositories import Repository, make_repository
from staging_cronjobs.model import values
from staging_cronjobs.model.staged_version import StagedVersion

DATASET, VERSION = "ridge-snow", "0.2.0"
STAGED = StagedVersion(DATASET, VERSION)
BRANCH = f"--branch {STAGED.branch}"
IMAGE = "example.registry/weather:{run}"  # another one in each run: an upgrade changes something
# How a cleanup ends after its plan, where nobody can answer; and now and then a wait of helm's, whose work is done.
EXPECTED = re.compile("cannot ask|still exists. status: Terminating")
PAGE = ROOT / "docs" / "benchmarks.md"
PART = re.compile(r"(?<=<!-- bench -->\n).*?(?=<!-- end -->)", re.DOTALL)

EMPTY = """
import typer
app = typer.Typer(rich_markup_mode=None, add_completion=False)
app.callback()(lambda: None)
@app.command()
def name(branch: str = "") -> None:
    print(branch)
app()
"""

# What the two peers do of a deploy.
PEER = """
import json, os, subprocess, sys
how, image, folder = sys.argv[1:]
sys.path.insert(0, "src")
from weather.datasets import DATASETS
dataset = next(d for d in DATASETS if d.dataset_id == "{dataset}")
objects = [r.as_kubernetes_object() for r in dataset.operational_kubernetes_resources(image)]
if how == "helm":
    text = open(f"{{folder}}/values.yaml").read().replace("{image}", image)
    command = ["helm", "upgrade", "--install", "-f", "-", *{flags!r}, "{release}", "{chart}"]
else:
    template = dataset.template_config.template_path().relative_to(os.getcwd())
    show = ["git", "show", f"origin/main:{{template}}/zarr.json"]
    main = subprocess.run(show, capture_output=True, check=True).stdout
    assert json.loads(main)["attributes"]["dataset_version"] != dataset.template_config.version
    for thing in objects:
        thing["metadata"]["name"] = f"applied-{{thing['metadata']['name']}}"
    text = json.dumps({{"apiVersion": "v1", "kind": "List", "items": objects}})
    command = ["kubectl", "apply", "-f", "-"]
subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)
"""
# Stands for the imports of a project with more dependencies than this one.
BUSY = """
import time
end = time.process_time() + {seconds}
while time.process_time() < end:
    sum(range(1000))
"""


@dataclass(frozen=True)
class Row:
    """One command of one group."""

    group: str
    command: str
    seconds: float  # the median
    least: float
    most: float
    ratio: float  # to the first command of the group
    cpu: float  # seconds that all its processes worked, the median: what a busy machine changes least
    cpu_ratio: float
    megabytes: float  # of the largest process


@dataclass(frozen=True)
class Took:
    """What one run of a command took."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    """Measure everything, then print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sizes", default="10,200", help="staged versions in the namespace: 10,200,1000,2000")
    parser.add_argument("--runs", type=int, default=7, help="of each command; one more is not counted")
    parser.add_argument("--away", type=float, default=0.05, help="seconds of a round trip to a server that is far")
    parser.add_argument("--imports", default="0,2", help="seconds of CPU that the project's imports take beside ours")
    parser.add_argument("--cleanups", type=int, default=100, help="staged versions that are cleaned up at once")
    parser.add_argument("--only", default="start,list,deploy,cleanup", help="which groups; list has the --sizes")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    groups = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="weather-") as name, cluster.running() as plane, ExitStack() as stack:
        folder = Path(name)
        bench = Bench(folder, make_repository(folder), environment(folder, plane, str(plane.bin)), options.runs)
        where = bench.places(stack, plane, options.away)
        if "start" in groups:
            bench.start()
        bench.stage()
        if "deploy" in groups:
            for seconds in map(float, options.imports.split(",")):
                for place, variables in where.items():
                    bench.deploy(place, variables, seconds)
        if "list" in groups:
            there = 1
            client = pykube.HTTPClient(pykube.KubeConfig.from_file(str(plane.kubeconfig)))
            for size in sorted(map(int, options.sizes.split(","))):
                versions = [f"9.{n}" for n in range(there, size)]
                many.write(client, "default", STAGED.release, versions)
                bench.push(versions)
                there = size
                for place, variables in where.items():
                    bench.list(f"{size} staged versions, {place}", variables)
        if "cleanup" in groups:
            bench.clean_up(options.cleanups)
    report(bench.rows, options)


def report(rows: Sequence[Row], options: argparse.Namespace) -> None:
    """The table and JSON, and where they are wanted."""
    shape = machine()
    print("; ".join(f"{k} {v}" for k, v in shape.items()))
    print(markdown(rows))
    document = json.dumps({"machine": shape, "rows": [asdict(row) for row in rows]}, indent=2)
    print(document)
    if options.json:
        options.json.write_text(f"{document}\n")
    if options.write:
        facts = (
            f"{datetime.now(UTC):%Y-%m-%d}; {'; '.join(f'{k} {v}' for k, v in shape.items())}; {options.runs} runs.\n"
        )
        PAGE.write_text(PART.sub(lambda _: f"\n{facts}\n{markdown(rows)}\n", PAGE.read_text()))


def markdown(rows: Sequence[Row]) -> str:
    """A table for each group."""
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in rows):
        lines += [f"| {group} | median | range | ratio | CPU | ratio | memory |", f"|{' --- |' * 7}"]
        for r in rows:
            if r.group == group:
                span = f"{_short(r.least)} to {_short(r.most)}"
                worked = f"{_short(r.cpu)} | {r.cpu_ratio:.2f} | {r.megabytes:.0f} MB"
                lines.append(f"| `{r.command}` | {_short(r.seconds)} | {span} | {r.ratio:.2f} | {worked} |")
        lines.append("")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Its shape, and what was measured on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {binaries.BINARIES[key].name: binaries.BINARIES[key].version for key in ("helm4", "kube-apiserver")}
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "load": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        **versions,
    }


class Bench:
    """Runs command lines in a repository, and keeps what they took."""

    def __init__(self, folder: Path, repository: Repository, environment: Mapping[str, str], runs: int) -> None:
        self.folder = folder
        self.repository = repository
        self.environment = dict(environment)
        self.runs = runs
        self.rows: list[Row] = []

    def places(self, stack: ExitStack, plane: cluster.Cluster, seconds: float) -> dict[str, dict[str, str]]:
        """Environments by place: API server and remote on this machine, and a round trip of so many seconds away."""
        git = stack.enter_context(served(self.repository.remote.parents[1]))
        api = urlsplit(plane.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"))
        assert api.port
        far_api = stack.enter_context(away(api.port, seconds))
        far_git = stack.enter_context(away(git, seconds))
        config = self.folder / "far.yaml"
        config.write_text(plane.kubeconfig.read_text().replace(f":{api.port}", f":{far_api}"))
        path = "/dynamical-demo/weather.git"
        self.repository.git("remote", "set-url", "origin", f"git://127.0.0.1:{git}{path}")
        there = {
            "KUBECONFIG": str(config),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.git://127.0.0.1:{far_git}/.insteadOf",
            "GIT_CONFIG_VALUE_0": f"git://127.0.0.1:{git}/",
        }
        return {"local": {}, f"{seconds * 1000:.0f} ms away": there}

    def start(self) -> None:
        """What it costs to start."""
        empty = self.folder / "empty.py"
        empty.write_text(EMPTY)
        python = shlex.quote(sys.executable)
        lines = {"an empty Typer program": f"{python} {empty} name", "staging name": f"staging name {BRANCH}"}
        self.compare("start", lines)
        lines = {"an empty Typer program --help": f"{python} {empty} --help", "staging --help": "staging --help"}
        self.compare("help", lines)

    def stage(self) -> None:
        """The version that is deployed again and again, and that the others are copies of."""
        self.repository.stage(DATASET, VERSION)
        image = IMAGE.format(run=0)
        self.folder.joinpath("values.yaml").write_text(
            self.run(f"staging render {BRANCH} --docker-image {image} --namespace default")[0]
        )
        self.run(f"staging deploy {BRANCH} --docker-image {image} --namespace default")

    def deploy(self, place: str, variables: Mapping[str, str], seconds: float) -> None:
        """An upgrade beside what its users would do without the program."""
        known = values.parse("bench", _yaml(self.folder / "values.yaml"))
        marks = ",".join(f"{k}={v}" for k, v in known.release_labels.items())
        flags = ["--labels", marks]
        words = {"dataset": DATASET, "release": STAGED.release, "chart": CHART, "image": IMAGE.format(run=0)}
        peer = self.folder / "peer.py"
        peer.write_text(PEER.format(flags=flags, **words))
        self.repository.write("src/weather/busy.py", BUSY.format(seconds=seconds))
        code = self.repository.path / "src/weather/__init__.py"
        code.write_text("from weather import busy\n")
        if self.repository.git("status", "--porcelain"):
            self.repository.commit("Import more")
            self.repository.push(STAGED.branch)
        python = shlex.quote(sys.executable)
        lines = {
            "import, kubectl apply": f"{python} {peer} kubectl {IMAGE} {self.folder}",
            "import, helm upgrade": f"{python} {peer} helm {IMAGE} {self.folder}",
            "staging deploy": f"staging deploy {BRANCH} --docker-image {IMAGE}",
        }
        self.compare(f"deploy, {place}, imports of {seconds:g} s more", lines, variables)

    def push(self, versions: Sequence[str]) -> None:
        """Branches of these versions, or a sweep would take them for forgotten."""
        commit = self.repository.git("rev-parse", "main")
        lines = [f"create refs/heads/{StagedVersion(DATASET, version).branch} {commit}" for version in versions]
        command = ["git", "-C", str(self.repository.remote), "update-ref", "--stdin"]
        subprocess.run(command, input="\n".join([*lines, ""]), text=True, check=True)

    def list(self, group: str, variables: Mapping[str, str]) -> None:
        """What looks at everything that is there: what runs, how it stands, what was forgotten, and what would be."""
        asked = ("helm list --max 0", "staging list", "staging status", "staging sweep")
        lines = {line: line for line in asked}
        lines["staging guard"] = f"sh -c 'cd {shlex.quote(str(self.production()))} && exec staging guard'"
        lines["staging deploy"] = f"staging deploy {BRANCH} --docker-image {IMAGE}"
        lines["staging cleanup, plan"] = f"staging cleanup {BRANCH}"
        lines["staging cleanup --all-versions, plan"] = f"staging cleanup --dataset-id {DATASET} --all-versions"
        self.compare(group, lines, variables)

    def production(self) -> Path:
        """A checkout of main, as production's workflow has it."""
        folder = self.folder / "production"
        if not folder.exists():
            self.repository.git("clone", "--quiet", str(self.repository.remote), str(folder))
        return folder

    def clean_up(self, count: int) -> None:
        """Several at once beside as many bare uninstalls; each is done once."""
        known = values.parse("bench", _yaml(self.folder / "values.yaml"))
        took: dict[str, Took] = {}
        for number, how in enumerate(("helm uninstall --wait", "staging cleanup")):
            made = [self._install(known, f"8.{number}.{n}") for n in range(count)]
            if how.startswith("helm"):
                found = [self.run(f"helm uninstall --wait --cascade foreground {staged.release}") for staged in made]
                seconds, cpu = sum(f[1].seconds for f in found), sum(f[1].cpu for f in found)
                took[f"{count} times {how}"] = Took(seconds, cpu, max(f[1].megabytes for f in found))
            else:
                named = " ".join(f"--branch {staged.branch}" for staged in made)
                took[f"{how} of {count}"] = self.run(f"staging cleanup --yes {named}")[1]
        for how, one in took.items():
            self._add("cleanup", how, [one], next(iter(took.values())))

    def _install(self, known: values.Values, version: str) -> StagedVersion:
        staged = StagedVersion(DATASET, version)
        record = known.record.model_copy(update={"version": version, "branch": staged.branch})
        jobs = {key: job.model_copy(update={"name": staged.job_name(key)}) for key, job in known.jobs.items()}
        made = known.model_copy(update={"record": record, "jobs": jobs})
        marks = ",".join(f"{k}={v}" for k, v in made.release_labels.items())
        self.run(f"helm install {staged.release} {CHART} -f - --labels {marks}", values.dump(made))
        return staged

    def compare(self, group: str, lines: Mapping[str, str], variables: Mapping[str, str] | None = None) -> None:
        """Run command lines in turn; the first run of each is not counted."""
        found: dict[str, list[Took]] = {name: [] for name in lines}
        for run in range(self.runs + 1):
            for name, line in lines.items():
                found[name].append(self.run(line.format(run=f"{time.time_ns()}-{run}"), **(variables or {}))[1])
        first = _medians(next(iter(found.values()))[1:])
        for name, runs in found.items():
            self._add(group, name, runs[1:], first)

    def _add(self, group: str, name: str, runs: Sequence[Took], first: Took) -> None:
        median, times = _medians(runs), [run.seconds for run in runs]
        ratios = median.seconds / first.seconds, median.cpu / first.cpu
        memory = max(run.megabytes for run in runs)
        facts = (median.seconds, min(times), max(times), ratios[0], median.cpu, ratios[1], memory)
        self.rows.append(Row(group, name, *facts))
        print(f"{group}: {name}: {facts[0]:.2f} s, {ratios[0]:.2f}; CPU {ratios[1]:.2f}", file=sys.stderr)

    def run(self, line: str, given: str = "", **variables: str) -> tuple[str, Took]:
        """A command's standard output, and what it took; raises when it fails."""
        with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as out:
            stdin.write(given)
            stdin.seek(0)
            started = time.perf_counter()
            process = subprocess.Popen(
                shlex.split(line),
                cwd=self.repository.path,
                env={**self.environment, **variables},
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT if given else subprocess.PIPE,
                text=True,
            )
            said = process.stderr.read() if process.stderr else ""
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            text = out.read()
        if process.returncode and not EXPECTED.search(said):
            raise RuntimeError(f"{line}: {said or text}")
        return text, Took(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _medians(runs: Sequence[Took]) -> Took:
    middle = statistics.median
    return Took(middle(r.seconds for r in runs), middle(r.cpu for r in runs), max(r.megabytes for r in runs))


@contextmanager
def served(folder: Path) -> Generator[int]:
    """The port at which git serves the repositories of a folder."""
    program = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    with ports.reserved(binaries.cache() / "ports.lock") as block:
        port = block[-1]
        options = ("--reuseaddr", "--export-all", "--listen=127.0.0.1", "--enable=receive-pack")
        command = [program / "git-daemon", *options, f"--port={port}", f"--base-path={folder}", folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        else:
            raise RuntimeError("git-daemon did not start")
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def _yaml(file: Path) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(file.read_text())


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    main()
