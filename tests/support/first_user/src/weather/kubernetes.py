"""The CronJobs of datasets, as pydantic has them."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class CronJob(BaseModel):
    """A command of a dataset that runs on a schedule."""

    model_config = ConfigDict(frozen=True)

    name: str
    schedule: str
    image: str
    dataset_id: str
    command: Sequence[str]
    workers_total: int = 1
    parallelism: int = 1
    cpu: str = "1"
    memory: str = "2G"
    suspend: bool = False
    secret_names: Sequence[str] = ()
    env: Mapping[str, str] = {}

    def replace(self, **changes: Any) -> Self:
        """The same job with other values, which are checked like the first ones."""
        return type(self).model_validate(self.model_dump() | changes)

    def as_kubernetes_object(self) -> dict[str, Any]:
        """The CronJob as Kubernetes takes it."""
        index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
        container = {
            "name": "worker",
            "image": self.image,
            "command": ["python", "src/weather/__main__.py", self.dataset_id, *self.command],
            "env": [
                {"name": "WEATHER_ENV", "value": "prod"},
                {"name": "SENTRY_DSN", "valueFrom": {"secretKeyRef": {"name": "sentry", "key": "dsn"}}},
                {"name": "CRON_JOB_NAME", "value": self.name},
                {"name": "WORKER_INDEX", "valueFrom": {"fieldRef": {"fieldPath": index}}},
                {"name": "WORKERS_TOTAL", "value": str(self.workers_total)},
                *({"name": name, "value": value} for name, value in self.env.items()),
            ],
            "resources": {"requests": {"cpu": self.cpu, "memory": self.memory}},
            "volumeMounts": [
                {"name": name, "mountPath": f"/secrets/{name}.json", "subPath": "contents", "readOnly": True}
                for name in self.secret_names
            ],
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "containers": [container],
            "volumes": [{"name": name, "secret": {"secretName": name}} for name in self.secret_names],
        }
        job = {
            "completionMode": "Indexed",
            "completions": self.workers_total,
            "parallelism": self.parallelism,
            "backoffLimitPerIndex": 5,
            "ttlSecondsAfterFinished": 43200,
            "template": {"spec": pod},
        }
        spec = {"schedule": self.schedule, "suspend": self.suspend, "concurrencyPolicy": "Replace"}
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": self.name},
            "spec": {**spec, "jobTemplate": {"spec": job}},
        }


class ArchiveCronJob(CronJob):
    """Keeps source files in a place that all versions share."""

    command: Sequence[str] = ("archive-grib-files", "s3://weather-archive")
