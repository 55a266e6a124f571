"""The catalogue: the datasets as plain data, the only form in which the rest of the program knows them."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from . import shell
from .errors import Outside, Refused, Usage, suggestion
from .settings import Settings

LOAD_TIMEOUT = 300  # seconds that importing the user's datasets may take


class Dataset(BaseModel):
    """One dataset. Without a version it is listed and cannot be staged (an archiver, say)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dataset_id: str
    version: str | None = None
    template_path: str | None = None
    primary_url: str | None = None
    replica_urls: list[str] = []
    cronjobs: list[dict[str, Any]] = []

    @property
    def stores(self) -> list[str]:
        """Where this version writes: primary first, then replicas."""
        return [url for url in (self.primary_url, *self.replica_urls) if url]


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
    return _unique(datasets)


def from_objects(objects: Iterable[object], image: str, only: str) -> list[Dataset]:
    """The catalogue of objects that are at hand already, as in a user's own program."""
    from . import loader

    try:
        entries = json.loads(json.dumps([loader.entry(o, image, only) for o in objects], default=loader.plain))
    except loader.Complaint as complaint:
        raise Refused(str(complaint)) from None
    return _unique(parse("the datasets", entries))


def in_project(settings: Settings) -> list[str]:
    """The sources that the settings name; a catalogue file among them lies in the project's folder."""
    return [s if s == "-" or _is_object(s) else str(settings.project / s) for s in settings.datasets]


def find(datasets: Iterable[Dataset], dataset_id: str) -> Dataset:
    """The dataset of that id. Raises `Refused`, with close matches, when there is none."""
    known = {d.dataset_id: d for d in datasets}
    if dataset_id not in known:
        raise Refused(f"there is no dataset {dataset_id!r} among the {len(known)} known{suggestion(dataset_id, known)}")
    return known[dataset_id]


def dump(datasets: Iterable[Dataset]) -> str:
    """The catalogue as JSON, in the form that `read` takes."""
    return json.dumps([d.model_dump(exclude_none=True) for d in datasets], indent=2)


def parse(name: str, value: object) -> list[Dataset]:
    """Check plain data against the catalogue's shape. Raises `Refused` naming the first field that is wrong."""
    try:
        return TypeAdapter(list[Dataset]).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise Refused(f"{name} is not a catalogue: {where}: {first['msg']}") from None


def interpreter(settings: Settings) -> str:
    """The Python that has the project's packages: the setting, $VIRTUAL_ENV, the project's .venv, or this one."""
    if settings.python:
        return str(settings.project / settings.python) if "/" in settings.python else settings.python
    homes = (os.environ.get("VIRTUAL_ENV", ""), str(settings.project / ".venv"))
    return next((str(p) for home in homes if home and (p := Path(home, "bin/python")).exists()), sys.executable)


def _unique(datasets: list[Dataset]) -> list[Dataset]:
    seen: set[str] = set()
    for dataset in datasets:
        if dataset.dataset_id in seen:
            raise Refused(f"the catalogue has dataset {dataset.dataset_id!r} twice: an id must be unique")
        seen.add(dataset.dataset_id)
    return datasets


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
        return parse(name, json.loads(text))
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
        trace = f"\n{value['traceback'].rstrip()}" if value.get("traceback") else ""
        problem = f"your code failed while loading the datasets {names}: {value['error']}" if trace else value["error"]
        raise Outside(f"{problem}{trace}")
    return parse(names, value)
