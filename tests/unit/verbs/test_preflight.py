"""What a job's pods refer to, and what they would share with production's."""

from typing import Any

import pytest

from catalogues import record
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.model.values import Job, Values
from staging_cronjobs.verbs import preflight

PRODUCTION = {"update": "ridge-snow-update"}
NAMED = "update has ridge-snow-update, the name of production's job, in"


def values(**pod: Any) -> Values:
    spec = {"containers": [{"name": "worker", "image": "i"}], **pod}
    job = Job(name="staging", spec={"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": spec}}}})
    return Values(record=record(), jobs={"update": job})


@pytest.mark.parametrize(
    ("pod", "found"),
    [
        ({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}, "secret/s"),
        ({"containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "c"}}}]}]}, "configmap/c"),
        ({"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}, "secret/s"),
        ({"initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}, "configmap/c"),
        ({"volumes": [{"secret": {"secretName": "s"}}]}, "secret/s"),
        ({"volumes": [{"configMap": {"name": "c"}}]}, "configmap/c"),
        ({"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]}, "secret/s"),
        ({"volumes": [{"projected": {"sources": [{"configMap": {"name": "c"}}]}}]}, "configmap/c"),
        ({"volumes": [{"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}]}, "secret/s"),
        ({"volumes": [{"azureFile": {"secretName": "s", "shareName": "x"}}]}, "secret/s"),
        ({"volumes": [{"persistentVolumeClaim": {"claimName": "p"}}]}, "persistentvolumeclaim/p"),
        ({"imagePullSecrets": [{"name": "s"}]}, "secret/s"),
        ({"serviceAccountName": "a"}, "serviceaccount/a"),
        ({"priorityClassName": "p"}, "priorityclass/p"),
    ],
)
def test_every_kind_of_reference_is_found(pod: dict[str, Any], found: str) -> None:
    assert [f"{kind}/{name}".lower() for kind, name, _ in preflight.of(pod)] == found.split()


@pytest.mark.parametrize(
    "pod",
    [
        {"containers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "optional": True}}}]}]},
        {"containers": [{"envFrom": [{"configMapRef": {"name": "c", "optional": True}}]}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "s", "optional": True}}]},
        {"volumes": [{"name": "secret", "emptyDir": {}}], "nodeSelector": {"secret": "x"}},
        {"volumes": [{"csi": {"driver": "d", "volumeAttributes": {"secret": "a/b", "serviceAccount": "x"}}}]},
        {"volumes": [{"flexVolume": {"driver": "d", "options": {"priorityClassName": "x"}}}]},
        {"topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"configMap": "y", "serviceAccount": "x"}}}]},
        {"containers": [{"resources": {"limits": {"secret": "1"}}}]},
        {"serviceAccountName": "", "containers": [{"env": [{"name": "secret", "value": "s"}], "args": ["secret"]}]},
    ],
)
def test_what_is_optional_or_no_reference_is_not(pod: dict[str, Any]) -> None:
    assert list(preflight.of(pod)) == []


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"volumes": [{"persistentVolumeClaim": {"claimName": "p"}}]}, "mounts PersistentVolumeClaim p,"),
        ({"containers": [{"ports": [{"containerPort": 1}, {"hostPort": 80}]}]}, "takes port 80 of its node"),
        ({"hostNetwork": True, "containers": [{"ports": [{"containerPort": 81}]}]}, "takes port 81 of its node"),
        ({"containers": [{"args": ["--job=ridge-snow-update"]}]}, f"{NAMED} args: use $(CRON_JOB_NAME)"),
        ({"containers": [{"command": ["run", "x/ridge-snow-update/y"]}]}, f"{NAMED} command: use $(CRON_JOB_NAME)"),
        ({"containers": [{"env": [{"name": "A", "value": "ridge-snow-update"}]}]}, f"{NAMED} variable A: use $"),
    ],
)
def test_what_is_shared_with_production_is_told(pod: dict[str, Any], said: str) -> None:
    (line,) = preflight.shared(values(**pod), PRODUCTION)
    assert line.startswith("update ") and said in line


def test_a_name_that_no_object_can_have_is_told_and_never_asked_for() -> None:
    names = ["a/b", "-o", "--all", "a b", "Upper", "x\n"]
    volumes = [{"name": "v", "secret": {"secretName": name}} for name in names]
    told = preflight.missing(Cluster("no-such-context", "weather"), values(volumes=volumes))
    assert told == [
        f"no Secret can have the name {name!r}: the pods of update will not start without it" for name in sorted(names)
    ]


def test_what_only_looks_like_production_is_not_shared() -> None:
    args = ["ridge-snow", "staging-ridge-snow-update", "ridge-snow-update-2", "update"]
    env = [{"name": "CRON_JOB_NAME", "value": "ridge-snow-update"}, {"name": "A", "valueFrom": {}}]
    pod = {"containers": [{"name": "w", "args": args, "env": env, "ports": [{"containerPort": 1}]}]}
    assert preflight.shared(values(**pod), PRODUCTION) == []
    assert preflight.shared(values(containers=[{"name": "w", "args": ["ridge-snow-update"]}]), {}) == []


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("mark", ["argocd.argoproj.io/tracking-id", "kustomize.toolkit.fluxcd.io/name"])
def test_a_mark_of_another_manager_is_told(field: str, mark: str) -> None:
    new = values()
    job = new.jobs["update"].model_copy(update={field: {mark: "x", "team": "snow"}})
    (line,) = preflight.tracked(new.model_copy(update={"jobs": {"update": job}}))
    assert line.startswith(f"update carries {mark}: ")
    assert preflight.tracked(new) == []
