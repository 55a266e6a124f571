"""The user's own code: dataset objects become the catalogue, in a child process or, mounted, in this one."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from ..errors import Outside, Refused, Usage
from ..model import catalogue
from ..model.catalogue import Dataset
from ..model.settings import Settings
from . import shell

LOAD_TIMEOUT = 300  # seconds that importing the user's datasets may take


def read(sources: Iterable[str], settings: Settings, image: str, only: str = "") -> list[Dataset]:
    """The catalogue of all `sources`: each `package.module:ATTRIBUTE`, a JSON file, or `-` for standard input.

    With `only`, jobs are asked of that dataset alone, so that no other dataset's code can be in the way. Raises `Usage`
    for no source, `Refused` for what is not a catalogue, `Outside` when user code fails.
    """
    sources = list(sources)
    if not sources:
        raise Usage(
            "no datasets are named: pass --datasets package.module:ATTRIBUTE or set datasets in [tool.staging-cronjobs]"
        )
    objects = [s for s in sources if _is_object(s)]
    loaded = _load(objects, settings, image, only) if objects else []
    datasets = [d for s in sources if s not in objects for d in _from_text(s, _text(s))] + loaded
    return catalogue.unique(datasets)


def from_objects(objects: Iterable[object], image: str, only: str) -> list[Dataset]:
    """The catalogue of objects that are at hand already, as in a user's own program."""
    from . import loader

    try:
        entries = json.loads(json.dumps([loader.entry(o, image, only) for o in objects], default=loader.plain))
    except loader.Complaint as complaint:
        raise Refused(str(complaint)) from None
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
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"datasets {source!r} is neither package.module:ATTRIBUTE nor a readable catalogue file: {error}"
        ) from None


def _from_text(source: str, text: str) -> list[Dataset]:
    name = "standard input" if source == "-" else source
    try:
        return catalogue.parse(name, json.loads(text))
    except ValueError as error:
        raise Refused(f"{name} is not a catalogue: it is not JSON: {error}") from None


def _load(sources: list[str], settings: Settings, image: str, only: str) -> list[Dataset]:
    """Ask a child process, so that nothing user code does (logging, signal handlers, threads) reaches us."""
    from tempfile import TemporaryDirectory

    loader = Path(__file__).with_name("loader.py")
    with TemporaryDirectory(prefix="staging-") as folder:
        output, noise = Path(folder, "catalogue.json"), Path(folder, "noise.txt")
        command = ("-P", str(loader), str(output), image, only, *sources)
        result = shell.run(
            interpreter(settings), *command, cwd=settings.project, check=False, timeout=LOAD_TIMEOUT, output=noise
        )
        answer = output.read_text(encoding="utf-8") if output.exists() else ""
        said = noise.read_text(encoding="utf-8", errors="replace").strip() if noise.exists() else ""
    names = ", ".join(sources)
    if not answer:
        last = f"; its last words: {said.splitlines()[-1]}" if said else ""
        raise Outside(f"loading the datasets {names} ended the process with exit code {result.code}{last}")
    value = json.loads(answer)
    if isinstance(value, dict):
        trace = (value.get("traceback") or "").rstrip()
        problem = f"your code failed while loading the datasets {names}: {value['error']}" if trace else value["error"]
        raise Outside(problem, trace)
    return catalogue.parse(names, value)
