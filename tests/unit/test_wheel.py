"""What a user installs: the wheel must hold the chart, whole."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "staging-cronjobs"


def test_the_wheel_holds_the_package_and_every_file_of_the_chart(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    chart = {f"staging_cronjobs/chart/{f.relative_to(CHART)}" for f in CHART.rglob("*") if f.is_file()}
    assert chart <= names
    assert {"staging_cronjobs/py.typed", "staging_cronjobs/cli.py"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_chart_has_the_version_of_the_package() -> None:
    version = f'version = "{_version()}"'
    assert version in (ROOT / "pyproject.toml").read_text()
    assert f"version: {_version()}\n" in (CHART / "Chart.yaml").read_text()


def _version() -> str:
    from staging_cronjobs import __version__

    return __version__
