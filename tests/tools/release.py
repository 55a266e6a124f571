"""What `.github/workflows/release.yml` asks of a clone before anything leaves it; the standard library is enough.

`python tests/tools/release.py notes v0.1.0` prints the release's notes, if tag, package, chart and CHANGELOG.md agree;
`python tests/tools/release.py wheel dist/*.whl` fails unless the wheel holds every file of the chart, as it is here.
"""

import argparse
import re
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "staging-cronjobs"


class UnfitError(Exception):
    """What must not be released; the message is for a person."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("notes").add_argument("tag")
    commands.add_parser("wheel").add_argument("file", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "notes":
            print(notes(options.tag))
        else:
            check_wheel(options.file)
    except UnfitError as error:
        sys.exit(f"error: {error}")
    return 0


def notes(tag: str, root: Path = ROOT) -> str:
    """What CHANGELOG.md says of the version of this tag, which package and chart must have too."""
    wrong = [f"{place} has {found}" for place, found in versions(root).items() if f"v{found}" != tag]
    if wrong:
        raise UnfitError(f"the tag is {tag}, but {', '.join(wrong)}")
    version = tag.removeprefix("v")
    sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for section in sections[1:]:
        heading, _, text = section.partition("\n")
        if re.fullmatch(rf"\[?{re.escape(version)}\]?( - \d{{4}}-\d\d-\d\d)?", heading.strip()) and text.strip():
            return text.strip()
    raise UnfitError(f"CHANGELOG.md says nothing under a heading `## {version}`, with or without its date")


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version that each place has."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {"pyproject.toml": project["version"]}
    chart = (root / CHART.relative_to(ROOT) / "Chart.yaml").read_text(encoding="utf-8")
    for field in ("version", "appVersion"):
        match = re.search(rf'^{field}: "?([^"\s]+)"?$', chart, re.MULTILINE)
        found[f"Chart.yaml's {field}"] = match[1] if match else "none"
    return found


def check_wheel(wheel: Path, chart: Path = CHART) -> None:
    """The chart of a wheel must be the chart here: what is missing from it, or differs, is named."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    here = {f"staging_cronjobs/chart/{f.relative_to(chart)}": f.read_bytes() for f in chart.rglob("*") if f.is_file()}
    if wrong := sorted(name for name, content in here.items() if inside.get(name) != content):
        raise UnfitError(f"{wheel.name} has no, or another: {', '.join(wrong)}")


if __name__ == "__main__":
    sys.exit(main())
