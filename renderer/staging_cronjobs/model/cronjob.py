"""What a CronJob's spec must look like where this program and the chart look into it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


def pod_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod's spec within a CronJob's spec."""
    return spec["jobTemplate"]["spec"]["template"]["spec"]


class _Part(BaseModel):
    """A part of a CronJob, of which only these fields are looked at."""

    model_config = ConfigDict(extra="allow", strict=True)


class Metadata(_Part):
    model_config = ConfigDict(json_schema_extra={"type": ["object", "null"]})
    labels: dict[str, Any] | None = None


class Variable(_Part):
    name: str | None = None


class Container(_Part):
    env: list[Variable] | None = None


class PodSpec(_Part):
    containers: list[Container] = Field(min_length=1)
    initContainers: list[Container] | None = None


class PodTemplate(_Part):
    metadata: Metadata | None = None
    spec: PodSpec


class JobSpec(_Part):
    completionMode: str | None = None
    completions: int | None = None
    template: PodTemplate


class JobTemplate(_Part):
    metadata: Metadata | None = None
    spec: JobSpec


class CronJobSpec(_Part):
    schedule: str
    suspend: bool | None = None
    jobTemplate: JobTemplate


class CronJobMetadata(_Part):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class CronJob(_Part):
    metadata: CronJobMetadata = Field(default_factory=CronJobMetadata)  # a default would be copied each time
    spec: CronJobSpec


def misshapen(cronjob: object) -> list[str]:
    """What is wrong with the shape of a CronJob, by place."""
    try:
        CronJob.model_validate(cronjob)
    except ValidationError as error:
        return places(error)
    return []


_SAID = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "too_short": "must not be empty",
    "string_too_long": "is too long",
}


def places(error: ValidationError, within: str = "") -> list[str]:
    """Each place that pydantic finds wrong, `within` a thing of this name, and what it must be."""
    found = []
    for one in error.errors():
        path = within + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"])
        said = _SAID.get(one["type"]) or one["msg"].replace("Input should", "must")
        found.append(f"{path.removeprefix('.') or 'it'} {said}")
    return found
