"""The values file: the contract between Python and the chart, and how a catalogue entry becomes one.

`values.schema.json` of the chart is generated from these models: `python -m staging_cronjobs.model.values`.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from ..errors import Refused, StagingError, suggestion
from . import origin, schedules
from .catalogue import Dataset
from .cronjob import CronJobSpec, misshapen, places
from .helm_limits import unprintable, unwritable, without_nulls
from .marks import HELM_MARKS, JOB_LABEL, LABEL
from .origin import LONGEST
from .staged_version import StagedVersion, shown

FORMAT = 1
# A word that neither YAML 1.1 nor 1.2 takes for something else.
PLAIN_KEY = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9_./-]*")


class Record(BaseModel):
    """Facts about a staged version. Changing them changes no job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # To the schema any number will do: the chart says in words what a newer one means.
    format: Annotated[Literal[1], WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        default=FORMAT, description="The version of this contract."
    )
    repository: str = Field(description="Where the code lives: owner/name.")
    dataset_id: str = Field(description="The dataset's id.")
    version: str = Field(description="The staged version: numbers joined by dots.")
    branch: str = Field(description="The branch whose pushes deploy this release.")
    commit: str = Field(description="The commit that was deployed.")
    image: str = Field(description="The image that the jobs run.")
    template_path: str = Field(description="Where the dataset's template lies in the repository.")
    stores: list[str] = Field(description="Where this version writes; cleanup names them and deletes none.")
    stagger: int = Field(
        default=0, ge=0, le=9, description="By how many minutes its schedules are later than the dataset's own."
    )
    actor: str = Field(default="", max_length=LONGEST["actor"], description="Who deployed it.")
    subject: str = Field(default="", max_length=LONGEST["subject"], description="The subject of the commit.")
    run: str = Field(
        default="", max_length=LONGEST["run"], description="The https address of the workflow run that deployed it."
    )

    @property
    def staged_version(self) -> StagedVersion:
        """The dataset id and version as one."""
        return StagedVersion(self.dataset_id, self.version)

    @property
    def template(self) -> tuple[str, str]:
        """The dataset's id and its template's path: by these main is asked for its version."""
        return self.dataset_id, self.template_path

    @property
    def origin(self) -> dict[str, str]:
        """Who deployed it, and from where."""
        return {field: getattr(self, field) for field in LONGEST}


class Job(BaseModel):
    """One cron job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The CronJob's name, CRON_JOB_NAME and the Sentry monitor's slug: 50 at most.")
    labels: dict[str, str] = Field(default={}, description="Labels that the dataset's object carried.")
    annotations: dict[str, str] = Field(default={}, description="Annotations that the dataset's object carried.")
    spec: dict[str, Any] = Field(
        description="The CronJob spec as the dataset gave it. Whether it is valid is asked of the cluster."
    )


class Values(BaseModel):
    """Everything the chart needs for one staged version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: Record
    suspend: bool = Field(
        default=False,
        description="true pauses every job; a job that its own spec suspends stays suspended.",
    )
    paused_keys: list[str] = Field(
        default=[], description="The keys of jobs that are paused alone, whatever `suspend` says; others are ignored."
    )
    jobs: dict[str, Job] = Field(description="The cron jobs by key.")

    def suspends(self, key: str) -> bool:
        """Whether a job is suspended: with all others, alone, or by its own spec."""
        return self.suspend or key in self.paused_keys or bool(self.jobs[key].spec.get("suspend"))

    def paused_as(self, other: "Values") -> "Values":
        """The same, with what is paused in `other`."""
        return self.model_copy(update={"suspend": other.suspend, "paused_keys": other.paused_keys})

    @property
    def release_labels(self) -> dict[str, str]:
        """Labels for Helm's own record, which it carries from revision to revision: the identity and every job name."""
        record = {f"{LABEL}dataset-id": self.record.dataset_id, f"{LABEL}dataset-version": self.record.version}
        return record | {f"{JOB_LABEL}{job.name}": key for key, job in self.jobs.items()}


def names_in(labels: Mapping[str, str], record: Record) -> set[str]:
    """The job names that labels of Helm's record hold; only such as its staged version can have had."""
    named = {label.removeprefix(JOB_LABEL): key for label, key in labels.items() if label.startswith(JOB_LABEL)}
    return {name for name, key in named.items() if record.staged_version.could_be_named(key, name)}


