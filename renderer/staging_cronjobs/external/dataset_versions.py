"""The versions that datasets have: in the templates of a work tree and of main, or where `version-source` says."""

import json
import posixpath
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..errors import Outside, Refused
from ..model import version_source
from ..model.staged_version import VERSION
from ..model.version_source import VersionSource
from .git import Checkout, Entry, with_parents

METADATA = "zarr.json"  # of Zarr v3, in the template's folder
OLDER = (".zattrs", ".zmetadata")  # of Zarr v2, which main may still have
LFS_POINTER = "version https://git-lfs.github.com/spec/"
Wanted = tuple[str, str]  # a dataset's id, and its template's path


@dataclass(frozen=True)
class Template:
    """What a template says about its dataset."""

    where: str  # for sentences: its file, and where that is
    attributes: Mapping[str, Any]

    def version_of(self, dataset_id: str) -> str:
        """Its version. Raises `Refused` when it is another dataset's, or has no usable version."""
        if (owner := self.attributes.get("dataset_id", dataset_id)) != dataset_id:
            raise Refused(
                f"{self.where} is the template of dataset {_short(owner)}, not of {dataset_id}. "
                "Correct its dataset_id, or the template path in the code."
            )
        if "dataset_version" not in self.attributes:
            raise Refused(f"{self.where} has no attribute dataset_version, so its version cannot be compared. Add it.")
        version = self.attributes["dataset_version"]
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise Refused(
                f"{self.where} has dataset_version {_short(version)}, which cannot be compared. "
                'It must be text, numbers joined by dots, such as "0.2.0".'
            )
        return version


@dataclass(frozen=True)
class OnMain:
    """What main has of a dataset."""

    versions: frozenset[str]  # none: main does not have it; several: several templates have its id
    where: str  # the file that says it, if that was not moved; empty for one outside of the repository
    problem: str = ""  # why it cannot be told


def of_main(checkout: Checkout, template_path: str, dataset_id: str) -> str | None:
    """The dataset's version on main, as fetched; None when main has nothing in the template's place.

    Raises `Refused` when what main has there cannot be compared.
    """
    if source := source_of(checkout):
        path = _path(checkout, source, template_path, dataset_id)
        blob = checkout.file(checkout.entries(checkout.main_ref, *with_parents(path)), path)
        text = checkout.contents([blob])[0] if blob else None
        return _sourced(source, text, checkout.on_main(path), dataset_id)
    template = template_on_main(checkout, template_path)
    return template.version_of(dataset_id) if template else None


def on_main(checkout: Checkout, wanted: Collection[Wanted]) -> dict[Wanted, OnMain]:
    """What main, as fetched, has of each of these datasets. All files are read in one go."""
    source = source_of(checkout)
    find = _by_source(checkout, source, wanted) if source else _by_template(checkout)
    found: dict[Wanted, OnMain] = {}
    for dataset_id, template_path in wanted:
        where = ""
        try:
            where = _says(checkout, dataset_id, template_path)
            found[dataset_id, template_path] = OnMain(frozenset(find(dataset_id, template_path)), where)
        except Refused as error:
            found[dataset_id, template_path] = OnMain(frozenset(), where, str(error))
    # Of releases whose templates were in different folders, one may know where main has it now.
    known = {dataset_id: one for (dataset_id, _), one in found.items() if one.versions}
    return {key: one if one.versions or one.problem else known.get(key[0], one) for key, one in found.items()}


def templates_on_main(checkout: Checkout, dataset_id: str) -> list[str]:
    """Folders on main whose template has the dataset's id, or may have it: what cannot be read is no proof."""
    if source_of(checkout):
        return []  # none is asked what a version is
    blobs = _metadata(checkout.entries(checkout.main_ref, recursive=True))
    texts = dict(zip(blobs, checkout.contents([*blobs.values()]), strict=True))
    return sorted({str(PurePosixPath(p).parent) for p, text in texts.items() if _has_id(checkout, p, text, dataset_id)})


