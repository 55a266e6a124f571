"""The user's own code: dataset objects become the catalogue, in a child process or, mounted, in this one."""

import json
import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Outside, Refused, Usage
from ..model.settings import Settings
from . import shell, waits

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from ..model.catalogue import Dataset

LOAD_TIMEOUT = 300  # seconds that importing the user's datasets may take
LARGEST = 100_000_000  # bytes of a catalogue; a real one of 50 datasets has under 1 MB
OLDEST_PYTHON = (3, 7)  # that runs user_code_loader.py


@waits.on("the datasets")
def read(sources: Iterable[str], settings: Settings, image: str, only: str = "") -> "list[Dataset]":
    """The catalogue of all `sources`: each `package.module:ATTRIBUTE`, a JSON file, or `-` for standard input.

    With `only`, jobs are asked of that dataset alone, so that no other dataset's code can be in the way. Raises `Usage`
    for no source, `Refused` for what is not a catalogue, `Outside` when user code fails.
    """
    sources = list(sources)
    if not sources:
        raise Usage(
            "no datasets are named. Pass --datasets package.module:ATTRIBUTE, or set datasets in "
            "[tool.staging-cronjobs]"
        )
    objects = [s for s in sources if _is_object(s)]
    loaded = _load(objects, settings, image, only) if objects else []
    datasets = [d for s in sources if s not in objects for d in _from_text(s, _text(s))] + loaded
    from ..model import catalogue  # late: what loads the datasets takes longest, and starts before this is imported

    return catalogue.unique(datasets)


def from_objects(objects: Iterable[object], image: str, only: str) -> "list[Dataset]":
    """The catalogue of objects that are at hand already, as in a user's own program."""
    from ..model import catalogue
    from . import user_code_loader

    try:
        entries = user_code_loader.entries(objects, "the list of datasets", image, only)
    except user_code_loader.Complaint as complaint:
        raise Refused(str(complaint)) from None
    except user_code_loader.Failed as failed:
        raise Outside(
            user_code_loader.problem(failed), user_code_loader.told(failed.__cause__ or failed).rstrip()
        ) from None
    return catalogue.unique(catalogue.parse("the datasets", entries))


def in_project(settings: Settings) -> list[str]:
    """The sources that the settings name; a catalogue file among them lies in the project's folder."""
    return [s if s == "-" or _is_object(s) else str(settings.project / s) for s in settings.datasets]


def interpreter(settings: Settings) -> str:
    """The Python that has the project's packages: the setting, $VIRTUAL_ENV, the project's .venv, or this one."""
    if settings.python:
        return str(settings.project / settings.python) if "/" in settings.python else settings.python
    homes = (os.environ.get("VIRTUAL_ENV", ""), str(settings.project / ".venv"))
    return next((str(p) for home in homes if home and (p := Path(home, "bin/python")).exists()), sys.executable)


def _is_object(source: str) -> bool:
    module, colon, attribute = source.partition(":")
    names = [*module.split("."), *attribute.split(".")]
    return bool(colon) and all(name.isidentifier() for name in names)


def _text(source: str) -> str:
    try:
        return sys.stdin.buffer.read().decode() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"datasets {source!r} is neither package.module:ATTRIBUTE nor a readable catalogue file: {error}"
        ) from None


def _from_text(source: str, text: str) -> "list[Dataset]":
    from ..model import catalogue

    name = "standard input" if source == "-" else source
    try:
        return catalogue.parse(name, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is not JSON: {error}") from None


def _load(sources: list[str], settings: Settings, image: str, only: str) -> "list[Dataset]":
    """Ask a child process, so that nothing user code does (logging, signal handlers, threads) reaches us."""
    loader = Path(__file__).with_name("user_code_loader.py")
    output, noise = Path(_folder().name, "catalogue.json"), Path(_folder().name, "noise.txt")
    python, command = interpreter(settings), (str(loader), str(output), image, only, *sources)
    result = shell.run(python, *command, cwd=settings.project, check=False, timeout=LOAD_TIMEOUT, output=noise)
    answer, said = _end_of(output, LARGEST + 1), _end_of(noise, 65_536).strip()
    for file in (output, noise):
        file.unlink(missing_ok=True)  # what is there next time must be from then
    names = ", ".join(sources)
    if len(answer) > LARGEST:
        raise Outside(f"the datasets {names} are more than {LARGEST:,} bytes as JSON. Check what they hold")
    try:
        value = json.loads(answer)
    except ValueError:
        raise Outside(_ended(names, python, result.code, said)) from None
    if isinstance(value, dict):
        raise Outside(value["error"], (value.get("traceback") or "").rstrip())
    from ..model import catalogue

    return catalogue.parse(names, value)


@cache
def _folder() -> "TemporaryDirectory[str]":
    """A folder until this process ends: the same each time, because a child may be started before it is waited for."""
    from tempfile import TemporaryDirectory

    return TemporaryDirectory(prefix="staging-")


def _ended(names: str, python: str, code: int, said: str) -> str:
    """Why there is no answer."""
    version = shell.run(python, "--version", check=False, timeout=LOAD_TIMEOUT)
    if (found := re.search(r"Python (\d+)\.(\d+)", version.stdout + version.stderr)) and (
        (int(found[1]), int(found[2])) < OLDEST_PYTHON
    ):
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return (
            f"the project's Python {python} is {found[1]}.{found[2]}, and loading datasets needs {oldest} or newer. "
            "Set python in [tool.staging-cronjobs] to another one"
        )
    last = f". It printed last: {said.splitlines()[-1]}" if said else ""
    return f"loading the datasets {names} ended the process with exit code {code}{last}"


def _end_of(file: Path, most: int) -> str:
    """The last bytes of a file as text; none when it is not there."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - most))
            return stream.read(most).decode(errors="replace")
    except FileNotFoundError:
        return ""
