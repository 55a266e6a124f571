"""Jobs of staged versions that run, fail or never start, as tests of what is told of them need them."""

import json
from typing import Any

from live import Namespace, wait_until
from staged import RUN_SECONDS

EXIT_CODE = "staging-cronjobs.test/exit-code"
NOWHERE = {"nodeSelector": {"no-such": "node"}}  # kwok has no hand in a pod that no node takes


def start(live: Namespace, cron_job: str, name: str, **pod: Any) -> str:
    """A Job of a CronJob whose pod is changed; gives the Job's name."""
    job = json.loads(
        live.kubectl("create", "job", f"--from=cronjob/{cron_job}", name, "--dry-run=client", "-o", "json")
    )
    template = job["spec"]["template"]
    template["metadata"]["annotations"] = {RUN_SECONDS: "0", **pod.pop("annotations", {})}
    job["spec"] |= pod.pop("job", {"backoffLimit": 0})
    template["spec"] |= pod
    assert live.create(job).accepted
    return name


def pod_of(live: Namespace, job: str) -> str:
    wait_until(lambda: live.names("pods", f"job-name={job}"), what="the Job has a pod")
    return live.names("pods", f"job-name={job}")[0]


def waiting(live: Namespace, job: str, reason: str, message: str) -> None:
    """Write into a pod's status what kubelet would."""
    (name,) = [pod_of(live, job)]
    wait_until(lambda: live.get("pods", name)["status"].get("conditions"), what="the scheduler has looked at it")
    state = {"waiting": {"reason": reason, "message": message}}
    container = live.get("pods", name)["spec"]["containers"][0]
    entry = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    status = {"status": {"containerStatuses": [{**entry, "state": state}]}}
    live.patch("pods", name, status, subresource="status", how="merge")


def over(live: Namespace, job: str) -> bool:
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True"
        for c in live.get("jobs", job)["status"].get("conditions", [])
    )