def in_tree(checkout: Checkout, template_path: str | None, dataset_id: str) -> tuple[str, str]:
    """The dataset's version in the work tree, and where that says so. Raises `Refused` when nothing does."""
    if not (source := source_of(checkout)):
        template = template_here(checkout, template_path or "")
        return template.version_of(dataset_id), template.where
    path = _path(checkout, source, template_path or "", dataset_id)
    if found := here(checkout, template_path or "", dataset_id):
        return found
    raise Refused(f"{path} does not have the version of {dataset_id}. Write it there, or correct version-source.")


def here(checkout: Checkout, template_path: str, dataset_id: str) -> tuple[str, str] | None:
    """The dataset's version in the work tree, and the file that says so; None when no template is the dataset's.

    A template that has moved is found by its id. Raises `Refused` for one that cannot be read.
    """
    if source := source_of(checkout):
        path = checkout.relative(_path(checkout, source, template_path, dataset_id))
        text = checkout.text(path) if (checkout.folder / path).is_file() else None
        version = _sourced(source, text, path, dataset_id)
        return (version, path) if version else None
    if (checkout.folder / checkout.relative(template_path) / METADATA).is_file():
        template = template_here(checkout, template_path)
        return template.version_of(dataset_id), template.where
    for path in checkout.tracked:
        if PurePosixPath(path).name == METADATA and f'"{dataset_id}"' in checkout.text(path):
            template = template_here(checkout, str(PurePosixPath(path).parent))
            if template.attributes.get("dataset_id") == dataset_id:
                return template.version_of(dataset_id), template.where
    return None


def source_of(checkout: Checkout) -> VersionSource | None:
    """Where versions are, if not in templates. Raises `Refused` where this program does not know such a place."""
    if wrong := version_source.problem(checkout.version_source):
        raise Refused(f"{wrong} That is what {checkout.remote}/{checkout.main} says.")
    return version_source.parse(checkout.version_source)


def template_here(checkout: Checkout, template_path: str) -> Template:
    """The template in the work tree. Raises `Refused` when it is missing or cannot be read."""
    path = f"{checkout.relative(template_path)}/{METADATA}"
    file = checkout.folder / path
    if not file.is_file():
        raise Refused(
            f"there is no {path}, the template that the code names. Write it, correct the path, or set version-source."
        )
    try:
        return _template(path, METADATA, file.read_text("utf-8", errors="replace"))
    except OSError as error:
        raise Outside(f"cannot read {path}: {error.strerror}") from None


def template_on_main(checkout: Checkout, template_path: str) -> Template | None:
    """The template on main, as fetched; None when main has nothing in its place.

    Raises `Refused` when what is there cannot be read as a template.
    """
    folder = checkout.relative(template_path)
    paths = [str(PurePosixPath(folder, name)) for name in (METADATA, *OLDER)]
    there = checkout.entries(checkout.main_ref, *with_parents(folder), *paths)
    return _template_in(checkout, there, folder, lambda blob: checkout.contents([blob])[0])


def _template_in(
    checkout: Checkout, there: Mapping[str, Entry], folder: str, text_of: Callable[[str], str]
) -> Template | None:
    """The template in a folder of main, of which `there` has all entries; `text_of` gives an object's text."""
    for name in (METADATA, *OLDER):
        path = str(PurePosixPath(folder, name))
        if blob := checkout.file(there, path):
            return _template(checkout.on_main(path), name, text_of(blob))
    if folder in there:
        raise Refused(
            f"{checkout.on_main(folder)} has no {METADATA}, so its version cannot be compared. Add it, or set "
            "version-source."
        )
    return None


def _path(checkout: Checkout, source: VersionSource, template_path: str, dataset_id: str) -> str:
    """The file that has the dataset's version. Raises `Refused` for one that lies outside."""
    folder = checkout.relative(template_path) if source.needs_template else ""
    path = posixpath.normpath(source.path(folder, dataset_id))
    if path.startswith(("/", "../")):
        raise Refused(f"version-source names {path}, which is outside the repository. Correct it on {checkout.main}.")
    return path


def _sourced(source: VersionSource, text: str | None, where: str, dataset_id: str) -> str | None:
    """The version that a file says; None where a dataset's own file or key is not there."""
    if text is None:
        if source.own_file:
            return None
        raise Refused(f"there is no {where}, which version-source names. Write it, or correct the setting on main.")
    if text.startswith(LFS_POINTER):
        raise Refused(f"{where} is a Git LFS pointer, so its version cannot be read. Take it out of Git LFS.")
    return source.version(text, where, dataset_id)


