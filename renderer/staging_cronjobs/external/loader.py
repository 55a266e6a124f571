"""Run in a child process by the project's own interpreter: reads dataset objects, writes the catalogue as JSON.

Usage: python -P loader.py OUTPUT IMAGE ONLY SOURCE…   (ONLY: a dataset id whose jobs are wanted, or empty for all)

It stands alone: that interpreter need not have staging_cronjobs or anything else of ours. User code may print,
configure logging, install signal handlers or leave threads behind; only OUTPUT is read afterwards. Errors are written
there as well, as {"error": …} with the user's traceback, so that they are told apart from a catalogue.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any


class Complaint(Exception):
    """The objects are not what a dataset must be; one sentence."""


def catalogue(sources: list[str], image: str, only: str) -> list[dict[str, object]]:
    """The datasets of every source, in order."""
    return [entry(dataset, image, only) for source in sources for dataset in datasets(source)]


def datasets(source: str) -> list[object]:
    """The objects that `package.module:ATTRIBUTE` names."""
    module, _, attribute = source.partition(":")
    try:
        value = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise Complaint(
                f"datasets {source!r}: there is no module {error.name!r} for {sys.executable} in {os.getcwd()}"
            ) from None
        raise
    for name in attribute.split("."):
        if not hasattr(value, name):
            raise Complaint(f"datasets {source!r}: module {module!r} has no attribute {name!r}")
        value = getattr(value, name)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise Complaint(f"datasets {source!r} is {type(value).__name__}: it must be a list of dataset objects")
    return list(value)


def entry(dataset: object, image: str, only: str) -> dict[str, object]:
    """One dataset, read by its duck type; an object without a version is listed with its id and jobs alone."""
    dataset_id = getattr(dataset, "dataset_id", None)
    if not isinstance(dataset_id, str):
        raise Complaint(f"{dataset!r} has no dataset_id: it cannot stand among the datasets")
    found: dict[str, object] = {"dataset_id": dataset_id}
    if only and dataset_id != only:
        return found | {"cronjobs": []}
    template = getattr(dataset, "template_config", None)
    if template is not None:
        stores = getattr(dataset, "store_factory", None)
        found["version"] = str(template.version)
        found["template_path"] = os.path.abspath(str(template.template_path()))
        found["primary_url"] = str(stores.primary_url()) if stores is not None else None
        found["replica_urls"] = [str(url) for url in stores.replica_urls()] if stores is not None else []
    found["cronjobs"] = cronjobs(dataset, image)
    return found


def cronjobs(dataset: Any, image: str) -> list[object]:
    """The Kubernetes objects of one dataset. `NotImplementedError` means that it has no jobs."""
    try:
        resources = list(dataset.operational_kubernetes_resources(image))
    except NotImplementedError:
        return []
    return [r.as_kubernetes_object() if hasattr(r, "as_kubernetes_object") else r for r in resources]


def plain(value: object) -> object:
    """For what JSON does not know: say which type it is."""
    raise Complaint(f"a Kubernetes object holds {value!r}, a {type(value).__name__}: JSON has no such value")


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
    here = os.getcwd()
    sys.path[:0] = [here, *(p for p in (os.path.join(here, "src"),) if os.path.isdir(p))]
    try:
        answer = json.dumps(catalogue(sources, image, only), default=plain)
    except Complaint as complaint:
        answer = json.dumps({"error": str(complaint)})
    except BaseException as error:
        answer = json.dumps({"error": f"{type(error).__name__}: {error}", "traceback": told(error)})
    with open(output, "w", encoding="utf-8") as file:
        file.write(answer)
    os._exit(0)


if __name__ == "__main__":
    main()
