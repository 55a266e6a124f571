"""The table of docs/compatibility.md: what each supported Helm renders for each supported Kubernetes.

Its rows are the chart's own examples, the example datasets, and the datasets of the catalogue that STAGING_CATALOGUE
names. Rows of a catalogue that is not at hand are left as they are.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from controlplane import binaries, schemas
from live import IMAGE
from rendering import CHART, render_chart
from repositories import WEATHER
from staging_cronjobs.external import user_code
from staging_cronjobs.model import settings, values
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Record

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
TABLE = re.compile(r"(?<=<!-- matrix: compatibility -->\n)(?:\|[^\n]*\n)*")
HELMS = ("helm3-oldest", "helm3", "helm4")
COLUMNS = [(helm, kubernetes) for kubernetes in schemas.VERSIONS for helm in HELMS]
SAME = "identical"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """Values to render: where they are from, what they are called, and their release."""

    source: str
    name: str
    release: str
    values: str


def examples() -> list[Example]:
    """All that is at hand."""
    given = os.environ.get("STAGING_CATALOGUE", "")
    found = [
        Example("the chart's ci/", file.stem, "staging-example", file.read_text())
        for file in sorted(CHART.glob("ci/*-values.yaml"))
    ]
    weather = settings.load(WEATHER, {})
    found += _staged("tests/support/weather", weather, user_code.in_project(weather))
    found += _staged(Path(given).name, settings.Settings(), [given]) if given else []
    return found


def _staged(source: str, chosen: settings.Settings, files: list[str]) -> Iterable[Example]:
    for dataset in user_code.read(files, chosen, IMAGE):
        if not dataset.version or not dataset.cronjobs:
            continue
        staged = StagedVersion(dataset.dataset_id, dataset.version)
        record = Record(
            repository="dynamical-demo/weather",
            dataset_id=staged.dataset_id,
            version=staged.version,
            branch=staged.branch,
            commit="1234567e8",
            image=IMAGE,
            template_path=dataset.template_path or "",
            stores=dataset.stores,
        )
        built = values.build(dataset, record, prefix=chosen.job_prefixes.get(dataset.dataset_id, ""))
        yield Example(source, f"{dataset.dataset_id} {dataset.version}", staged.release, values.dump(built))


@lru_cache
def rows() -> list[Row]:
    """A row for each example, whose cells say whether that Helm renders what the newest does, and that it is valid."""
    found, tools = examples(), binaries.paths(HELMS)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rendered = {c: list(pool.map(partial(_render, tools[c[0]], c[1]), found)) for c in COLUMNS}
    newest = rendered[COLUMNS[-1]]
    wrong = {version: complaints(version, newest) for version in schemas.VERSIONS}

    def cell(column: tuple[str, str], number: int) -> str:
        if number in wrong[column[1]]:
            return "invalid"
        return SAME if rendered[column][number] == newest[number] else "differs"

    return [(e.source, e.name, *(cell(column, number) for column in COLUMNS)) for number, e in enumerate(found)]


def complaints(kubernetes: str, manifests: Iterable[str]) -> dict[int, str]:
    """What kubeconform finds wrong with each of the manifests, by number; it fetches nothing."""
    with TemporaryDirectory() as folder:
        for number, text in enumerate(manifests):
            Path(folder, f"{number}.yaml").write_text(text)
        options = ("-strict", "-output", "json", "-schema-location", schemas.path(kubernetes))
        done = subprocess.run([binaries.path("kubeconform"), *options, folder], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return {int(Path(found["filename"]).stem): found["msg"] for found in json.loads(done.stdout)["resources"]}


def _render(helm: Path, kubernetes: str, example: Example) -> str:
    """The manifests; Helm 4 leaves a blank line before each `---` that Helm 3 takes out."""
    version = ("--kube-version", schemas.version(kubernetes))
    return re.sub(r"\n+(?=---\n|\Z)", "\n", render_chart(helm, example.values, release=example.release, more=version))


def header() -> Row:
    """The table's first line: the versions that the tests run."""
    helms = [f"Helm {_number(binaries.BINARIES[helm].version)}" for helm, _ in COLUMNS]
    versions = [f"Kubernetes {_number(schemas.version(kubernetes))}" for _, kubernetes in COLUMNS]
    return ("from", "example", *(", ".join(column) for column in zip(helms, versions, strict=True)))


def documented() -> list[Row]:
    """The page's header and its rows."""
    table = TABLE.search(PAGE.read_text())
    lines = table[0].splitlines() if table else []
    del lines[1:2]  # of dashes
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def written() -> str:
    """The page with its table as it should be."""
    new = rows()
    kept = [row for row in documented()[1:] if row[0] not in {row[0] for row in new}]
    lines = (header(), ("---",) * len(header()), *new, *kept)
    return TABLE.sub("".join(f"| {' | '.join(line)} |\n" for line in lines), PAGE.read_text())


def _number(version: str) -> str:
    return version.removeprefix("v")
