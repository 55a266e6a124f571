"""Every list that a patch merges by key is as the dataset asked for, also where entries have equal keys.

Helm's own patch loses entries of such lists, and says that all is well; so releases are replaced, not patched.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any

import pytest

from catalogues import as_staged, bumped, dataset, make_catalogue_repository, stage
from cronjob_specs import Specs, examples
from live import IMAGE, LABEL, Namespace, Staging, wait_until

DATASET = "merge-keys"
RELEASE = "staging-merge-keys-v0-1-1"
OUTSIDE = 4
POD = "jobTemplate.spec.template.spec"
FIRED = dict.fromkeys(("lastScheduleTime", "lastSuccessfulTime"), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
LAST = ("zz-one", "zz-two")  # the jobs that Helm makes last
Object = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What stands in a list: three entries, some of one key where the API server takes that, and the second changed."""

    entries: tuple[Any, ...]
    changed: Any
    ordered: bool = False  # the API server takes them in one order alone


def constraint(key: str, otherwise: str, skew: int = 1) -> Object:
    return {"topologyKey": key, "whenUnsatisfiable": otherwise, "maxSkew": skew, "labelSelector": {}}


def owner(name: str, uid: str = "a") -> Object:
    return {"apiVersion": "v1", "kind": "Owner", "name": name, "uid": uid}


def claim(name: str, kind: str = "resourceClaimName") -> Object:
    return {"name": name, kind: "c"}


def block(number: int, path: str) -> Object:
    return {"name": f"block-{number}", "devicePath": path}


