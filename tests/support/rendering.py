"""The chart through the real `helm template`, read back with Kubernetes' own reader."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.cluster import FOR_A_MOMENT

CHART = Path(__file__).parents[2] / "charts" / "staging-cronjobs"
RELEASE = "staging-ridge-snow-v0-2-0"
NAMESPACE = "weather"
KUBERNETES = "v1.37.2"  # a Helm that is built from its module alone takes the cluster for 1.20

Object = dict[str, Any]


class RenderError(Exception):
    """Helm's complaint, on stderr."""

    def __init__(self, stderr: str) -> None:
        super().__init__(stderr)
        self.stderr = stderr


@dataclass(frozen=True)
class Reader:
    """kubectl, which reads YAML as every Kubernetes program does, and needs no cluster for it."""

    kubectl: Path

    def objects(self, manifests: str) -> list[Object]:
        command = [self.kubectl, "annotate", "--local", "-f", "-", "-o", "json", "no-such-annotation-"]
        decoder, text = json.JSONDecoder(), _run(command, manifests).rstrip()
        found, end = [], 0
        while end < len(text):
            one, end = decoder.raw_decode(text, text.index("{", end))
            found.append(one)
        return found


def render_chart(
    helm: Path,
    values: str | Mapping[str, Any],
    *,
    release: str = RELEASE,
    chart: Path = CHART,
    more: tuple[str, ...] = (),
) -> str:
    """The manifests of a release. Raises `RenderError`."""
    text = values if isinstance(values, str) else as_json(values)
    command = [helm, "template", release, chart, "-f", "-", "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    return _run([*command, *more], text)


def as_json(values: Mapping[str, Any]) -> str:
    """JSON that Helm reads: what YAML cannot hold is escaped, and nothing else, for it knows no surrogate pairs."""
    text = json.dumps(values, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def cron_job(helm: Path, reader: Reader, values: str | Mapping[str, Any]) -> Object:
    """The one CronJob of a release."""
    (found,) = reader.objects(render_chart(helm, values))
    return found


def pod(cronjob: Object) -> Object:
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def hand_made(*keys: str, **job: Any) -> Object:
    """Values as a person might write them: one job for each key, `update` alone by default."""
    return {
        "record": {
            "format": 1,
            "repository": "dynamical-demo/weather",
            "dataset_id": "ridge-snow",
            "version": "0.2.0",
            "branch": "stage/ridge-snow/v0.2.0",
            "commit": "1234567e8",
            "image": "example.registry/weather:1234567e8",
            "template_path": "src/latest.zarr",
            "stores": ["s3://weather-data/ridge-snow/v0.2.0.icechunk"],
        },
        "jobs": {key: {"name": f"{RELEASE}-{key}", "spec": spec(), **job} for key in keys or ("update",)},
    }


def spec(**pod: Any) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "i:1"}], **pod}}
    return {"schedule": "0 5 * * *", "jobTemplate": {"spec": {"template": template}}}


def without_ours(cronjob_spec: Object) -> Object:
    """A copy without what staging may change: CRON_JOB_NAME and our labels, with what they alone stand in."""
    found = copy.deepcopy(cronjob_spec)
    for place in (found["jobTemplate"], found["jobTemplate"]["spec"]["template"]):
        metadata = place.get("metadata", {})
        labels = {k: v for k, v in metadata.pop("labels", {}).items() if not k.startswith("staging-cronjobs/")}
        place["metadata"] = metadata | ({"labels": labels} if labels else {})
    spec = found["jobTemplate"]["spec"]["template"]["spec"]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        container["env"] = [entry for entry in container.get("env", []) if entry["name"] != "CRON_JOB_NAME"]
    return found


def _run(command: list[Any], text: str) -> str:
    # No settings, plugins or cluster of the machine.
    environment = {"HOME": "/nonexistent", "PATH": os.defpath, "KUBECONFIG": "/nonexistent/config", **FOR_A_MOMENT}
    # Bytes: reading as text would turn a lone carriage return into a line's end.
    done = subprocess.run(command, input=text.encode("utf-8", "surrogatepass"), capture_output=True, env=environment)
    if done.returncode:
        raise RenderError(done.stderr.decode())
    return done.stdout.decode()
