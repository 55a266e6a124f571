"""What a Job and its pods say about how it stands."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from staging_cronjobs.model import runs

MADE = "2026-11-25T12:00:00Z"
LATER = "2026-11-25T12:05:00Z"


def job(*conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    status = {"conditions": list(conditions), "startTime": MADE, "completionTime": LATER}
    return {"metadata": {"name": "j", "creationTimestamp": MADE}, "spec": spec, "status": status}


def stands(made: dict[str, Any], pods: list[dict[str, Any]] | None, age: float) -> runs.Run:
    """How a Job that was made so many seconds ago stands."""
    by_job = None if pods is None else {"j": pods, "other": [pod("of another")]}
    return runs.of(made, by_job, datetime.fromisoformat(MADE) + timedelta(seconds=age))


def over(kind: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": LATER}


def pod(name: str = "p", made: str = MADE, phase: str = "Pending", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": made}, "status": {"phase": phase, **status}}


def ended(code: int, reason: str = "Error") -> list[dict[str, Any]]:
    return [{"name": "worker", "image": "i", "state": {"terminated": {"exitCode": code, "reason": reason}}}]


def waiting(reason: str, message: str = "", **more: Any) -> list[dict[str, Any]]:
    state = {"waiting": {"reason": reason, "message": message}}
    return [{"name": "worker", "image": "registry/i:1", "state": state, **more}]


def test_a_job_that_is_over_says_how_and_when() -> None:
    assert stands(job(over("Complete")), [], 900) == runs.Run("j", runs.SUCCEEDED, MADE, LATER, "", "")
    failed = stands(job(over("Failed", "BackoffLimitExceeded")), [pod(containerStatuses=ended(3))], 900)
    assert failed == runs.Run("j", runs.FAILED, MADE, LATER, "exit code 3", "p")
    assert failed.bad and not stands(job(over("Complete")), [], 900).bad


@pytest.mark.parametrize(
    ("end", "pods", "why"),
    [
        (over("Failed", "DeadlineExceeded", "long"), [], "deadline exceeded (60 s)"),
        (over("Failed", "BackoffLimitExceeded"), [pod(containerStatuses=ended(137, "OOMKilled"))], "137 (OOMKilled)"),
        (over("Failed", "BackoffLimitExceeded"), [pod(initContainerStatuses=ended(2))], "exit code 2"),
        (over("Failed", "X"), [pod(phase="Failed", reason="Evicted", message="no\ndisk")], "Evicted: no disk"),
        (over("Failed", "X"), [pod(phase="Failed")], "the pod failed"),
        (over("Failed", "BackoffLimitExceeded", "too often"), [], "BackoffLimitExceeded: too often; its pods are gone"),
        (over("Failed"), [], "no reason is given; its pods are gone"),
    ],
)
def test_a_failed_job_has_a_reason(end: dict[str, Any], pods: list[dict[str, Any]], why: str) -> None:
    assert why in stands(job(end, activeDeadlineSeconds=60), pods, 900).reason


def test_of_several_attempts_the_newest_counts() -> None:
    pods = [pod("a", phase="Failed", containerStatuses=ended(1)), pod("b", LATER, containerStatuses=ended(2))]
    assert stands(job(over("Failed")), pods, 900).reason == "exit code 2"
    assert stands(job(), [pods[0], pod("c", LATER, phase="Running")], 900) == runs.Run(
        "j", runs.RUNNING, MADE, "", "an attempt failed: exit code 1", "a"
    )


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"containerStatuses": waiting("ImagePullBackOff")}, "image registry/i:1 is not pulled (ImagePullBackOff)"),
        ({"initContainerStatuses": waiting("ErrImagePull")}, "image registry/i:1 is not pulled (ErrImagePull)"),
        (
            {"containerStatuses": waiting("CreateContainerConfigError", 'secret "sentry" not found')},
            'container worker cannot start: secret "sentry" not found',
        ),
        (
            {"containerStatuses": waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 7}})},
            "it starts again and again: exit code 7",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]},
            "no node takes its pod: 0/3 nodes",
        ),
        ({"containerStatuses": waiting("ContainerCreating")}, "its pod does not start"),
    ],
)
def test_a_job_whose_pod_does_not_start_is_stuck(status: dict[str, Any], why: str) -> None:
    found = stands(job(), [pod(**status)], 900)
    assert (found.state, found.reason, found.pod) == (runs.STUCK, why, "p")


def test_what_has_just_begun_is_not_stuck() -> None:
    creating = [pod(containerStatuses=waiting("ContainerCreating"))]
    assert stands(job(), creating, 5).state == stands(job(), [], 5).state == runs.RUNNING
    assert stands(job(), [], 900).state == runs.STUCK
    assert stands(job(suspend=True), [], 900).state == runs.RUNNING
    assert stands(job(), None, 900).state == runs.RUNNING  # that it has no pod is not known


def test_a_long_message_is_cut() -> None:
    found = stands(job(), [pod(containerStatuses=waiting("CreateContainerError", "x" * 5000))], 1)
    assert len(found.reason) < 300 and found.reason.endswith("…")
