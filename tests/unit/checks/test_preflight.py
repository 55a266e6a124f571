"""What must hold before a deploy, what a job's pods refer to, and what they would share with production's."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalogues import record
from hostile import Hostile
from repositories import make_repository
from staging_cronjobs.checks import preflight
from staging_cronjobs.errors import Refused, Usage
from staging_cronjobs.external import git
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.external.git import Checkout
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.settings import Settings, load
from staging_cronjobs.model.staged_version import StagedVersion
from staging_cronjobs.model.values import Job, Values

STAGED = StagedVersion("ridge-snow", "0.2.0")
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
@pytest.mark.parametrize(
    "mark",
    ["argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name"],
)
def test_a_mark_of_another_manager_is_told(field: str, mark: str) -> None:
    new = values()
    job = new.jobs["update"].model_copy(update={field: {mark: "x", "team": "snow"}})
    (line,) = preflight.tracked(new.model_copy(update={"jobs": {"update": job}}))
    assert line.startswith(f"update carries {mark}: ")
    assert preflight.tracked(new) == []


def test_the_label_by_which_argo_cd_tracks_unless_told_otherwise_is_told() -> None:
    """As a label, which the chart leaves as it is. What a job has as `managed-by` never gets to the cluster."""
    new, labels = values(), {"app.kubernetes.io/instance": "weather", "app.kubernetes.io/managed-by": "argocd"}
    labelled = new.jobs["update"].model_copy(update={"labels": labels, "annotations": labels})
    (line,) = preflight.tracked(new.model_copy(update={"jobs": {"update": labelled}}))
    assert line.startswith("update carries app.kubernetes.io/instance: the tool that set it may change or delete")
    annotated = new.jobs["update"].model_copy(update={"annotations": labels})
    assert preflight.tracked(new.model_copy(update={"jobs": {"update": annotated}})) == []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A work tree with the template of ridge-snow at version 0.2.0, in the folder `t`."""
    write_template(tmp_path, "0.2.0")
    return Checkout(tmp_path.resolve(), "origin", "main", "a/b")


def write_template(folder: Path, version: str, dataset_id: str = "ridge-snow") -> None:
    attributes = {"dataset_id": dataset_id, "dataset_version": version}
    (folder / "t").mkdir(exist_ok=True)
    (folder / "t" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "attributes": attributes}))


def of_version(version: str) -> Dataset:
    return Dataset(dataset_id="ridge-snow", version=version, template_path="t")


def test_code_and_template_at_the_version_of_the_branch_are_good(checkout: Checkout) -> None:
    assert preflight.check_template(of_version("0.2.0"), STAGED, checkout) == "t"


@pytest.mark.parametrize("missing", [{}, {"version": "0.2.0"}, {"template_path": "t"}])
def test_a_dataset_without_version_or_template_cannot_be_staged(missing: dict[str, str], checkout: Checkout) -> None:
    found = Dataset.model_validate({"dataset_id": "ridge-snow"} | missing)
    with pytest.raises(Refused, match=r"dataset ridge-snow has no version and template\. It cannot be staged\."):
        preflight.check_template(found, STAGED, checkout)


@pytest.mark.parametrize("version", ["0.1.0", "0.2", "0.2.00"])
@pytest.mark.parametrize("where", ["the code", "t/zarr.json"])
def test_a_template_at_another_version_is_refused_with_both_ways_out(
    version: str, where: str, checkout: Checkout
) -> None:
    write_template(checkout.folder, version if where != "the code" else "0.2.0")
    with pytest.raises(Refused) as caught:
        preflight.check_template(of_version(version if where == "the code" else "0.2.0"), STAGED, checkout)
    assert str(caught.value) == (
        f"the template of ridge-snow is at version {version}, not 0.2.0, in {where}. "
        f"Set it to 0.2.0, or push to stage/ridge-snow/v{version}."
    )


def test_a_template_of_another_dataset_is_refused(checkout: Checkout) -> None:
    write_template(checkout.folder, "0.2.0", "ridge")
    with pytest.raises(Refused, match=r't/zarr\.json is the template of dataset "ridge", not of ridge-snow'):
        preflight.check_template(of_version("0.2.0"), STAGED, checkout)


def test_a_template_with_a_malformed_version_is_refused_as_well(checkout: Checkout) -> None:
    with pytest.raises(Usage, match="version 'latest' is not usable"):
        preflight.check_template(of_version("latest"), STAGED, checkout)


@pytest.mark.parametrize("setting", ["namespace", "kube_context", "repository"])
def test_a_deploy_goes_where_main_says(setting: str, hostile: Hostile) -> None:
    ours, main = Settings(), Settings(namespace="a", kube_context="a", repository="a")
    preflight.check_place(ours, main, "origin/main")  # what the branch does not say is main's to say
    preflight.check_place(main, main, "origin/main")
    for there, said in ((main, "'a' on origin/main"), (Settings(), "not set on origin/main")):
        with pytest.raises(Refused) as caught:
            preflight.check_place(replace(there, **{setting: "b"}), there, "origin/main")
        assert f"{setting.replace('_', '-')} is 'b' in this branch's pyproject.toml, and {said}." in str(caught.value)
        hostile.tried("settings of a branch", str(caught.value))


def test_what_is_not_committed_is_not_deployed_unless_somebody_insists(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    preflight.check_committed(git.checkout(load(repository.path, {})), allow_dirty=False)
    for name in "abcde":
        repository.write(f"{name}.py", "")
    dirty = git.checkout(load(repository.path, {}))
    preflight.check_committed(dirty, allow_dirty=True)
    with pytest.raises(Refused) as caught:
        preflight.check_committed(dirty, allow_dirty=False)
    assert str(caught.value) == (
        f"a.py, b.py, c.py and 2 more in {dirty.folder}: not committed, so commit {dirty.head()[:12]} is not what "
        "would be deployed. Commit and push, or pass --allow-dirty."
    )


def test_main_must_not_have_the_version() -> None:
    preflight.check_main(STAGED, "origin/main", None)
    preflight.check_main(STAGED, "origin/main", "0.1.0")
    with pytest.raises(Refused, match=r"origin/main has version 0\.2\.0 of ridge-snow too: production already runs it"):
        preflight.check_main(STAGED, "origin/main", "0.2.0")


def test_a_new_dataset_is_neither_elsewhere_on_main_nor_in_production() -> None:
    preflight.check_new(STAGED, "origin/main", [], [])
    with pytest.raises(Refused, match="origin/main has ridge-snow elsewhere, in src/a: its version cannot be compared"):
        preflight.check_new(STAGED, "origin/main", ["src/b", "src/a"], ["ridge-snow-update"])
    with pytest.raises(Refused, match="no template of ridge-snow, yet its CronJob ridge-snow-update is in the names"):
        preflight.check_new(STAGED, "origin/main", [], ["ridge-snow-validate", "ridge-snow-update"])
