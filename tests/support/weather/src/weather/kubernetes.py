"""The CronJobs of datasets as objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

NODE_SELECTOR = {"eks.amazonaws.com/compute-type": "auto", "karpenter.sh/capacity-type": "spot"}


@dataclass(frozen=True, kw_only=True)
class CronJob:
    """A command of a dataset that runs on a schedule, on one or more workers."""

    command: ClassVar[Sequence[str]]

    name: str
    schedule: str
    image: str
    dataset_id: str
    workers_total: int = 1
    parallelism: int = 1
    cpu: str = "1"
    memory: str = "2G"
    shared_memory: str | None = None
    ephemeral_storage: str = "10G"
    secret_names: Sequence[str] = ()
    suspend: bool = False
    pod_active_deadline: timedelta = timedelta(hours=1)
    ttl: timedelta = timedelta(hours=12)

    def as_kubernetes_object(self) -> dict[str, Any]:
        """The CronJob as Kubernetes takes it."""
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": self.name},
            "spec": {
                "schedule": self.schedule,
                "suspend": self.suspend,
                "concurrencyPolicy": "Replace",
                "jobTemplate": {"spec": self._job()},
            },
        }

    def _job(self) -> dict[str, Any]:
        return {
            "completionMode": "Indexed",
            "completions": self.workers_total,
            "parallelism": self.parallelism,
            "backoffLimitPerIndex": 5,
            "maxFailedIndexes": min(3, self.workers_total),
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]},
                ]
            },
            "ttlSecondsAfterFinished": int(self.ttl.total_seconds()),
            "template": {
                "metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}},
                "spec": {
                    "restartPolicy": "Never",
                    "activeDeadlineSeconds": int(self.pod_active_deadline.total_seconds()),
                    "terminationGracePeriodSeconds": 30,
                    "nodeSelector": NODE_SELECTOR,
                    "securityContext": {"fsGroup": 1000},
                    "containers": [self._container()],
                    "volumes": self._volumes(),
                },
            },
        }

    def _container(self) -> dict[str, Any]:
        mounts: list[dict[str, Any]] = [{"name": "scratch", "mountPath": "/scratch"}]
        if self.shared_memory:
            mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
        mounts.extend(
            {"name": name, "mountPath": f"/secrets/{name}.json", "subPath": "contents", "readOnly": True}
            for name in self.secret_names
        )
        return {
            "name": "worker",
            "image": self.image,
            "command": ["python", "-m", "weather", *self.command, self.dataset_id],
            "env": self._env(),
            "resources": {"requests": {"cpu": self.cpu, "memory": self.memory}},
            "volumeMounts": mounts,
        }

    def _env(self) -> list[dict[str, Any]]:
        index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
        return [
            {"name": "WEATHER_ENV", "value": "prod"},
            {"name": "SENTRY_DSN", "valueFrom": {"secretKeyRef": {"name": "sentry", "key": "dsn"}}},
            {"name": "CRON_JOB_NAME", "value": self.name},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "WORKER_INDEX", "valueFrom": {"fieldRef": {"fieldPath": index}}},
            {"name": "WORKERS_TOTAL", "value": str(self.workers_total)},
            {"name": "LOG_PREFIX", "value": "$(CRON_JOB_NAME)/$(WORKER_INDEX)"},  # made of entries above it
        ]

    def _volumes(self) -> list[dict[str, Any]]:
        claim = {
            "metadata": {"labels": {"type": "scratch"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": self.ephemeral_storage}},
            },
        }
        volumes: list[dict[str, Any]] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": claim}}]
        if self.shared_memory:
            memory = {"medium": "Memory", "sizeLimit": self.shared_memory}
            volumes.append({"name": "shared-memory", "emptyDir": memory})
        volumes.extend({"name": name, "secret": {"secretName": name}} for name in self.secret_names)
        return volumes


class ReformatCronJob(CronJob):
    """Brings a dataset up to date."""

    command = ("update",)


class ValidationCronJob(CronJob):
    """Looks whether a dataset is up to date and sound."""

    command = ("validate",)


class ArchiveCronJob(CronJob):
    """Keeps source files in a place that all versions of a dataset share."""

    command = ("archive", "--destination", "s3://weather-archive")
