"""What the cluster's own policies say of staged jobs: an upgrade is asked about as one, and refusals are told."""

import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

import pytest

from live import IMAGE, Namespace, Staging
from policies import in_force
from repositories import Repository, stage_branch

DATASET = "ridge-snow"
STAGED = ("--branch", stage_branch(DATASET, "0.2.0"))
RELEASE = "staging-ridge-snow-v0-2-0"
UPDATE, VALIDATE = f"{RELEASE}-update", f"{RELEASE}-validate"
DONE, REFUSED, OUTSIDE = 0, 3, 4
WORDS = "ask the platform team; #cron-jobs"
Object = dict[str, Any]

one_major = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


class Project:
    """A staged version whose jobs a catalogue on standard input gives, so that a test may change them."""

    def __init__(self, staging: Staging, live: Namespace, repository: Repository) -> None:
        live.kubectl("create", "secret", "generic", "sentry")
        repository.stage(DATASET, "0.2.0")
        self.staging, self.live, self.folder = staging, live, repository.path
        self.entry = next(d for d in staging.catalogue(repository.path) if d["dataset_id"] == DATASET)

    def spec(self, key: str) -> Object:
        (job,) = [c for c in self.entry["cronjobs"] if c["metadata"]["name"] == f"{DATASET}-{key}"]
        return job["spec"]

    def deploy(self, *args: str, code: int = DONE) -> str:
        """Deploy it; gives all that was said."""
        command = ("deploy", *STAGED, "--docker-image", IMAGE, "--datasets", "-", *args)
        done = self.staging.run(self.folder, *command, given=json.dumps([self.entry]), code=code)
        return done.stdout + done.stderr

    def ask(self, verb: str, name: str, **spec: Any) -> str:
        """What the API server has against creating or replacing a CronJob, or warns of; nothing is changed."""
        thing = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}}
        ask = {"create": self.live.create, "replace": self.live.replace}[verb]
        verdict = ask(thing | {"spec": self.spec("update") | spec}, dry_run=True)
        return verdict.message + verdict.warnings

    def policy(
        self, expression: str, operations: Collection[str], seen: Callable[[], object], action: str = "Deny"
    ) -> AbstractContextManager[None]:
        """The rule that this expression must be true of the namespace's CronJobs."""
        rules = {"validations": [{"expression": expression, "message": WORDS}]}
        binding = {"validationActions": [action]}
        return in_force(self.live, "ValidatingAdmissionPolicy", operations, rules, binding, seen=seen)

    def state(self) -> list[Any]:
        """What is live, and Helm's record of it."""
        return [self.live.state("cronjobs"), self.live.state("secrets", selector="owner=helm")]


@pytest.fixture
def project(staging: Staging, live: Namespace, repository: Repository) -> Project:
    return Project(staging, live, repository)


def test_a_policy_that_goes_by_names_sees_the_real_ones(project: Project) -> None:
    rule = f"object.metadata.name in ['{UPDATE}', '{VALIDATE}']"
    with project.policy(rule, ("CREATE", "UPDATE"), lambda: WORDS in project.ask("create", "probe")):
        project.deploy()
        project.spec("update")["schedule"] = "20 * * * *"
        project.deploy()
        project.staging.run(project.folder, "pause", *STAGED)
    assert project.live.get("cronjobs", UPDATE)["spec"]["schedule"] == "20 * * * *"


def test_a_policy_about_new_cronjobs_does_not_stop_an_upgrade(project: Project) -> None:
    project.deploy("--skip-job", "validate")
    with project.policy("false", ("CREATE",), lambda: WORDS in project.ask("create", "probe")):
        project.spec("update")["schedule"] = "20 * * * *"
        project.deploy("--skip-job", "validate")
        assert project.live.get("cronjobs", UPDATE)["spec"]["schedule"] == "20 * * * *"
        before = project.state()
        said = project.deploy(code=REFUSED)
        assert f"refuses jobs of {RELEASE}: {VALIDATE}: ValidatingAdmissionPolicy " in said
        assert said.count(WORDS) == 1 and UPDATE not in said
        assert project.state() == before


def test_a_policy_about_changes_is_heard_before_anything_is_changed(project: Project) -> None:
    project.deploy()
    rule = "object.spec.schedule == oldObject.spec.schedule"
    with project.policy(rule, ("UPDATE",), lambda: WORDS in project.ask("replace", UPDATE, schedule="@yearly")):
        project.deploy()
        project.spec("update")["schedule"] = "20 * * * *"
        before = project.state()
        said = project.deploy(code=REFUSED)
        assert f"refuses jobs of {RELEASE}: {UPDATE}: ValidatingAdmissionPolicy " in said
        assert said.count(WORDS) == 1 and VALIDATE not in said
        assert project.state() == before


def test_a_policy_that_forbids_a_pause_is_told_in_its_own_words(project: Project) -> None:
    project.deploy()
    with project.policy(
        "!object.spec.suspend", ("UPDATE",), lambda: WORDS in project.ask("replace", UPDATE, suspend=True)
    ):
        done = project.staging.run(project.folder, "pause", *STAGED, code=OUTSIDE)
    assert WORDS in done.stderr
    assert not any(job["spec"]["suspend"] for job in project.live.all("cronjobs"))


@one_major
def test_what_the_api_server_warns_of_is_a_warning(project: Project) -> None:
    pod = project.spec("update")["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    pod["nodeSelector"] = {"beta.kubernetes.io/arch": "amd64"}
    project.live.kubectl("label", "namespace", project.live.name, "pod-security.kubernetes.io/warn=restricted")
    always = (WORDS, 'would violate PodSecurity "restricted:latest"')
    about_new = ("[beta.kubernetes.io/arch]: deprecated since", 'hides previous definition of "A"')
    with project.policy("false", ("CREATE", "UPDATE"), lambda: WORDS in project.ask("create", "probe"), "Warn"):
        for wanted in ((*always, *about_new), always):  # an install, and an upgrade
            lines = [line for line in project.deploy().splitlines() if "API server warns: " in line]
            assert len(lines) == len(wanted)
            for words in wanted:
                (line,) = [line for line in lines if words in line]
                assert line.startswith("warning: The API server warns: ")