NAMED = {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
FINALIZERS = Case(("x.example/a", "x.example/a", "x.example/b"), "x.example/c")
OWNERS = Case((owner("a"), owner("b"), owner("c", "c")), owner("changed"))
CONTAINERS = Case(tuple({"name": n, "image": "i"} for n in ("one", "two", "three")), {"name": "two", "image": "j"})
OF_A_CONTAINER = {
    "env": Case(({"name": "B", "value": "1"}, NAMED, {"name": "B", "value": "$(B)"}), {"name": "B"}),
    "ports": Case(
        tuple({"containerPort": 80, "protocol": p} for p in ("TCP", "UDP", "SCTP")),
        {"containerPort": 80, "protocol": "UDP", "name": "changed"},
    ),
    "resources.claims": Case(
        tuple({"name": "claim", "request": r} for r in "abc"), {"name": "claim", "request": "changed"}
    ),
    "restartPolicyRules.[].exitCodes.values": Case((1, 2, 2), 3),
    "volumeDevices": Case((block(1, "/dev/a"), block(2, "/dev/b"), block(3, "/dev/c")), block(4, "/dev/b")),
    "volumeMounts": Case(
        tuple({"name": "data", "mountPath": f"/{place}"} for place in "abc"),
        {"name": "data", "mountPath": "/b", "readOnly": True},
    ),
}
CASES: dict[str, Case] = {
    "jobTemplate.metadata.finalizers": FINALIZERS,
    "jobTemplate.metadata.ownerReferences": OWNERS,
    "jobTemplate.spec.podFailurePolicy.rules.[].onExitCodes.values": Case((2, 3, 5), 4, ordered=True),
    "jobTemplate.spec.template.metadata.finalizers": FINALIZERS,
    "jobTemplate.spec.template.metadata.ownerReferences": OWNERS,
    f"{POD}.containers": CONTAINERS,
    **{f"{POD}.containers.[].{name}": case for name, case in OF_A_CONTAINER.items()},
    f"{POD}.hostAliases": Case(
        tuple({"ip": "10.0.0.1", "hostnames": [name]} for name in "abc"),
        {"ip": "10.0.0.1", "hostnames": ["changed"]},
    ),
    f"{POD}.imagePullSecrets": Case(({"name": "a"}, {"name": "a"}, {"name": "b"}), {"name": "changed"}),
    f"{POD}.initContainers": Case(
        tuple({"name": f"init-{n}", "image": "i"} for n in ("one", "two", "three")),
        {"name": "init-two", "image": "j"},
    ),
    **{f"{POD}.initContainers.[].{name}": case for name, case in OF_A_CONTAINER.items()},
    f"{POD}.resourceClaims": Case((claim("a"), claim("b"), claim("c")), claim("b", "resourceClaimTemplateName")),
    f"{POD}.schedulingGates": Case(
        tuple({"name": f"x.example/{name}"} for name in "abc"), {"name": "x.example/changed"}
    ),
    f"{POD}.topologySpreadConstraints": Case(
        (constraint("a", "DoNotSchedule"), constraint("a", "ScheduleAnyway"), constraint("b", "DoNotSchedule")),
        constraint("a", "ScheduleAnyway", 2),
    ),
    f"{POD}.volumes": Case(
        tuple({"name": name, "emptyDir": {}} for name in "abc"), {"name": "b", "configMap": {"name": "levels"}}
    ),
}
# No CronJob has these in this cluster: the API server refuses them in a pod's template, ...
REFUSED = (
    f"{POD}.ephemeralContainers",
    f"{POD}.resources.claims",
    f"{POD}.volumes.[].ephemeral.volumeClaimTemplate.metadata",
)
# ... or drops them, because their feature is switched off.
DROPPED = (
    "jobTemplate.spec.scheduling.resourceClaims",
    f"{POD}.evictionResponders",
    f"{POD}.containers.[].volumeMounts.[].bindMountOptions",
    f"{POD}.initContainers.[].volumeMounts.[].bindMountOptions",
)

# What becomes of three entries `a`, `b`, `c` from deploy to deploy; `x` is `b` changed. The last of them fails.
LIVES = {
    "add": ("a", "ab", "abc", "a"),
    "change": ("abc", "axc", "abc", "axc"),
    "empty": ("abc", "", "bca", ""),
    "mix": ("abc", "cx", "xac", "bc"),
    "remove": ("abc", "ac", "c", "abc"),
    "reorder": ("abc", "cab", "bca", "acb"),
}


def base() -> Object:
    """A spec that has what the entries stand in, and what they refer to."""
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [9]}}]
    worker = {"name": "worker", "image": "i", "restartPolicy": "Never", "restartPolicyRules": rules}
    blocks = [{"name": f"block-{n}", "persistentVolumeClaim": {"claimName": "c"}} for n in range(1, 5)]
    pod = {
        "restartPolicy": "Never",
        "containers": [worker],
        "initContainers": [copy.deepcopy(worker) | {"name": "prepare"}],
        "volumes": [{"name": "data", "emptyDir": {}}, *blocks],
        "resourceClaims": [claim("claim")],
    }
    policy = {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]}
    job = {"podFailurePolicy": policy, "template": {"spec": pod}}
    return {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": job}}


def entries_of(spec: Object, path: str) -> list[Any]:
    """The list at a path, in the first entry of each list on the way; empty where there is none."""
    place: Any = spec
    for part in path.split("."):
        place = place[0] if part == "[]" else place.get(part, {})
    return place or []


def with_entries(spec: Object, path: str, letters: str) -> Object:
    """The spec with these entries added to a list."""
    case = CASES[path]
    known = dict(zip("abcx", (*case.entries, case.changed), strict=True))
    entries = entries_of(spec, path) + [known[letter] for letter in letters]
    return put(spec, path, sorted(entries) if case.ordered else entries)


def put(spec: Object, path: str, entries: list[Any]) -> Object:
    """The spec with this list at a path."""
    *way, last = path.split(".")
    place: Any = spec
    for part in way:
        place = place[0] if part == "[]" else place.setdefault(part, {})
    place[last] = entries
    return spec


def cron_job(key: str, letters: str) -> Object:
    """A job of the dataset with these entries in all lists."""
    spec = base()
    for path in CASES:
        with_entries(spec, path, letters)
    return of(f"{DATASET}-{key}", spec)


def of(name: str, spec: Object) -> Object:
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": copy.deepcopy(spec)}


@dataclass
class Release:
    """The staged version that is deployed again and again."""

    staging: Staging
    live: Namespace
    folder: File
    entry: Object

    @property
    def branch(self) -> tuple[str, str]:
        return "--branch", f"stage/{DATASET}/v{self.entry['version']}"

    def deploy(self, jobs: Sequence[Object], code: int = 0) -> str:
        """Deploy these jobs; gives what was said."""
        given = json.dumps([self.entry | {"cronjobs": jobs}])
        command = ("deploy", *self.branch, "--docker-image", IMAGE, "--datasets", "-")
        return self.staging.run(self.folder, *command, given=given, code=code).stderr

    def running(self) -> dict[str, Object]:
        """The live CronJobs by key."""
        found = self.live.all("cronjobs", f"{LABEL}release")
        return {c["metadata"]["annotations"][f"{LABEL}key"]: c for c in found}

    def check(self, asked: dict[str, Object], *, paused: bool = False) -> None:
        """What is live is what the API server makes of a new CronJob that is asked for so, to the last entry."""
        running = self.running()
        assert running.keys() == asked.keys()
        for key, job in asked.items():
            wanted = self.live.create(job | {"spec": job["spec"] | {"suspend": paused}}, dry_run=True)
            assert wanted.accepted, wanted.message
            expected, found = as_staged(wanted.body, running[key])["spec"], running[key]["spec"]
            for path in CASES:
                # The API server itself leaves out no entry.
                assert len(entries_of(wanted.body["spec"], path)) == len(entries_of(job["spec"], path)), path
                assert entries_of(found, path) == entries_of(expected, path), f"{key}: {path}"
            assert found == expected


@pytest.fixture
def release(staging: Staging, live: Namespace, tmp_path: File) -> Release:
    entry = dataset(DATASET, "0.1.0")
    new = bumped(entry)
    return Release(staging, live, stage(make_catalogue_repository(tmp_path, [entry]), new, tmp_path / "clones"), new)


def test_every_merged_list_is_what_was_asked_for_at_every_step(release: Release) -> None:
    first, second, third, failing = ({key: cron_job(key, life[n]) for key, life in LIVES.items()} for n in range(4))
    for asked in (first, second, third):
        release.deploy([*asked.values()])
        release.check(asked)
        if asked is first:
            for name in release.live.names("cronjobs"):
                release.live.patch("cronjobs", name, {"status": FIRED}, subresource="status")
    marks = kept(release)
    assert all(status == FIRED for _, status in marks.values())
    release.staging.run(release.folder, "pause", *release.branch)
    release.check(third, paused=True)

    allow(release.live, len(LIVES) + 1)
    before = release.running()
    more = [of(f"{DATASET}-{key}", base()) for key in LAST]
    assert "rolled it back: " in release.deploy([*failing.values(), *more], OUTSIDE)
    wait_until(lambda: release.running().keys() == LIVES.keys(), what="the new job is gone")
    release.check(third, paused=True)
    # Each was replaced, and replaced back: the failure came after all of that.
    assert generations(release.running()) == {key: number + 2 for key, number in generations(before).items()}

    release.staging.run(release.folder, "resume", *release.branch)
    release.check(third)
    # By hand, as the summary of a deploy and the notes say it.
    release.staging.helm("rollback", RELEASE, "1", "--force")
    release.check(first)
    assert kept(release) == marks


def kept(release: Release) -> dict[str, Any]:
    """What the cluster itself notes of a CronJob, which no upgrade may lose: who it is, and when it ran."""
    return {key: (job["metadata"]["uid"], job["status"]) for key, job in release.running().items()}


def generations(cron_jobs: dict[str, Object]) -> dict[str, int]:
    return {key: job["metadata"]["generation"] for key, job in cron_jobs.items()}


def allow(live: Namespace, cron_jobs: int) -> None:
    """Let the namespace have no more CronJobs than this; a dry run of each alone still passes."""
    hard = {"count/cronjobs.batch": str(cron_jobs)}
    live.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}})
    wait_until(lambda: live.get("resourcequotas", "few").get("status", {}).get("used"), what="the quota")


