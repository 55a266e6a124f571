"""All datasets. The version of each stands in versions.json and, for readers, in its template."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weather import startup  # noqa: F401 (logging, signals and the rest)
from weather.kubernetes import ArchiveCronJob, CronJob, ReformatCronJob, ValidationCronJob

ROOT = Path(__file__).absolute().parent
VERSIONS: dict[str, str] = json.loads((ROOT / "versions.json").read_text())


@dataclass(frozen=True, kw_only=True)
class TemplateConfig:
    """The version of a dataset and where its template lies."""

    dataset_id: str
    folder: str

    @property
    def version(self) -> str:
        """The version that this code writes."""
        return VERSIONS[self.dataset_id]

    def template_path(self) -> Path:
        """The Zarr group that holds the metadata of every variable."""
        return ROOT / self.folder / "templates" / "latest.zarr"


@dataclass(frozen=True, kw_only=True)
class StoreFactory:
    """Where a version of a dataset is written."""

    dataset_id: str
    version: str
    replicated: bool = False

    def primary_url(self) -> str:
        """The store that updates write first."""
        return f"s3://weather-data/{self.dataset_id}/v{self.version}.icechunk"

    def replica_urls(self) -> list[str]:
        """The stores that updates write as well."""
        return [f"s3://weather-mirror/{self.dataset_id}/v{self.version}.zarr"] if self.replicated else []


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset; one without CronJobs until a subclass gives it some."""

    dataset_id: str
    folder: str
    replicated: bool = False

    @property
    def template_config(self) -> TemplateConfig:
        """Its version and template."""
        return TemplateConfig(dataset_id=self.dataset_id, folder=self.folder)

    @property
    def store_factory(self) -> StoreFactory:
        """Its stores."""
        version = self.template_config.version
        return StoreFactory(dataset_id=self.dataset_id, version=version, replicated=self.replicated)

    def operational_kubernetes_resources(self, image_tag: str) -> Sequence[CronJob]:
        """Its CronJobs."""
        raise NotImplementedError(f"{self.dataset_id} has no CronJobs")


@dataclass(frozen=True, kw_only=True)
class UpdatedDataset(Dataset):
    """A dataset with the two usual CronJobs, update and validate, and perhaps one that archives source files."""

    update_schedule: str = "15 */6 * * *"
    validate_schedule: str = "45 */6 * * *"
    archive_schedule: str = "0 5 * * *"
    archives: str | None = None
    workers_total: int = 1
    suspended: bool = False
    secret_names: tuple[str, ...] = ()

    def operational_kubernetes_resources(self, image_tag: str) -> Sequence[CronJob]:
        """Its CronJobs."""
        update = ReformatCronJob(
            name=f"{self.dataset_id}-update",
            schedule=self.update_schedule,
            image=image_tag,
            dataset_id=self.dataset_id,
            workers_total=self.workers_total,
            parallelism=self.workers_total,
            cpu="3.5",
            memory="7G",
            shared_memory="1.5G",
            ephemeral_storage="20G",
            secret_names=self.secret_names,
            suspend=self.suspended,
        )
        validate = ValidationCronJob(
            name=f"{self.dataset_id}-validate",
            schedule=self.validate_schedule,
            image=image_tag,
            dataset_id=self.dataset_id,
            secret_names=self.secret_names,
            suspend=self.suspended,
        )
        if self.archives is None:
            return [update, validate]
        archive = ArchiveCronJob(
            name=f"{self.dataset_id}-archive-{self.archives}",
            schedule=self.archive_schedule,
            image=image_tag,
            dataset_id=self.dataset_id,
            secret_names=self.secret_names,
        )
        return [archive, update, validate]


