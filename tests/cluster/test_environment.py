"""What the caller's environment holds for helm and kubectl does not lead them elsewhere; with the real ones."""

from pathlib import Path

import pytest

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
# These lead nowhere here: flags are given for two, and the kubeconfig's certificate comes before a token.
OTHERS = {
    "HELM_KUBECONTEXT": "elsewhere",
    "HELM_NAMESPACE": "elsewhere",
    "HELM_KUBETOKEN": "elsewhere",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true",
}
KUBERC = """
apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
defaults:
- command: create job
  options: [{name: dry-run, default: client}]
"""


def test_no_variable_leads_helm_alone_elsewhere(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile
) -> None:
    for name, value in HELM_ALONE.items():
        assert Staging({**staging.environment, name: value}).tool("helm", "list").code != 0, name
    repository.stage("ridge-snow", "0.2.0")
    led = HELM_ALONE | OTHERS | {"HELM_DEBUG": "true", "HELM_COLOR": "always", "HELM_MAX_HISTORY": "1"}
    program = Staging({**staging.environment, **led})
    done = program.run(repository.path, "deploy", *RIDGE, "--docker-image", IMAGE)
    (row,) = program.run(repository.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"]) == ("ridge-snow", "0.2.0")
    assert len(live.names("cronjobs")) == 2
    hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)


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
    done = led.run(repository.path, "run", *RIDGE, "--key", "update")
    assert len(live.names("jobs")) == 1
    hostile.tried("settings of helm and kubectl", done.stdout + done.stderr)
