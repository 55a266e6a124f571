"""How a Job stands, and in words why it failed or does not start: from the Job and its pods, as Kubernetes has them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]

RUNNING, SUCCEEDED, FAILED, STUCK = "running", "succeeded", "failed", "stuck"
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
NOT_STARTED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")
PATIENCE = 120  # seconds that a pod may take to start, before that is told
LONGEST = 200  # characters of a message of others


@dataclass(frozen=True)
class Run:
    """One Job of a CronJob."""

    name: str
    state: str  # running, stuck (it runs, but a pod does not start or starts again and again), succeeded, failed
    began: str  # when: a timestamp of Kubernetes
    ended: str  # empty while it runs
    reason: str  # in words; empty when all is well
    pod: str  # that shows the reason, and is still there; empty without

    @property
    def bad(self) -> bool:
        """Whether somebody should look at it."""
        return self.state in (FAILED, STUCK)


def condition(job: Object) -> Object:
    """The condition by which a Job is over; empty while it is not.

    `active` may be 0 between two attempts, and just after the Job was made, so it proves nothing.
    """
    found = job.get("status", {}).get("conditions") or []
    return next((c for c in found if c["type"] in ("Complete", "Failed") and c["status"] == "True"), {})


def of(job: Object, pods: Mapping[str, Sequence[Object]] | None, now: datetime) -> Run:
    """How a Job stands. `pods` are those that still exist, by their Job; None where that is not known."""
    metadata, status, end = job["metadata"], job.get("status", {}), condition(job)
    began = status.get("startTime") or metadata["creationTimestamp"]
    age = (now - datetime.fromisoformat(metadata["creationTimestamp"])).total_seconds()
    own = pods.get(metadata["name"], ()) if pods else ()
    ordered = sorted(own, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)  # the newest first
    if end.get("type") == "Complete":
        return Run(metadata["name"], SUCCEEDED, began, status.get("completionTime", ""), "", "")
    if end:
        pod, why = _failure(job, end, ordered)
        return Run(metadata["name"], FAILED, began, end.get("lastTransitionTime", ""), why, pod)
    for pod in ordered:
        if why := _obstacle(pod, age):
            return Run(metadata["name"], STUCK, began, "", why, pod["metadata"]["name"])
    if pods is not None and not ordered and age > PATIENCE and not job["spec"].get("suspend"):
        return Run(metadata["name"], STUCK, began, "", "it has no pod", "")
    if failures := _endings(ordered):
        return Run(metadata["name"], RUNNING, began, "", f"an attempt failed: {failures[0][1]}", failures[0][0])
    return Run(metadata["name"], RUNNING, began, "", "", "")


def _failure(job: Object, end: Object, pods: Sequence[Object]) -> tuple[str, str]:
    """The pod that shows why a Job failed, and the reason."""
    failures = _endings(pods)
    pod, why = failures[0] if failures else ("", "")
    if end.get("reason") == "DeadlineExceeded":
        limit = job["spec"].get("activeDeadlineSeconds")
        return pod, f"deadline exceeded ({limit} s)" if limit else "deadline exceeded"
    if why:
        return pod, why
    told = ": ".join(filter(None, (end.get("reason", ""), _short(end.get("message", "")))))
    return "", f"{told or 'no reason is given'}; its pods are gone"


def _endings(pods: Sequence[Object]) -> list[tuple[str, str]]:
    """The pods that failed, the newest first, and why."""
    found = ((pod["metadata"]["name"], why) for pod in pods if (why := next(_ending(pod), "")))
    return list(found)


def _ending(pod: Object) -> Iterator[str]:
    status = pod.get("status", {})
    for container in _containers(status):
        ended = container.get("state", {}).get("terminated") or {}
        if code := ended.get("exitCode"):
            reason = ended.get("reason", "")
            yield f"exit code {code}{f' ({reason})' if reason not in ('', 'Error') else ''}"
    if status.get("phase") == "Failed":
        yield ": ".join(filter(None, (status.get("reason", ""), _short(status.get("message", ""))))) or "the pod failed"


def _obstacle(pod: Object, age: float) -> str:
    """Why a pod does not start, or starts again and again; empty for one that does neither."""
    status = pod.get("status", {})
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), _short(waiting.get("message", ""))
        if reason in NOT_PULLED:
            return f"image {container.get('image', '')} is not pulled ({reason})"
        if reason in NOT_STARTED:
            return f"container {container.get('name', '')} cannot start: {message or reason}"
        if reason == "CrashLoopBackOff":
            code = (container.get("lastState", {}).get("terminated") or {}).get("exitCode", "unknown")
            return f"it starts again and again: exit code {code}"
    if status.get("phase") != "Pending":
        return ""
    for told in status.get("conditions") or []:
        if told["type"] == "PodScheduled" and told["status"] == "False":
            return f"no node takes its pod: {_short(told.get('message', '')) or told.get('reason', '')}"
    # A Secret or ConfigMap that is mounted and missing shows only in events.
    return "its pod does not start" if age > PATIENCE else ""


def _containers(status: Object) -> Iterator[Object]:
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
