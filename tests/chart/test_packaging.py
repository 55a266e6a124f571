"""The chart as a product: what is packaged, that it is small and stands alone, and what its users read."""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import docs
from rendering import CHART, RenderError, render_chart
from staging_cronjobs.model import values
from staging_cronjobs.model.staged_version import StagedVersion

RENDERED = {"Chart.yaml", "values.yaml", "values.schema.json"}
CI = sorted(CHART.glob("ci/*-values.yaml"))
CI_VALUES = pytest.mark.parametrize("file", CI, ids=lambda file: file.stem)
# What would run, ask the cluster or a name server, or take values for templates.
FORBIDDEN = re.compile(
    r"\b(tpl|lookup|getHostByName)\b|helm\.sh/hook|customresourcedefinition|https?://", re.IGNORECASE
)
KUBERNETES = ("1.29.0", "v1.29.4-eks-036c24b", "v1.30.0-gke.1+x")


def read(file: Path) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(file.read_text())


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every value of values.yaml, by its path."""
    for name, value in values.items():
        yield from leaves(value, f"{prefix}{name}.") if value and isinstance(value, dict) else [f"{prefix}{name}"]


@pytest.fixture(scope="module")
def package(helm_4: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    subprocess.run([helm_4, "package", CHART, "--destination", folder], check=True, capture_output=True)
    (found,) = folder.glob("*.tgz")
    return found


def test_the_package_holds_what_rendering_needs_and_the_readme(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = {name.removeprefix("staging-cronjobs/") for name in archive.getnames()}
    templates = {f"templates/{file.name}" for file in CHART.glob("templates/*")}
    assert names == RENDERED | templates | {"README.md", ".helmignore"}


def test_the_package_is_small(package: Path) -> None:
    assert package.stat().st_size < 20_000


def test_the_chart_stands_alone() -> None:
    """No hooks, CRDs, plugins or dependencies; no `tpl`; nothing that reaches out of the values and the chart."""
    found = {file.relative_to(CHART).parts[0] for file in CHART.rglob("*")}
    assert found <= RENDERED | {"templates", "ci", "README.md", "README.md.gotmpl", ".helmignore"}
    assert "dependencies" not in read(CHART / "Chart.yaml")
    for file in CHART.glob("templates/*"):
        assert FORBIDDEN.findall(file.read_text()) == [], file.name
    references = re.findall(r'"\$ref": "([^"]*)"', (CHART / "values.schema.json").read_text())
    assert [reference for reference in references if not reference.startswith("#/")] == []


def test_the_floor_is_kubernetes_1_29_whatever_a_provider_adds(helm_oldest: Path, helm_3: Path, helm_4: Path) -> None:
    text = (CHART / "ci" / "minimal-values.yaml").read_text()
    for helm in (helm_oldest, helm_3, helm_4):
        for version in KUBERNETES:
            assert "kind: CronJob" in render_chart(helm, text, more=("--kube-version", version))
        with pytest.raises(RenderError) as caught:
            render_chart(helm, text, more=("--kube-version", "1.28.15"))
        assert "chart requires kubeVersion: >=1.29.0-0" in caught.value.stderr


def test_the_annotations_are_those_of_artifact_hub() -> None:
    annotations = {
        name.removeprefix("artifacthub.io/"): value for name, value in read(CHART / "Chart.yaml")["annotations"].items()
    }
    assert annotations.keys() == {"category", "license", "operator", "prerelease", "changes"}
    assert f'license = "{annotations["license"]}"' in (docs.ROOT / "pyproject.toml").read_text()
    assert annotations["category"] == "integration-delivery"  # one of its fixed list
    changes = YAML(typ="safe", pure=True).load(annotations["changes"])
    assert {change["kind"] for change in changes} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert all(change["description"] for change in changes)


def test_the_readme_is_what_helm_docs_makes() -> None:
    assert docs.CHART_README.read_text() == docs.chart_readme(), "run `make docs`"


def test_the_readme_explains_every_value_and_every_field_of_a_job() -> None:
    rows = [row.strip("|").split(" | ") for row in docs.CHART_README.read_text().splitlines() if row.startswith("| ")]
    explained = {row[0].strip() for row in rows if row[-1].strip()}
    job = json.loads((CHART / "values.schema.json").read_text())["$defs"]["Job"]
    assert {*leaves(read(CHART / "values.yaml")), *job["properties"]} <= explained


@CI_VALUES
def test_the_examples_keep_the_contract(file: Path) -> None:
    found = values.parse(file.name, read(file))
    staged = StagedVersion(found.record.dataset_id, found.record.version)
    assert found.record.branch == staged.branch
    assert {key: job.name for key, job in found.jobs.items()} == {
        key: staged.job_name(key, values.indexed_workers(job.spec)) for key, job in found.jobs.items()
    }


def test_the_examples_go_from_the_least_to_everything() -> None:
    minimal, typical, everything = (
        read(CHART / "ci" / f"{n}-values.yaml") for n in ("minimal", "typical", "everything")
    )
    schema = json.loads((CHART / "values.schema.json").read_text())
    record, job = (schema["$defs"][name] for name in ("Record", "Job"))
    assert minimal.keys() == set(schema["required"])
    assert minimal["jobs"]["update"].keys() == set(job["required"])
    assert typical["jobs"].keys() == {"update", "validate"}
    assert everything.keys() == schema["properties"].keys() - {"global"}
    assert everything["record"].keys() == record["properties"].keys()
    assert everything["jobs"]["update"].keys() == job["properties"].keys()
    assert len(CI) == 3