def _says(checkout: Checkout, dataset_id: str, template_path: str) -> str:
    """The file in which main says a dataset's version, if it was not moved. Raises `Refused` for one outside."""
    if source := source_of(checkout):
        return _path(checkout, source, template_path, dataset_id)
    return str(PurePosixPath(checkout.relative(template_path), METADATA))


def _by_template(checkout: Checkout) -> Callable[[str, str], set[str]]:
    """Who finds the versions of a dataset on main: in its template, or in each that has its id elsewhere."""
    there = checkout.entries(checkout.main_ref, recursive=True)
    blobs = _metadata(there)
    texts = dict(zip(blobs.values(), checkout.contents([*blobs.values()]), strict=True))

    def find(dataset_id: str, template_path: str) -> set[str]:
        own = _template_in(checkout, there, checkout.relative(template_path), texts.__getitem__)
        if own and own.attributes.get("dataset_id", dataset_id) == dataset_id:
            return {own.version_of(dataset_id)}
        folders = {
            PurePosixPath(p).parent for p, blob in blobs.items() if _has_id(checkout, p, texts[blob], dataset_id)
        }
        moved = [_template_in(checkout, there, str(folder), texts.__getitem__) for folder in folders]
        return {template.version_of(dataset_id) for template in moved or [own] if template}

    return find


def _by_source(checkout: Checkout, source: VersionSource, wanted: Collection[Wanted]) -> Callable[[str, str], set[str]]:
    """The same by `version-source`: each file is read once, with two programs for all of them."""
    paths: set[str] = set()
    for dataset_id, template_path in wanted:
        with suppress(Refused):
            paths.add(_path(checkout, source, template_path, dataset_id))
    there = checkout.entries(checkout.main_ref, *{part for path in paths for part in with_parents(path)})
    objects: set[str] = set()
    for path in paths:
        with suppress(Refused):
            objects |= {checkout.file(there, path) or ""} - {""}
    texts = dict(zip(objects, checkout.contents([*objects]), strict=True))

    def find(dataset_id: str, template_path: str) -> set[str]:
        path = _path(checkout, source, template_path, dataset_id)
        text = texts.get(checkout.file(there, path) or "")
        return {version for version in [_sourced(source, text, checkout.on_main(path), dataset_id)] if version}

    return find


def _has_id(checkout: Checkout, path: str, text: str, dataset_id: str) -> bool:
    """Whether a template of main is the dataset's. Raises `Refused` for one that Git LFS keeps elsewhere."""
    if f'"{dataset_id}"' not in text and not text.startswith(LFS_POINTER):
        return False  # most are a variable's, or another's
    try:
        template = _template(checkout.on_main(path), PurePosixPath(path).name, text)
    except Refused:
        if text.startswith(LFS_POINTER):
            raise
        return '"dataset_id"' in text  # broken, yet about this dataset
    return template.attributes.get("dataset_id") == dataset_id


def _metadata(there: Mapping[str, Entry]) -> dict[str, str]:
    """The objects of all that may be templates, by their paths."""
    names = (METADATA, *OLDER)
    found = ((p, blob) for p, (mode, blob) in there.items() if mode.startswith("100"))
    return {path: blob for path, blob in found if PurePosixPath(path).name in names}


def _template(where: str, name: str, text: str) -> Template:
    """What a metadata file of this name says. Raises `Refused` for one without attributes."""
    if text.startswith(LFS_POINTER):
        raise Refused(
            f"{where} is a Git LFS pointer, not the file itself, so its version cannot be read. "
            "Take it out of Git LFS, in .gitattributes, and commit it again."
        )
    try:
        attributes = _attributes(name, json.loads(text))
    except (ValueError, RecursionError, KeyError, TypeError):
        attributes = None
    if not isinstance(attributes, dict):
        raise Refused(f"{where} is not JSON with attributes, so its version cannot be compared. Correct it.")
    return Template(where, attributes)


def _attributes(name: str, content: Any) -> Any:
    if name == ".zattrs":
        return content
    return content["metadata"][".zattrs"] if name == ".zmetadata" else content["attributes"]


def _short(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