def build(
    dataset: Dataset, record: Record, *, skip: Collection[str] = (), prefix: str = "", namespace: str = ""
) -> Values:
    """The values of one staged version of `dataset`, without the jobs whose keys are in `skip`, not paused.

    Raises `Refused` for a dataset without jobs, a job that is not a plain CronJob, names that cannot be made, and
    values that Helm cannot carry.
    """
    staged = record.staged_version
    jobs: dict[str, Job | None] = {}  # None: skipped, and so nothing else of it matters
    for resource in dataset.cronjobs:
        name = _check_resource(dataset.dataset_id, resource)
        key = key_of(name, dataset.dataset_id, prefix)
        if key in jobs:
            raise Refused(f"dataset {dataset.dataset_id} gives two jobs with the key {key!r}: rename one ({name})")
        jobs[key] = None if key in skip else _job(staged, name, key, resource, namespace)
    kept = {key: job for key, job in sorted(jobs.items()) if job}
    if not kept:
        left = f": all of them ({', '.join(jobs)}) are skipped" if jobs else ""
        raise Refused(f"dataset {dataset.dataset_id} has no jobs to stage{left}")
    values = Values(record=record, jobs=kept)
    if problems := "; ".join(
        [*_unprintable(record), *origin.problems(record.origin), *unwritable(record.model_dump(), "record")]
    ):
        raise Refused(f"the values of {record.branch} cannot be passed to Helm: {problems}")
    return values


def staggered(values: Values, by: int) -> tuple[Values, list[str]]:
    """The same values with every schedule `by` minutes later, and a sentence for each job that keeps its own."""
    own = {key: job.spec["schedule"] for key, job in values.jobs.items()}
    moved, kept = schedules.moved(own, by) if by else ({}, {})
    specs = {key: {**job.spec, "schedule": moved.get(key, own[key])} for key, job in values.jobs.items()}
    jobs = {key: job.model_copy(update={"spec": specs[key]}) for key, job in values.jobs.items()}
    record = values.record.model_copy(update={"stagger": by})
    told = [f"{key} is not staggered, its schedule stays {own[key]}: {why}" for key, why in sorted(kept.items())]
    return values.model_copy(update={"record": record, "jobs": jobs}), told


def check_skipped(dataset: Dataset, skip: Collection[str], prefix: str) -> None:
    """Raises `Refused` when a key to skip is none of the dataset's: a typing error would deploy the job after all."""
    keys = {key_of(name_of(r), dataset.dataset_id, prefix) for r in dataset.cronjobs}
    if missing := sorted(set(skip) - keys):
        raise Refused(f"dataset {dataset.dataset_id} has no job {missing[0]!r} to skip{suggestion(missing[0], keys)}")


def name_of(resource: Mapping[str, Any]) -> str:
    """The production name of a resource; an empty string when it has none."""
    metadata = resource.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def key_of(name: str, dataset_id: str, prefix: str = "") -> str:
    """What names a job within its dataset: its production name without the dataset id, or without the set prefix."""
    for start in sorted(filter(None, (dataset_id, prefix)), key=len, reverse=True):
        if name.startswith(f"{start}-"):
            return name.removeprefix(f"{start}-")
    raise Refused(
        f"job {name!r} of dataset {dataset_id} is named neither {dataset_id}-<key>"
        f"{f' nor {prefix}-<key>' if prefix else ''}: rename it, or set its prefix in [tool.staging-cronjobs]: "
        f'job-prefixes = {{ "{dataset_id}" = "<prefix>" }}'
    )


def indexed_workers(spec: Mapping[str, Any]) -> int:
    """How many Indexed pods a CronJob spec asks for; 1 for any other job."""
    job = spec["jobTemplate"]["spec"]
    return (job.get("completions") or 1) if job.get("completionMode") == "Indexed" else 1


