"""Run in a child process by the project's own interpreter: reads dataset objects, writes the catalogue as JSON.

Usage: python user_code_loader.py OUTPUT IMAGE ONLY SOURCE…  (ONLY: the dataset whose jobs are wanted, or empty for all)

It stands alone: that interpreter need not have staging_cronjobs or anything else of ours, and may be as old as
`user_code.OLDEST_PYTHON`. User code may print, configure logging, install signal handlers or leave threads behind; only
OUTPUT is read afterwards. Errors are written there as well, as {"error": …} with the user's traceback, so that they are
told apart from a catalogue.
"""

from __future__ import annotations

import importlib
import json
import os
import reprlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

MOST_DATASETS = 10_000  # of one source: a generator may never end
MOST_JOBS = 1_000  # of one dataset


class Complaint(Exception):
    """The objects are not what a dataset must be; a sentence or two."""


class Failed(Exception):
    """User code raised an error, which is the cause of this one; its text says where."""


def catalogue(sources: list[str], image: str, only: str) -> list[dict[str, object]]:
    """The datasets of every source, in order."""
    return [entry for source in sources for entry in entries(value(source), f"datasets {source!r}", image, only)]


def value(source: str) -> object:
    """What `package.module:ATTRIBUTE` names."""
    module, _, attribute = source.partition(":")
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise Complaint(
                f"datasets {source!r}: there is no module {error.name!r} for {sys.executable} in {os.getcwd()}"
            ) from None
        raise
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise Complaint(f"datasets {source!r}: module {module!r} has no attribute {name!r}")
        found = getattr(found, name)
    return found


def entries(objects: object, name: str, image: str, only: str) -> list[dict[str, object]]:
    """The datasets among plain data. Raises `Complaint` or `Failed` with the name of the first that is wrong."""
    try:
        datasets = items(objects, name, "dataset objects", MOST_DATASETS)
    except (Complaint, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit: mounted, it would end the user's program without a word
        raise Failed(f"while listing {name}") from error
    return [entry(dataset, image, only, f"{name}, number {number}") for number, dataset in enumerate(datasets, 1)]


def items(objects: object, name: str, of: str, most: int) -> list[Any]:
    """The objects as a list, which is finite."""
    if isinstance(objects, Mapping):
        objects = objects.values()
    if isinstance(objects, (str, bytes)) or not isinstance(objects, Iterable):
        raise Complaint(f"{name} is {type(objects).__name__}. It must be a list of {of}")
    found = list(islice(objects, most + 1))
    if len(found) > most:
        raise Complaint(f"{name} has more than {most:,} items. Check that it ends")
    return found


def entry(dataset: object, image: str, only: str, name: str = "the dataset") -> dict[str, object]:
    """One dataset, read by its duck type; an object without a version is listed with its id and jobs alone."""
    try:
        dataset_id = getattr(dataset, "dataset_id", None)
        if not isinstance(dataset_id, str):
            raise Complaint(f"{shown(dataset)} has no dataset_id that is a string. Remove it from the datasets")
        name = f"dataset {dataset_id!r}"
        found = {"dataset_id": dataset_id, "cronjobs": []}
        if only and dataset_id != only:
            return {**found, **written(dataset)}
        return plain({**found, **facts(dataset, name, image)}, name)
    except (Complaint, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise Failed(f"for {name}") from error


def facts(dataset: Any, name: str, image: str) -> dict[str, object]:
    """All but the id."""
    found: dict[str, object] = {}
    template = getattr(dataset, "template_config", None)
    if template is not None:
        found["version"] = str(template.version)
        found["template_path"] = os.path.abspath(str(template.template_path()))
        found |= stores(dataset)
    found["cronjobs"] = cronjobs(dataset, name, image)
    return found


def stores(dataset: Any) -> dict[str, object]:
    """Where it writes; nothing for a dataset without stores."""
    factory = getattr(dataset, "store_factory", None)
    if factory is None:
        return {}
    return {
        "primary_url": str(factory.primary_url()),
        "replica_urls": [str(url) for url in factory.replica_urls()],
    }


def written(dataset: Any) -> dict[str, object]:
    """Where a dataset writes that is not the wanted one; its errors are no reason to fail."""
    try:
        return stores(dataset)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return {}


def cronjobs(dataset: Any, name: str, image: str) -> list[object]:
    """The Kubernetes objects of one dataset. `NotImplementedError` means that it has no jobs."""
    method = f"{name}: operational_kubernetes_resources"
    try:
        resources = dataset.operational_kubernetes_resources(image)
        listed = items(None if isinstance(resources, Mapping) else resources, method, "Kubernetes objects", MOST_JOBS)
    except NotImplementedError:
        return []
    found = [r.as_kubernetes_object() if hasattr(r, "as_kubernetes_object") else r for r in listed]
    for number, job in enumerate(found, 1):
        if not isinstance(job, Mapping):
            raise Complaint(f"{method}: object {number} is {shown(job)}. It must be a Kubernetes object")
    return found


def plain(found: dict[str, object], name: str) -> dict[str, object]:
    """The same as JSON has it."""

    def unknown(value: object) -> object:
        if isinstance(value, Mapping):
            return dict(value)
        raise Complaint(f"{name} holds {shown(value)}, a {type(value).__name__}. JSON has no such value")

    try:
        return json.loads(json.dumps(found, default=unknown, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Complaint(f"{name} cannot be written as JSON: {error}") from None


def shown(value: object) -> str:
    """The value in a sentence: short, on one line, and whatever its own `__repr__` does."""
    return " ".join(reprlib.repr(value).split())


def problem(failed: Failed) -> str:
    """Where user code failed, and with what, in one sentence."""
    error = failed.__cause__ or failed
    kind = traceback.format_exception_only(type(error), error)[-1]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _ours(f.filename)]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"your code failed {failed}: {' '.join(kind.split())}{place}"


def told(error: BaseException) -> str:
    """The traceback, causes included, without the frames before user code: those say nothing to the user."""
    whole = traceback.TracebackException.from_exception(error)
    waiting = [whole]
    while waiting:
        one = waiting.pop()
        one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if not _ours(frame.filename)])
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "".join(whole.format())


def _ours(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib") or filename == importlib.__file__


def main() -> None:
    """Write the catalogue, or what went wrong, and leave at once: no exit handler of user code runs."""
    output, image, only, *sources = sys.argv[1:]
    sys.argv = sys.argv[:1]
    here, ours = os.getcwd(), os.path.dirname(os.path.realpath(__file__))
    path = [p for p in sys.path if os.path.realpath(p) != ours]  # our git.py would stand before the user's GitPython
    sys.path[:] = [here, *(p for p in (os.path.join(here, "src"),) if os.path.isdir(p)), *path]
    try:
        answer = json.dumps(catalogue(sources, image, only))
    except Complaint as complaint:
        answer = json.dumps({"error": str(complaint)})
    except Failed as failed:
        answer = json.dumps({"error": problem(failed), "traceback": told(failed.__cause__ or failed)})
    except BaseException as error:
        failed = Failed(f"while loading the datasets {', '.join(sources)}")
        failed.__cause__ = error
        answer = json.dumps({"error": problem(failed), "traceback": told(error)})
    with open(output, "w", encoding="utf-8") as file:
        file.write(answer)
    os._exit(0)


if __name__ == "__main__":
    main()