def test_no_list_of_the_schema_is_left_out(specs: Specs, live: Namespace) -> None:
    paths = {".".join(path) for path in specs.merged}
    refused = {path for path in paths if path.startswith(REFUSED)}
    assert paths == {*CASES, *DROPPED} | refused
    for path in sorted(paths - CASES.keys()):
        leaf = next(leaf for leaf in specs.leaves if ".".join(leaf).startswith(path))
        (spec,) = examples(specs.having([leaf]), 1)
        assert leaf in specs.present(spec)
        verdict = live.create(of("probe", spec), dry_run=True)
        assert verdict.accepted != (path in refused), f"{path}: {verdict.message}"
        assert leaf not in specs.present(verdict.body.get("spec")), path


def test_equal_keys_are_tried_wherever_the_api_server_takes_them(specs: Specs, live: Namespace) -> None:
    for path, case in CASES.items():
        key = specs.merged[tuple(path.split("."))]
        keys = {entry[key] if key else entry for entry in case.entries}
        once, twice = (with_entries(base(), path, letters) for letters in ("abc", "aa"))
        reverse = put(base(), path, [*case.entries][::-1])
        taken = [live.create(of("probe", spec), dry_run=True).accepted for spec in (once, twice, reverse)]
        assert taken[0], path
        assert len(keys) < len(case.entries) or not taken[1], path
        assert taken[2] != case.ordered, path
