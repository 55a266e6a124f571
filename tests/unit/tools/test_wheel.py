"""What a user installs: the wheel must hold the chart, whole, and the workflows."""

import subprocess
import sys
import zipfile
from pathlib import Path

import release
from staging_cronjobs.verbs.init import WORKFLOWS

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "staging-cronjobs"


def test_the_wheel_holds_the_package_every_file_of_the_chart_and_the_workflows(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    release.check_wheel(wheel)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"staging_cronjobs/py.typed", "staging_cronjobs/cli/app.py", "staging_cronjobs/verbs/to_set.txt"} <= names
    workflows = {f"staging_cronjobs/workflows/{Path(name).name}" for name in WORKFLOWS}
    assert {name for name in names if name.startswith("staging_cronjobs/workflows/")} == workflows
    assert not [name for name in names if name.startswith("tests/")]


def test_the_chart_has_the_version_of_the_package() -> None:
    version = f'version = "{_version()}"'
    assert version in (ROOT / "pyproject.toml").read_text()
    assert f"version: {_version()}\n" in (CHART / "Chart.yaml").read_text()


def _version() -> str:
    from staging_cronjobs import __version__

    return __version__
