"""What the caller's environment holds for helm and kubectl does not lead them elsewhere; with the real ones."""

import json
from pathlib import Path

import pytest

from controlplane.cluster import Cluster
from hostile import Hostile
from live import IMAGE, Namespace, Staging
from repositories import Repository

RIDGE = ("--dataset-id", "ridge-snow", "--version", "0.2.0")
HELM_ALONE = {
    "HELM_KUBEAPISERVER": "https://127.0.0.1:1",
    "HELM_KUBEASUSER": "nobody",
    "HELM_KUBEASGROUPS": "nobody",
    "HELM_KUBECAFILE": "/nonexistent/ca.crt",
    "HELM_KUBETLS_SERVER_NAME": "elsewhere.example.com",
}
OTHERS = {"HELM_KUBETOKEN": "elsewhere", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true"}  # these lead nowhere here
NOT_USED = {"HELM_DEBUG": "true", "HELM_COLOR": "always", "HELM_MAX_HISTORY": "1"}
USAGE, REFUSED, OUTSIDE = 2, 3, 4
KUBERC = """
apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
defaults:
- command: create job
  options: [{name: dry-run, default: client}]
- command: get
  options: [{name: output, default: name}, {name: selector, default: nothing=here}]
- command: delete
  options: [{name: interactive, default: "true"}]
"""


def test_no_variable_leads_helm_alone_elsewhere(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    for name, value in HELM_ALONE.items():
        assert Staging({**staging.environment, name: value}).tool("helm", "list").code != 0, name
    repository.stage("ridge-snow", "0.2.0")
    deploy = ("deploy", *RIDGE, "--docker-image", IMAGE)
    for name, value in (HELM_ALONE | OTHERS).items():
        done = Staging({**staging.environment, name: value}).run(repository.path, *deploy, code=USAGE)
        assert f"error: {name} is set. It would lead helm elsewhere" in done.stderr
        hostile.tried("settings of helm and kubectl", done.stdout + done.stderr, changed=live.names("cronjobs"))
    program = Staging({**staging.environment, **NOT_USED})
    done = program.run(repository.path, *deploy)
    (row,) = program.run(repository.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"]) == ("ridge-snow", "0.2.0")
    assert len(live.names("cronjobs")) == 2
    hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)


PLACES = ("STAGING_NAMESPACE", "STAGING_KUBE_CONTEXT")


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_helms_own_place_counts_over_the_kubeconfig_and_never_against_a_setting(
    staging: Staging, repository: Repository, live: Namespace, cluster: Cluster
) -> None:
    own = {name: value for name, value in staging.environment.items() if name not in PLACES}
    there = {"HELM_NAMESPACE": live.name, "HELM_KUBECONTEXT": cluster.context}
    program = Staging(own | there)
    assert f"{cluster.context}, namespace {live.name}" in program.run(repository.path, "list").stdout
    assert program.run(repository.path, "list", HELM_KUBECONTEXT="nowhere", code=OUTSIDE)

    pyproject = repository.path / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + 'namespace = "weather"\n')  # the table of settings is its last
    said = program.run(repository.path, "list", code=USAGE).stderr
    assert f"HELM_NAMESPACE is '{live.name}', and the project's namespace is 'weather'" in said
    assert "pass --namespace" in said
    # What a person says to this program itself counts more, as a flag does in helm.
    given = program.run(repository.path, "list", "--namespace", "default", "--context", cluster.context)
    assert f"context {cluster.context}, namespace default" in given.stdout
    assert "namespace default" in program.run(repository.path, "list", STAGING_NAMESPACE="default").stdout


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_context_is_kube_context(staging: Staging, repository: Repository, cluster: Cluster) -> None:
    for option in ("--context", "--kube-context"):
        done = staging.run(repository.path, "list", option, cluster.context, STAGING_KUBE_CONTEXT="nowhere")
        assert cluster.context in done.stdout
        assert "nowhere" in staging.run(repository.path, "list", option, "nowhere", code=OUTSIDE).stderr


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_a_kuberc_changes_no_call(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, hostile: Hostile
) -> None:
    repository.stage("ridge-snow", "0.2.0")
    staging.run(repository.path, "deploy", *RIDGE, "--docker-image", IMAGE)
    file = tmp_path / "kuberc"
    file.write_text(KUBERC)
    job = live.names("cronjobs")[0]
    led = Staging({**staging.environment, "KUBERC": str(file), "KUBECTL_KUBERC": "true"})
    said = led.tool("kubectl", "create", "job", "by-hand", f"--from=cronjob/{job}").stdout
    assert "(dry run)" in said and live.names("jobs") == []
    assert led.tool("kubectl", "get", "cronjobs").stdout == ""
    led.tool("kubectl", "delete", "cronjob", job, given="n\n")
    assert job in live.names("cronjobs")
    (row,) = led.run(repository.path, "list", "-o", "json").json
    assert len(row["jobs"]) == 2 and not any(one["missing"] for one in row["jobs"])
    run = led.run(repository.path, "run", *RIDGE, "--key", "update")
    assert len(live.names("jobs")) == 1
    paused = led.run(repository.path, "pause", *RIDGE)
    assert all(cronjob["spec"]["suspend"] for cronjob in live.all("cronjobs"))
    cleaned = led.run(repository.path, "cleanup", *RIDGE, "--yes")
    assert live.leftovers() == [] and live.names("jobs") == []
    for done in (run, paused, cleaned):
        hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_a_context_that_is_called_in_cluster_is_the_one_that_is_meant(
    staging: Staging, repository: Repository, live: Namespace, tmp_path: Path, hostile: Hostile
) -> None:
    """Not the current one, and not the service account of a pod."""
    view = json.loads(live.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    here = view["contexts"][0]["context"]
    elsewhere = {"cluster": "elsewhere", "user": here["user"]}
    view["contexts"] = [{"name": "in-cluster", "context": here}, {"name": "current", "context": elsewhere}]
    view["clusters"].append({"name": "elsewhere", "cluster": {"server": "https://127.0.0.1:1"}})
    view["current-context"] = "current"
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(view))
    repository.stage("ridge-snow", "0.2.0")
    staging.run(repository.path, "deploy", *RIDGE, "--docker-image", IMAGE)
    own = {name: value for name, value in staging.environment.items() if name != "STAGING_KUBE_CONTEXT"}
    program = Staging({**own, "KUBECONFIG": str(file)})
    program.run(repository.path, "list", code=OUTSIDE)
    for namespace in ((), ("--namespace", live.name)):
        done = program.run(repository.path, "list", "--kube-context", "in-cluster", *namespace)
        assert "ridge-snow" in done.stdout
        hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)
    done = program.run(repository.path, "pause", *RIDGE, "--kube-context", "in-cluster")
    assert all(cronjob["spec"]["suspend"] for cronjob in live.all("cronjobs"))
    hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)
