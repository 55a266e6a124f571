"""The catalogue: the datasets as plain data, the only form in which the rest of the program knows them."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..errors import Refused, suggestion
from .cronjob import places


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
        raise Refused(f"{name} is not a catalogue: {places(error)[0]}") from None


def unique(datasets: list[Dataset]) -> list[Dataset]:
    """The same datasets. Raises `Refused` when two have one id."""
    seen: set[str] = set()
    for dataset in datasets:
        if dataset.dataset_id in seen:
            raise Refused(f"the catalogue has dataset {dataset.dataset_id!r} twice: an id must be unique")
        seen.add(dataset.dataset_id)
    return datasets
