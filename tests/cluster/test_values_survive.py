"""What Helm and YAML like to change or drop reaches the API server as production's own CronJob does."""

import copy
import json
from pathlib import Path
from typing import Any

from catalogues import FILE, as_staged, bumped, comparable, dataset, make_catalogue_repository, stage
from live import IMAGE, LABEL, Namespace, Production, Staging
from repositories import Repository

DATASET = "pier-swell-forecast"
ODD_TEXTS = (
    *("{{ .Values.jobs }}", "{{", "}}", '{{- fail "no" }}', "$(CRON_JOB_NAME)/x", "${HOME}", "%x", "@x", "`x`"),
    *("1e3", "1234567e8", "08", "0o17", "0x1f", "1.10", "12:30:00", "2024-05-01", "1_000", ".5", "+1", ".inf", ".nan"),
    *("y", "no", "on", "True", "null", "~", "", " ", " leading", "trailing ", "\ttab", "a: b", "a #b", "#x", "- x"),
    *("&a", "*a", "!!binary x", "|", ">", "[", "{}", "'", '"', "\\", "\\n", "two\nlines\n", "\n", "\r", "a\r\nb"),
    *("é", "日本", "🌊", "\u2028", "\ufeff", "<<", "=", "---", "...", "?"),
)


def entry() -> dict[str, Any]:
    """A dataset whose CronJobs hold zeros, falsehoods, empty collections, large numbers and odd texts."""
    texts = [{"name": f"TEXT_{index}", "value": text} for index, text in enumerate(ODD_TEXTS)]
    name = {"name": "CRON_JOB_NAME", "value": f"{DATASET}-update"}
    everywhere = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {}}
    pod = {
        "restartPolicy": "Never",
        "hostNetwork": False,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {},
        "tolerations": [],
        "hostAliases": [],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [everywhere]}},
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "fsGroup": 2**31 - 1, "supplementalGroups": [0]},
        "initContainers": [
            {"name": "named", "image": "i", "env": [{"name": "FIRST", "value": ""}, name, *texts[:9]]},
            {"name": "unnamed", "image": "i", "args": list(ODD_TEXTS)},
            {"name": "sidecar", "image": "i", "restartPolicy": "Always", "ports": [{"containerPort": 1}]},
        ],
        "containers": [
            {
                "name": "worker",
                "image": "i",
                "command": ["sh", "-c", 'set -eu\n\n  echo "{{ x }}"\t# $(CRON_JOB_NAME)\n'],
                "args": [],
                "env": [*texts, name, {"name": "AFTER", "value": "$(CRON_JOB_NAME)"}],
                "ports": [],
                "resources": {"requests": {"cpu": 0.5, "memory": 5_000_000_000, "ephemeral-storage": 0}, "limits": {}},
                "securityContext": {"privileged": False, "capabilities": {"add": [], "drop": []}, "runAsUser": 0},
                "volumeMounts": [{"name": "empty", "mountPath": "/empty", "readOnly": False}],
            },
            {"name": "empty-env", "image": "i", "env": [], "envFrom": [], "resources": {}, "stdin": False},
            {"name": "no-env", "image": "i", "securityContext": {}},
        ],
        "volumes": [
            {"name": "empty", "emptyDir": {}},
            {"name": "sized", "emptyDir": {"sizeLimit": 2**40}},
            {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0, "optional": False, "items": []}},
        ],
    }
    marks = {f"swell.example/{index}": text for index, text in enumerate((*ODD_TEXTS, "long words " * 5000))}
    labels = {
        "team": "",
        "app.kubernetes.io/component": "",
        "swell.example/on": "on",
        "swell.example/zero": "0",
        "app.kubernetes.io/name": "swell",
    }
    update = {
        "schedule": "0 0 29 2 *",
        "timeZone": "Pacific/Kiritimati",
        "suspend": False,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3_000_000_000,
        "successfulJobsHistoryLimit": 0,
        "failedJobsHistoryLimit": 0,
        "jobTemplate": {
            "metadata": {"labels": labels, "annotations": marks},
            "spec": {
                "parallelism": 0,
                "completions": 0,
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": 0,
                "activeDeadlineSeconds": 2**53 - 1,
                "suspend": False,
                "template": {"metadata": {"labels": labels, "annotations": marks}, "spec": pod},
            },
        },
    }
    # Its team pauses this one itself, with no more than Kubernetes asks for.
    bare = {"restartPolicy": "OnFailure", "containers": [{"name": "worker", "image": "i"}]}
    validate = {"schedule": "@yearly", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": bare}}}}
    return dataset(
        DATASET,
        "1.09.9",
        *(
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": f"{DATASET}-{key}", **more},
                "spec": spec,
            }
            for key, more, spec in (
                ("update", {"labels": labels, "annotations": marks}, update),
                ("validate", {}, validate),
            )
        ),
    )


def test_odd_values_survive(staging: Staging, production: Production, live: Namespace, tmp_path: Path) -> None:
    in_production = production(entry()["cronjobs"])
    repository = make_catalogue_repository(tmp_path, [entry()])
    new = bumped(entry())
    folder = stage(repository, new, tmp_path / "clones")
    staged = deploy(staging, live, folder, new)
    assert len(staged) == len(in_production) == 2
    for source, made in zip(in_production.values(), staged.values(), strict=True):
        assert comparable(made, source) == as_staged(source, made)

    # Nothing of it changes again with the next deploy of the same jobs, from another commit.
    repository.write("notes.txt", "another commit\n")
    repository.commit()
    repository.push(f"stage/{DATASET}/v{new['version']}")
    Repository(folder, repository.remote).git("pull", "--quiet")
    again = deploy(staging, live, folder, new)
    assert {name: made["metadata"]["generation"] for name, made in again.items()} == dict.fromkeys(staged, 1)
    for before, after in zip(staged.values(), again.values(), strict=True):
        assert after["spec"] == before["spec"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        commit = f"{LABEL}commit"
        assert after["metadata"]["annotations"][commit] != before["metadata"]["annotations"][commit]


def test_pausing_changes_nothing_else(staging: Staging, live: Namespace, tmp_path: Path) -> None:
    new = bumped(entry())
    folder = stage(make_catalogue_repository(tmp_path, [entry()]), new, tmp_path / "clones")
    running = deploy(staging, live, folder, new)
    target = ("--branch", f"stage/{DATASET}/v{new['version']}")
    staging.run(folder, "pause", *target)
    paused = {c["metadata"]["name"]: c for c in live.all("cronjobs")}
    for name, before in running.items():
        expected = copy.deepcopy(before["spec"]) | {"suspend": True}
        assert paused[name]["spec"] == expected
    staging.run(folder, "resume", *target)
    resumed = {c["metadata"]["name"]: c["spec"] for c in live.all("cronjobs")}
    assert resumed == {name: before["spec"] for name, before in running.items()}
    assert sorted(spec["suspend"] for spec in resumed.values()) == [False, True]


def deploy(staging: Staging, live: Namespace, folder: Path, new: dict[str, Any]) -> dict[str, dict[str, Any]]:
    target = ("--branch", f"stage/{DATASET}/v{new['version']}")
    staging.run(folder, "deploy", *target, "--datasets", FILE, "--docker-image", IMAGE)
    release = json.loads(staging.helm("list", "-o", "json"))[0]["name"]
    return {c["metadata"]["name"]: c for c in live.all("cronjobs", f"{LABEL}release={release}")}
