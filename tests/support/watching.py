"""What a namespace's CronJobs and Jobs were at each moment, from watch events, and who could write then."""

import json
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from catalogues import cron_job
from live import Namespace, wait_until

KINDS = ("cronjobs", "jobs")
CANARY = "canary"


def make_canary(live: Namespace) -> None:
    """A CronJob that is no writer, and whose Jobs stay suspended: they show that the controller has been at work."""
    canary = cron_job(CANARY)
    canary["spec"]["jobTemplate"]["spec"]["suspend"] = True
    assert live.create(canary).accepted


def fire_all(live: Namespace) -> None:
    """Make every CronJob overdue; once the canary has fired, the controller has seen the others too, or soon will."""
    for job in live.all("jobs"):
        if ended(job) or job["metadata"]["name"].startswith(
            CANARY
        ):  # else the slot's next Job has a name that is taken
            live.delete("jobs", job["metadata"]["name"])
    wait_until(lambda: not live.jobs_of(CANARY), what="the canary's last Job is gone")
    for name in sorted(live.names("cronjobs"), key=lambda name: name == CANARY):
        live.fire(name)
    wait_until(lambda: live.jobs_of(CANARY), what="the canary fired")


def ended(job: Mapping[str, Any]) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", []))


@contextmanager
def watched(live: Namespace, folder: Path) -> Generator[None]:
    """Every change of a CronJob or Job in the namespace goes into a file of the folder, by kind."""
    since = json.loads(live.kubectl("get", "--raw", f"/apis/batch/v1/namespaces/{live.name}/jobs"))["metadata"]
    query = f"watch=1&resourceVersion={since['resourceVersion']}"
    with ExitStack() as stack:
        for kind in KINDS:
            command = [
                live.cluster.bin / "kubectl",
                "get",
                "--raw",
                f"/apis/batch/v1/namespaces/{live.name}/{kind}?{query}",
            ]
            events = stack.enter_context((folder / kind).open("wb"))
            process = subprocess.Popen(command, env=live.cluster.environment(), stdout=events)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield
        wait_until(
            lambda: {*list(history(folder))[-1]} == {(k, n) for k in KINDS for n in live.names(k)}, what="all is seen"
        )


def history(folder: Path) -> Iterator[dict[tuple[str, str], dict[str, Any]]]:
    """The CronJobs and Jobs that there were after each change."""
    lines = [
        (kind, line) for kind in KINDS for line in (folder / kind).read_text().splitlines(True) if line.endswith("\n")
    ]
    events = [(kind, event["type"], event["object"]) for kind, line in lines for event in [json.loads(line)]]
    there: dict[tuple[str, str], dict[str, Any]] = {}
    yield there
    for kind, change, thing in sorted(events, key=lambda event: int(event[2]["metadata"]["resourceVersion"])):
        there = {at: other for at, other in there.items() if at != (kind, thing["metadata"]["name"])}
        if change != "DELETED":
            there[kind, thing["metadata"]["name"]] = thing
        yield there


def writers(there: Mapping[tuple[str, str], dict[str, Any]]) -> set[str]:
    """The CronJobs that may start a Job, or have one that has not ended."""
    found = {name for (kind, name), job in there.items() if kind == "cronjobs" and not job["spec"].get("suspend")}
    for (kind, _), job in there.items():
        if kind == "jobs" and not ended(job):
            found |= {owner["name"] for owner in job["metadata"]["ownerReferences"]}
    return found
