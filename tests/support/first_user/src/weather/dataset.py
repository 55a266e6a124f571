"""What all datasets have: a template with a version, stores, and CronJobs."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, computed_field

from weather.kubernetes import ArchiveCronJob, CronJob

ROOT = Path(__file__).parent
Source = TypeVar("Source", bound="SourceFiles")


class SourceFiles(BaseModel):
    """Where a dataset comes from."""

    secret_names: Sequence[str] = ()


class GribFiles(SourceFiles):
    """Source files that vanish after some days, so an archive of our own keeps them."""

    archive_schedule: str


class TemplateConfig(BaseModel):
    """The version of a dataset, and where its template lies."""

    model_config = ConfigDict(frozen=True)

    dataset_id: str
    version: str

    def template_path(self) -> Path:
        """The Zarr group that holds the metadata of every variable."""
        return ROOT / self.dataset_id.replace("-", "_") / "templates" / "latest.zarr"


class StoreFactory(BaseModel):
    """Where a version is written."""

    dataset_id: str
    template_config_version: str
    replicas: Sequence[str] = ()

    def primary_url(self) -> str:
        """The store that updates write first."""
        return f"s3://weather-data/{self.dataset_id}/v{self.template_config_version}.icechunk"

    def replica_urls(self) -> list[str]:
        """The stores that updates write as well."""
        return [f"s3://{bucket}/{self.dataset_id}/v{self.template_config_version}.icechunk" for bucket in self.replicas]


class Dataset(BaseModel, Generic[Source]):
    """A dataset, whatever it comes from."""

    template_config: TemplateConfig
    source: Source
    update_schedule: str = "15 */6 * * *"
    validate_schedule: str = "45 */6 * * *"
    workers_total: int = 1
    replicas: Sequence[str] = ()

    @computed_field
    @property
    def dataset_id(self) -> str:
        """Its id, which is its template's."""
        return self.template_config.dataset_id

    @cached_property
    def store_factory(self) -> StoreFactory:
        """Its stores."""
        version = self.template_config.version
        return StoreFactory(dataset_id=self.dataset_id, template_config_version=version, replicas=self.replicas)

    def operational_kubernetes_resources(self, image_tag: str) -> Iterable[CronJob]:
        """Its CronJobs, one after the other."""
        update = CronJob(
            name=f"{self.dataset_id}-update",
            schedule=self.update_schedule,
            image=image_tag,
            dataset_id=self.dataset_id,
            command=("update",),
            workers_total=self.workers_total,
            parallelism=self.workers_total,
            cpu="3.5",
            memory="7G",
            secret_names=self.source.secret_names,
        )
        yield update
        yield update.replace(
            name=f"{self.dataset_id}-validate",
            schedule=self.validate_schedule,
            command=("validate",),
            workers_total=1,
            parallelism=1,
        )
        if isinstance(self.source, GribFiles):
            name = f"{self.dataset_id}-archive-grib-files"
            schedule = self.source.archive_schedule
            yield ArchiveCronJob(name=name, schedule=schedule, image=image_tag, dataset_id=self.dataset_id)


class Archiver(BaseModel):
    """Keeps source files for all datasets of a family. It has CronJobs, and neither a version nor a template."""

    dataset_id: str
    schedule: str

    def operational_kubernetes_resources(self, image_tag: str) -> Sequence[CronJob]:
        """Its CronJob."""
        name = f"{self.dataset_id}-archive-grib-files"
        return [ArchiveCronJob(name=name, schedule=self.schedule, image=image_tag, dataset_id=self.dataset_id)]