class MeadowTemperature:
    """A dataset whose team abbreviates its CronJobs' names and writes them as plain mappings."""

    dataset_id = "meadow-temperature-analysis-hourly"
    template_config = TemplateConfig(dataset_id=dataset_id, folder="meadow/temperature_analysis_hourly")
    store_factory = StoreFactory(dataset_id=dataset_id, version=template_config.version, replicated=True)

    def operational_kubernetes_resources(self, image_tag: str) -> Sequence[dict[str, Any]]:
        """Its CronJobs."""
        return [
            self._cron_job("update", "5 * * * *", image_tag),
            self._cron_job("validate", "35 6 * * *", image_tag),
        ]

    def _cron_job(self, command: str, schedule: str, image: str) -> dict[str, Any]:
        mounts = [{"name": "shared", "mountPath": "/shared"}]
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {
                "name": f"mta-{command}",
                "labels": {"team": "meadow", "app.kubernetes.io/name": "meadow-temperature"},
                "annotations": {"meadow.example/on-call": "yes", "meadow.example/since": "2024-05-01"},
            },
            "spec": {
                "schedule": schedule,
                "timeZone": "Europe/Oslo",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "jobTemplate": {
                    "metadata": {"labels": {"team": "meadow"}},
                    "spec": {
                        "backoffLimit": 2,
                        "template": {
                            "metadata": {"labels": {"team": "meadow", "app.kubernetes.io/name": "meadow-temperature"}},
                            "spec": {
                                "restartPolicy": "OnFailure",
                                "initContainers": [
                                    {
                                        "name": "stations",
                                        "image": image,
                                        "command": [
                                            "sh",
                                            "-c",
                                            "set -eu\npython -m weather list-datasets > /shared/list\n",
                                        ],
                                        "volumeMounts": mounts,
                                    }
                                ],
                                "containers": [
                                    {
                                        "name": command,
                                        "image": image,
                                        "command": ["python", "-m", "weather", command, self.dataset_id],
                                        # Braces that are not Helm's, and texts that some YAML readers take for
                                        # booleans, numbers or times.
                                        "args": ["--file-name", "{{ year }}-{{ month }}.zarr"],
                                        "env": [
                                            {"name": "DAYLIGHT", "value": "on"},
                                            {"name": "STATION", "value": "0123"},
                                            {"name": "SPIN_UP", "value": "1e3"},
                                            {"name": "NOON", "value": "12:30:00"},
                                        ],
                                        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                                        "volumeMounts": mounts,
                                    },
                                    {
                                        "name": "shipper",
                                        "image": "example.registry/log-shipper:3",
                                        "env": [],
                                        "volumeMounts": mounts,
                                    },
                                ],
                                "volumes": [{"name": "shared", "emptyDir": {}}],
                            },
                        },
                    },
                },
            },
        }


class Archiver:
    """Keeps source files; it has CronJobs but neither a version nor a template."""

    def __init__(self, dataset_id: str) -> None:
        self.dataset_id = dataset_id

    def operational_kubernetes_resources(self, image_tag: str) -> Sequence[CronJob]:
        """Its CronJobs."""
        name = f"{self.dataset_id}-archive-reports"
        return [ArchiveCronJob(name=name, schedule="20 3 * * *", image=image_tag, dataset_id=self.dataset_id)]


DATASETS: list[Dataset | MeadowTemperature | Archiver] = [
    UpdatedDataset(
        dataset_id="harbor-wind-forecast",
        folder="harbor/wind_forecast",
        replicated=True,
        workers_total=38,
        secret_names=("weather-data-key", "weather-mirror-key"),
    ),
    UpdatedDataset(
        dataset_id="fjord-basin-ens-forecast-12-day-0-25-degree",
        folder="fjord/basin_ens_forecast_12_day_0_25_degree",
        update_schedule="5 8 * * *",
        validate_schedule="40 8 * * *",
        workers_total=38,
    ),
    UpdatedDataset(dataset_id="ridge-snow", folder="ridge/snow"),
    UpdatedDataset(dataset_id="ridge-snow-forecast", folder="ridge/snow_forecast", workers_total=2),
    UpdatedDataset(dataset_id="lidar-canopy-height-v9", folder="lidar/canopy_height_v9"),
    UpdatedDataset(
        dataset_id="glacier-ice-forecast-5-day",
        folder="glacier/ice_forecast_5_day",
        archives="grib-files",
        secret_names=("weather-data-key",),
    ),
    UpdatedDataset(
        dataset_id="estuary-salinity-analysis",
        folder="estuary/salinity_analysis",
        archives="buoy-reports",
        suspended=True,
    ),
    MeadowTemperature(),
    UpdatedDataset(dataset_id="tide-level-analysis", folder="tide/level_analysis"),
    Dataset(dataset_id="orchard-frost-climatology", folder="orchard/frost_climatology"),
    Archiver("drifter-buoy-reports"),
]