def dump(values: Values) -> str:
    """The values file: YAML in which every string is double-quoted, so that no reader takes one for something else.

    Keys are quoted only where a reader might.
    """
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        def represent_mapping(self, tag: Any, mapping: Any, flow_style: Any = None) -> Any:
            node = super().represent_mapping(tag, mapping, flow_style)
            for key, _ in node.value:
                key.style = None if PLAIN_KEY.fullmatch(key.value) else '"'
            return node

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - ruamel's signature
            return True

    Representer.add_representer(str, lambda r, text: r.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.sort_base_mapping_type_on_output = False
    yaml.default_flow_style = False
    yaml.width = 2**31
    stream = StringIO()
    yaml.dump(values.model_dump(), stream)
    return stream.getvalue()


def parse(release: str, value: object) -> Values:
    """The values of an existing release. Raises `Refused` for what this program did not write or is too old to read."""
    record = value.get("record") if isinstance(value, Mapping) else None
    if not isinstance(record, Mapping):
        raise Refused(f"release {release} is not a staged version, because it has no record. Nothing was touched")
    if isinstance(record.get("format"), int | float) and record["format"] > FORMAT:
        raise Refused(
            f"release {release} was made by a newer version of this program (record format {record['format']}, "
            f"known up to {FORMAT}): update staging-cronjobs"
        )
    try:
        found = Values.model_validate(value, strict=True)
    except ValidationError as error:
        raise Refused(f"release {release} has values of another shape: {places(error)[0]}") from None
    try:
        problem = next(_strange(found), "")
    except StagingError as error:  # an id, a version or a key that none has
        problem = str(error)
    if problem:
        raise Refused(
            f"release {release} has a record that this program did not write: {problem}. Nothing was touched; "
            "find out who wrote it"
        )
    return found


def _strange(found: Values) -> Iterator[str]:
    """What in a release's values does not follow from its id and version, or cannot have been written here."""
    record, staged = found.record, found.record.staged_version
    if record.branch != staged.branch:
        yield f"its branch is {shown(record.branch)}"
    yield from _unprintable(record)
    yield from origin.problems(record.origin)
    if record.template_path.startswith(("/", ":", "-")) or ".." in record.template_path.split("/"):
        yield f"its template path is {shown(record.template_path)}"
    if not found.jobs:
        yield "it has no jobs"
    for key in found.paused_keys:
        staged.job_name(key)  # or it can be nobody's
    for key, job in found.jobs.items():
        yield from (f"its job {shown(key)}: {problem}" for problem in unwritable(dict(job)))
        yield from (f"its job {shown(key)}: {problem}" for problem in misshapen({"spec": job.spec}))
        if staged.job_name(key, indexed_workers(job.spec)) != job.name:
            yield f"its job {key} has the name {shown(job.name)}"


def _unprintable(record: Record) -> Iterator[str]:
    """The facts that would act on a terminal, or that nobody could read there."""
    facts = record.model_dump(exclude={"format", "stores", "stagger"}) | {
        f"stores[{n}]": s for n, s in enumerate(record.stores)
    }
    yield from (f"record.{field} {problem}" for field, text in facts.items() if (problem := unprintable(text)))


def schema() -> str:
    """`values.schema.json`, from the models: shape only."""
    document: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Values.model_json_schema()}
    spec = CronJobSpec.model_json_schema()
    document["$defs"] |= spec.pop("$defs") | {"CronJobSpec": spec}
    document["$defs"]["Job"]["properties"]["spec"]["$ref"] = "#/$defs/CronJobSpec"
    document["properties"]["global"] = {"type": "object", "description": "Helm's own; not used."}
    return json.dumps(_tidy(document), indent=2) + "\n"


def _check_resource(dataset_id: str, resource: Mapping[str, Any]) -> str:
    """The name of a resource that can be staged. Raises `Refused` for anything but a plain CronJob."""
    metadata = resource.get("metadata")
    kind = " ".join(str(resource[field]) for field in ("apiVersion", "kind") if resource.get(field))
    if not (name := name_of(resource)) or not isinstance(metadata, Mapping):
        raise Refused(f"dataset {dataset_id} gives a resource ({kind or 'no kind'}) without metadata.name: name it")
    if kind != "batch/v1 CronJob":
        raise Refused(
            f"dataset {dataset_id} gives {name!r}, whose kind is {kind or 'missing'}: "
            "only a batch/v1 CronJob can be staged"
        )
    extra = {k for k, v in metadata.items() if v not in (None, {}, [])} - {"name", "namespace", "labels", "annotations"}
    if extra:
        raise Refused(
            f"job {name!r} of dataset {dataset_id} sets metadata.{min(extra)}, which a release does not carry"
        )
    return name


def _job(staged: StagedVersion, name: str, key: str, resource: Mapping[str, Any], namespace: str) -> Job:
    given = {"spec": resource.get("spec"), "metadata": resource["metadata"]}
    if problems := "; ".join(unwritable(given)):
        raise Refused(f"job {name!r} of dataset {staged.dataset_id} cannot be passed to Helm: {problems}")
    wanted = without_nulls(given)
    if problems := "; ".join(misshapen(wanted) or _marks_of_helm(wanted["metadata"])):
        raise Refused(f"job {name!r} of dataset {staged.dataset_id}: {problems}")
    spec, metadata = wanted["spec"], wanted["metadata"]
    if namespace and metadata.get("namespace", namespace) != namespace:
        raise Refused(f"job {name!r} wants namespace {metadata['namespace']}: the release goes to {namespace}")
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    return Job(name=staged.job_name(key, indexed_workers(spec)), labels=labels, annotations=annotations, spec=spec)


def _marks_of_helm(metadata: Mapping[str, Any]) -> Iterator[str]:
    for field in ("labels", "annotations"):
        for key in metadata.get(field, {}):
            if key.startswith(HELM_MARKS):
                yield f"metadata.{field}.{key} is a mark that only Helm sets: remove it"


def _tidy(value: Any) -> Any:
    """A schema without what says nothing, and with `anyOf` as one `type`: Helm tells it in one line, not in three."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {name: _tidy(inner) for name, inner in value.items() if inner is not None and inner is not True}
    if isinstance(tidy.get("title"), str):
        del tidy["title"]
    if "anyOf" in tidy:
        kind, _ = tidy.pop("anyOf")
        tidy |= kind | ({"type": [kind["type"], "null"]} if "type" in kind else {})
    return tidy


if __name__ == "__main__":
    print(schema(), end="")
