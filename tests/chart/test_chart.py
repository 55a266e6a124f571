"""The chart with values written by hand: what it adds, what it keeps, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rendering import CHART, RELEASE, Object, Reader, RenderError, cron_job, hand_made, pod, render_chart, spec
from staging_cronjobs.errors import Refused
from staging_cronjobs.model.values import parse

JOB = f"{RELEASE}-update"
OURS = {
    "staging-cronjobs/dataset-id": "ridge-snow",
    "staging-cronjobs/dataset-version": "0.2.0",
    "staging-cronjobs/release": RELEASE,
}
STANDARD = {
    "app.kubernetes.io/name": "staging-cronjobs",
    "app.kubernetes.io/instance": RELEASE,
    "app.kubernetes.io/component": "update",
    "app.kubernetes.io/managed-by": "Helm",
}


def complaint(helm: Path, values: Object, *, release: str = RELEASE) -> str:
    with pytest.raises(RenderError) as caught:
        render_chart(helm, values, release=release)
    return caught.value.stderr


def envs(cronjob: Object) -> dict[str, list[Object]]:
    containers = [*pod(cronjob).get("initContainers", []), *pod(cronjob)["containers"]]
    return {container["name"]: container["env"] for container in containers}


def test_a_job_becomes_a_cron_job_and_nothing_else(helm: Path, reader: Reader) -> None:
    found = reader.objects(render_chart(helm, hand_made("update", "validate")))
    assert [(o["apiVersion"], o["kind"], o["metadata"]["name"], o["metadata"]["namespace"]) for o in found] == [
        ("batch/v1", "CronJob", f"{RELEASE}-update", "weather"),
        ("batch/v1", "CronJob", f"{RELEASE}-validate", "weather"),
    ]


def test_our_labels_stand_on_cron_job_job_and_pod(helm: Path, reader: Reader) -> None:
    found = cron_job(helm, reader, hand_made())
    job = found["spec"]["jobTemplate"]
    assert found["metadata"]["labels"] == OURS | STANDARD
    assert job["metadata"]["labels"] == OURS
    assert job["spec"]["template"]["metadata"]["labels"] == OURS


def test_labels_are_texts_whatever_they_look_like(helm: Path, reader: Reader) -> None:
    values = hand_made()
    values["record"] |= {"dataset_id": "1e3", "version": "1.10", "commit": "08"}
    found = cron_job(helm, reader, values)
    assert found["metadata"]["labels"]["staging-cronjobs/dataset-id"] == "1e3"
    assert found["metadata"]["labels"]["staging-cronjobs/dataset-version"] == "1.10"
    assert found["metadata"]["annotations"]["staging-cronjobs/commit"] == "08"


@pytest.mark.parametrize("suspend", [True, False, None])
def test_the_record_stands_in_annotations_of_the_cron_job(helm: Path, reader: Reader, suspend: bool | None) -> None:
    found = cron_job(helm, reader, hand_made() | {"suspend": suspend})
    assert found["metadata"]["annotations"] == {
        "staging-cronjobs/repository": "dynamical-demo/weather",
        "staging-cronjobs/branch": "stage/ridge-snow/v0.2.0",
        "staging-cronjobs/commit": "1234567e8",
        "staging-cronjobs/image": "example.registry/weather:1234567e8",
        "staging-cronjobs/key": "update",
        "staging-cronjobs/stores": '["s3://weather-data/ridge-snow/v0.2.0.icechunk"]',
        "staging-cronjobs/paused": "true" if suspend else "false",
    }


def test_who_deployed_it_stands_there_where_it_is_known(helm: Path, reader: Reader) -> None:
    origin = {
        "actor": "octocat[bot]",
        "subject": 'Tune: {{ it }} # "ü"',
        "run": "https://github.com/x/y/actions/runs/1",
    }
    values = hand_made()
    before = cron_job(helm, reader, values)
    values["record"] |= origin
    found = cron_job(helm, reader, values)
    marks = {f"staging-cronjobs/{fact}": text for fact, text in origin.items()}
    assert found["metadata"]["annotations"] == before["metadata"]["annotations"] | marks
    assert found["spec"] == before["spec"]
    values["record"] |= dict.fromkeys(origin, "")
    assert cron_job(helm, reader, values) == before


def test_changing_the_record_changes_no_job(helm: Path, reader: Reader) -> None:
    values = hand_made()
    before = cron_job(helm, reader, values)["spec"]
    values["record"] |= {"commit": "other", "image": "other", "branch": "other", "repository": "other", "stores": []}
    assert cron_job(helm, reader, values)["spec"] == before


def test_the_users_labels_and_annotations_are_kept(helm: Path, reader: Reader) -> None:
    mine = {"team": "", "app.kubernetes.io/name": "snow", "app.kubernetes.io/component": ""}
    values = hand_made(labels=mine, annotations={"on-call": "yes", "since": "2024-05-01"})
    job = values["jobs"]["update"]["spec"]["jobTemplate"]
    job["metadata"] = {"labels": {"team": "jobs"}, "annotations": {"a": "job"}}
    job["spec"]["template"]["metadata"] = {"labels": {"app.kubernetes.io/name": "pods"}, "annotations": {"a": "pod"}}
    found = cron_job(helm, reader, values)
    made = found["spec"]["jobTemplate"]
    assert found["metadata"]["labels"] == STANDARD | OURS | mine
    assert found["metadata"]["annotations"].items() >= {"on-call": "yes", "since": "2024-05-01"}.items()
    assert made["metadata"] == {"labels": OURS | {"team": "jobs"}, "annotations": {"a": "job"}}
    template = made["spec"]["template"]["metadata"]
    assert template == {"labels": OURS | {"app.kubernetes.io/name": "pods"}, "annotations": {"a": "pod"}}


def test_nobody_else_sets_our_labels_or_says_who_manages(helm: Path, reader: Reader) -> None:
    forged = {"staging-cronjobs/release": "other", "app.kubernetes.io/managed-by": "me"}
    values = hand_made(
        labels=forged, annotations={f"staging-cronjobs/{key}": "true" for key in ("key", "paused", "image")}
    )
    values["record"]["image"] = ""
    values["jobs"]["update"]["spec"]["jobTemplate"]["metadata"] = {"labels": forged}
    found = cron_job(helm, reader, values)
    assert found["metadata"]["labels"] == OURS | STANDARD
    assert found["spec"]["jobTemplate"]["metadata"]["labels"]["staging-cronjobs/release"] == RELEASE
    annotations = found["metadata"]["annotations"]
    assert [annotations[f"staging-cronjobs/{key}"] for key in ("key", "paused", "image")] == ["update", "false", ""]


def test_a_jobs_own_instance_stays_and_who_manages_it_is_helm(helm: Path, reader: Reader) -> None:
    """Argo CD may track by `instance`: a deploy warns of it."""
    own = {"app.kubernetes.io/instance": "weather", "app.kubernetes.io/managed-by": "argocd"}
    labels = cron_job(helm, reader, hand_made(labels=own))["metadata"]["labels"]
    assert {name: labels[name] for name in own} == {
        "app.kubernetes.io/instance": "weather",
        "app.kubernetes.io/managed-by": "Helm",
    }


def test_a_container_without_an_environment_gets_the_jobs_name(helm: Path, reader: Reader) -> None:
    containers = [
        {"name": "a"},
        {"name": "b", "env": []},
        {"name": "c", "env": None},
        {"name": "d", "env": [{"name": "X"}]},
    ]
    found = envs(cron_job(helm, reader, hand_made(spec=spec(containers=containers))))
    own = {"name": "CRON_JOB_NAME", "value": JOB}
    assert found == {"a": [own], "b": [own], "c": [own], "d": [{"name": "X"}, own]}


def test_the_jobs_name_is_set_where_it_stands(helm: Path, reader: Reader) -> None:
    before, after = {"name": "A", "value": "1"}, {"name": "LOG", "value": "$(CRON_JOB_NAME)/$(A)"}
    for old in ({"value": "production"}, {}, {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}):
        container = {"name": "worker", "env": [before, {"name": "CRON_JOB_NAME", **old}, after]}
        found = envs(cron_job(helm, reader, hand_made(spec=spec(containers=[container]))))
        assert found["worker"] == [before, {"name": "CRON_JOB_NAME", "value": JOB}, after]


def test_init_containers_get_the_jobs_name_as_well(helm: Path, reader: Reader) -> None:
    init = [{"name": "first", "env": [{"name": "CRON_JOB_NAME", "value": "x"}, {"name": "B"}]}, {"name": "second"}]
    found = cron_job(helm, reader, hand_made(spec=spec(initContainers=init)))
    own = {"name": "CRON_JOB_NAME", "value": JOB}
    assert envs(found) == {"first": [own, {"name": "B"}], "second": [own], "worker": [own]}
    assert "initContainers" not in pod(cron_job(helm, reader, hand_made()))


def test_each_job_gets_its_own_name(helm: Path, reader: Reader) -> None:
    found = reader.objects(render_chart(helm, hand_made("update", "validate", "archive")))
    assert all(envs(o)["worker"] == [{"name": "CRON_JOB_NAME", "value": o["metadata"]["name"]}] for o in found)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("release", "own", "suspended"),
    [
        (False, None, False),
        (False, False, False),
        (False, True, True),
        (True, None, True),
        (True, False, True),
        (True, True, True),
        (None, None, False),
        (None, True, True),
    ],
)
def test_a_job_is_suspended_by_the_release_or_by_its_own_code(
    helm: Path, reader: Reader, release: bool | None, own: bool | None, suspended: bool
) -> None:
    values = hand_made()
    if release is not None:
        values["suspend"] = release
    if own is not None:
        values["jobs"]["update"]["spec"]["suspend"] = own
    assert cron_job(helm, reader, values)["spec"]["suspend"] is suspended


@pytest.mark.parametrize(
    ("alone", "release", "suspended"),
    [
        ([], False, {}),
        (["validate"], False, {"validate"}),
        (["of-no-job", "validate", "validate"], False, {"validate"}),
        (["update", "validate"], False, {"update", "validate"}),
        (["validate"], True, {"update", "validate"}),
        (None, False, {}),
    ],
)
def test_a_job_is_suspended_alone(
    helm: Path, reader: Reader, alone: list[str] | None, release: bool, suspended: set[str]
) -> None:
    values = hand_made("update", "validate") | {"suspend": release}
    if alone is not None:
        values["paused_keys"] = alone
    found = {o["metadata"]["name"]: o["spec"]["suspend"] for o in reader.objects(render_chart(helm, values))}
    assert found == {f"{RELEASE}-{key}": key in suspended for key in ("update", "validate")}


def test_zero_false_and_empty_values_survive(helm: Path, reader: Reader) -> None:
    container = {"name": "worker", "tty": False, "args": [], "resources": {}, "command": [""], "stdin": None}
    inner = spec(containers=[container], volumes=[{"name": "v", "emptyDir": {}}], terminationGracePeriodSeconds=0)
    inner |= {"startingDeadlineSeconds": 0, "successfulJobsHistoryLimit": 0, "timeZone": ""}
    inner["jobTemplate"]["spec"] |= {"backoffLimit": 0, "podFailurePolicy": {"rules": []}}
    found = cron_job(helm, reader, hand_made(spec=inner))
    assert {k: found["spec"][k] for k in inner if k != "jobTemplate"} == {
        k: inner[k] for k in inner if k != "jobTemplate"
    }
    made = found["spec"]["jobTemplate"]["spec"]
    assert (made["backoffLimit"], made["podFailurePolicy"]) == (0, {"rules": []})
    assert (pod(found)["volumes"], pod(found)["terminationGracePeriodSeconds"]) == ([{"name": "v", "emptyDir": {}}], 0)
    (worker,) = pod(found)["containers"]
    assert {k: worker[k] for k in ("tty", "args", "resources", "command")} == {
        "tty": False,
        "args": [],
        "resources": {},
        "command": [""],
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"more": 1}, "additional properties 'more' not allowed"),
        ({"record": None}, "missing property 'record'"),
        ({"suspend": "yes"}, "at '/suspend': got string, want boolean"),
        ({"paused_keys": "update"}, "at '/paused_keys': got string, want array"),
        ({"paused_keys": [1]}, "at '/paused_keys/0': got number, want string"),
        ({"jobs": []}, "at '/jobs': got array, want object"),
        ({"jobs": {"update": {"name": JOB}}}, "at '/jobs/update': missing property 'spec'"),
        ({"jobs": {"update": {"name": JOB, "spec": "x"}}}, "at '/jobs/update/spec': got string, want object"),
        ({"jobs": {"update": {"spec": spec()}}}, "at '/jobs/update': missing property 'name'"),
        ({"jobs": {"update": {"name": JOB, "spec": {"schedule": "x"}}}}, "/spec': missing property 'jobTemplate'"),
        ({"jobs": {"update": {"name": JOB, "spec": spec() | {"schedule": 5}}}}, "/update/spec/schedule': got number"),
        (
            {"jobs": {"update": {"name": JOB, "spec": {"schedule": "x", "jobTemplate": {"spec": {}}}}}},
            "at '/jobs/update/spec/jobTemplate/spec': missing property 'template'",
        ),
        (
            {"jobs": {"update": {"name": JOB, "spec": spec(), "schedule": "x"}}},
            "at '/jobs/update': additional properties 'schedule' not allowed",
        ),
        (
            {"jobs": {"update": {"name": JOB, "spec": spec(), "labels": {"a": 1}}}},
            "at '/jobs/update/labels/a': got number, want string",
        ),
    ],
)
def test_values_of_another_shape_are_refused_by_their_path(helm: Path, change: Object, where: str) -> None:
    message = complaint(helm, hand_made() | change)
    assert "values don't meet the specifications of the schema" in message
    assert where in message


def test_a_record_of_a_newer_format_is_refused(helm: Path) -> None:
    values = hand_made()
    values["record"]["format"] = 2
    with pytest.raises(Refused) as caught:
        parse("r", values)
    said = str(caught.value).removeprefix("release r was ").removesuffix("staging-cronjobs")
    assert f"- the values were {said}the chart\n" in complaint(helm, values)
    values["record"]["format"] = 0
    assert "at '/record/format': minimum: got 0, want 1" in complaint(helm, values)


def test_the_values_that_helm_hands_down_are_allowed(helm: Path) -> None:
    assert render_chart(helm, hand_made() | {"global": {"anything": 1}})


def notes(helm: Path, folder: Path, values: Object, *, upgrade: bool = False) -> str:
    """NOTES.txt, which `helm template` leaves out, of a copy of the chart in which it is a manifest."""
    copy = folder / "chart"
    shutil.copytree(CHART, copy)
    text = (copy / "templates" / "NOTES.txt").read_text()
    (copy / "templates" / "_notes.tpl").write_text(f'{{{{ define "notes" }}}}{text}{{{{ end }}}}')
    (copy / "templates" / "cronjobs.yaml").write_text('{"notes": {{ include "notes" . | toJson }}}')
    shown = render_chart(helm, values, chart=copy, more=("--is-upgrade",) if upgrade else ())
    return json.loads(shown[shown.index("{") :])["notes"]


def test_notes_of_an_upgrade_roll_back_without_starting_what_is_paused(helm: Path, tmp_path: Path) -> None:
    text = notes(helm, tmp_path, hand_made("update"), upgrade=True)
    command = "staging rollback --dataset-id ridge-snow --version 0.2.0 --namespace weather"
    assert f"\nTo go back, if another commit was deployed before:\n                {command}\n" in text
    assert "helm rollback" not in text


def test_notes_give_the_commands_of_this_release(helm: Path, tmp_path: Path) -> None:
    text = notes(helm, tmp_path, hand_made("update", "archive"))
    target = "--dataset-id ridge-snow --version 0.2.0 --namespace weather"
    assert text.startswith(f"ridge-snow v0.2.0 is staged as {RELEASE}.\n")
    assert f"kubectl get cronjobs,jobs,pods -n weather -l staging-cronjobs/release={RELEASE}\n" in text
    assert f"staging run {target} --key archive\n" in text
    assert "kubectl create" not in text  # it would run beside a Job that runs
    assert f"staging pause {target}\n" in text
    assert "rollback" not in text  # the first revision has nothing to go back to
    assert f"staging cleanup {target}\n" in text
    assert f"Or with Helm alone: helm uninstall {RELEASE} -n weather\n" in text
    assert "resume" not in text and "PAUSED" not in text


def test_notes_of_a_paused_release_say_how_to_resume(helm: Path, tmp_path: Path) -> None:
    text = notes(helm, tmp_path, hand_made() | {"suspend": True})
    assert text.startswith(f"ridge-snow v0.2.0 is staged as {RELEASE}, PAUSED: no job runs on its schedule.\n")
    assert "staging resume --dataset-id ridge-snow --version 0.2.0 --namespace weather\n" in text
    assert "staging pause" not in text


def test_notes_name_the_jobs_that_are_paused_alone(helm: Path, tmp_path: Path) -> None:
    text = notes(helm, tmp_path, hand_made() | {"paused_keys": ["archive", "update"]})
    assert text.startswith(f"ridge-snow v0.2.0 is staged as {RELEASE}, with archive and update PAUSED.\n")


def test_the_commands_that_notes_name_exist(helm_4: Path, tmp_path: Path) -> None:
    text = notes(helm_4, tmp_path, hand_made(), upgrade=True)
    commands = [line[line.index("staging ") :].split()[1:] for line in text.splitlines() if " staging " in line[:24]]
    assert [command[0] for command in commands] == ["run", "pause", "rollback", "cleanup"]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "staging_cronjobs.cli", *command, "--help"], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert all(word in done.stdout for word in command if word.startswith("--"))


def test_the_chart_lints_without_values(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
