"""Whatever is wrong, one sentence says so, its exit code says whose turn it is, and nothing has changed."""

import copy
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from live import IMAGE, Done, Namespace, Staging, cron_jobs_of
from repositories import NEW_DATASET, Repository, make_repository, stage_branch
from staged import Place
from staging_cronjobs.model.staged_version import StagedVersion

CHART = Path(__file__).parents[2] / "charts" / "staging-cronjobs"
USAGE, REFUSED, OUTSIDE, SUPERSEDED = 2, 3, 4, 6

RIDGE = "ridge-snow"  # staged at 0.2.0 by the checked-out branch: deploying it works unless a test spoils something
TARGET = ("--branch", stage_branch(RIDGE, "0.2.0"))
HARBOR = ("harbor-wind-forecast", "0.3.0")  # its release is in the namespace
FJORD = "fjord-basin-ens-forecast-12-day-0-25-degree"
FOREIGN_CHART = ("glacier-ice-forecast-5-day", "0.3.0")  # a release of that name is made with another chart
NEWER = ("ridge-snow-forecast", "0.5.0")  # a release of that name has a record of format 2
TAKEN = ("lidar-canopy-height-v9", "0.5.0")  # a CronJob of that name is not ours
MOVED = ("tide-level-analysis", "0.4.0")  # the remote's branch is at another commit
GONE = ("estuary-salinity-analysis", "0.2.0")  # the remote has no such branch

PLANNED = "release|cronjob|job|branch|monitor|store|git push"
PROGRESS = re.compile(rf"(fetching|loading|asking|installing|upgrading|deleting|Cleanup of| +({PLANNED}) )")

Edit = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class World:
    """A repository on a stage branch, a namespace with production and one release, and the program between them."""

    repository: Repository
    live: Namespace
    staging: Staging
    catalogue: list[dict[str, Any]] = field(repr=False)

    def __call__(self, *args: str, **environment: str) -> Done:
        return self.staging(self.repository.path, *args, **environment)

    def deploy(
        self,
        catalogue: object = None,
        target: tuple[str, ...] = TARGET,
        image: str = IMAGE,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Deploy with a catalogue on standard input, by default the right one."""
        given = catalogue if isinstance(catalogue, str) else json.dumps(catalogue or self.catalogue)
        args = ("deploy", *target, "--docker-image", image, "--datasets", "-")
        return self.staging(self.repository.path, *args, given=given, **(environment or {}))

    def edited(self, edit: Edit, dataset_id: str = RIDGE) -> list[dict[str, Any]]:
        """The catalogue with one dataset changed."""
        catalogue = copy.deepcopy(self.catalogue)
        edit(next(dataset for dataset in catalogue if dataset["dataset_id"] == dataset_id))
        return catalogue

    def at(self, dataset_id: str, version: str) -> list[dict[str, Any]]:
        """The catalogue with one dataset at another version, with stores of its own."""
        return self.edited(lambda dataset: dataset.update(**versioned(dataset_id, version)), dataset_id)

    def snapshot(self) -> object:
        """All that a command could have changed."""
        objects = self.live.state("cronjobs", "jobs", "secrets", "configmaps")
        return objects, self.repository.git("ls-remote", "origin")


def versioned(dataset_id: str, version: str) -> dict[str, Any]:
    """What a catalogue says of a dataset at another version, with stores of its own."""
    stores = {"primary_url": f"s3://weather-data/{dataset_id}/v{version}.icechunk", "replica_urls": []}
    return {"version": version, **stores}


@pytest.fixture(scope="module")
def world(place: Place) -> World:
    """Shared by the whole module: no test here may change anything in it."""
    return prepare(World(place.repository, place.live, place.staging, []))


def prepare(world: World) -> World:
    """Production, one release, strangers with our names, and mains that cannot be read."""
    repository, staging, live = world.repository, world.staging, world.live
    main = staging.catalogue(repository.path)
    # Suspended, so that no schedule that comes round meanwhile changes the namespace.
    strangers = [renamed(main[0], "delta-silt-update"), renamed(main[0], f"{release(*TAKEN)}-update")]
    production = [c | {"spec": c["spec"] | {"suspend": True}} for c in [*cron_jobs_of(main), *strangers]]
    live.kubectl("create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": production}))

    repository.stage(*HARBOR)
    target = ("--branch", stage_branch(*HARBOR), "--docker-image", IMAGE)
    staging.run(repository.path, "deploy", *target, "--paused")
    install_strangers(world)
    push_mains(repository)

    repository.stage(*MOVED)
    repository.stage(RIDGE, "0.2.0")
    commit = raise_templates(repository, HARBOR, NEWER, TAKEN, FOREIGN_CHART, MOVED, GONE, (FJORD, "0.4.0"))
    repository.push(stage_branch(RIDGE, "0.2.0"))
    for branch in (stage_branch(*NEWER), stage_branch(*TAKEN), stage_branch(*FOREIGN_CHART)):
        repository.git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
    write_modules(repository)
    return replace(world, catalogue=staging.catalogue(repository.path))


def raise_templates(repository: Repository, *versions: tuple[str, str]) -> str:
    """Commit templates at these versions: a catalogue on standard input may have them too. Gives the commit."""
    for dataset_id, version in versions:
        template = f"{repository.template_path(dataset_id)}/zarr.json"
        group = json.loads((repository.path / template).read_text())
        group["attributes"]["dataset_version"] = version
        repository.write(template, json.dumps(group))
        if dataset_id == FJORD:
            group["attributes"] |= {"dataset_id": "delta-silt", "dataset_version": "0.2.0"}
            repository.write("src/weather/delta/silt/templates/latest.zarr/zarr.json", json.dumps(group))
    return repository.commit("Raise templates")


def install_strangers(world: World) -> None:
    """Two releases with names like ours that are not this program's, or not yet."""
    folder = world.repository.path.parent
    other = folder / "other"
    shutil.copytree(CHART, other, ignore=shutil.ignore_patterns("templates", "values*"))
    world.staging.helm("install", release(*FOREIGN_CHART), str(other))
    newer = folder / "newer"
    shutil.copytree(CHART, newer, ignore=shutil.ignore_patterns("values.schema.json"))
    text = world.staging.helm("get", "values", release(*HARBOR), "-o", "json")
    problems = newer / "templates" / "_problems.tpl"
    problems.write_text(problems.read_text().replace("record.format) 1.0", "record.format) 2.0"))
    values = json.loads(text.replace(release(*HARBOR), release(*NEWER)))
    dataset_id, version = NEWER
    values["record"] |= {"format": 2, "dataset_id": dataset_id, "version": version, "colour": "blue", "stores": []}
    folder.joinpath("newer.json").write_text(json.dumps(values))
    world.staging.helm("install", release(*NEWER), str(newer), "-f", str(folder / "newer.json"))


def push_mains(repository: Repository) -> None:
    """Branches to take for main, each with something wrong about the template of RIDGE."""
    template = f"{repository.template_path(RIDGE)}/zarr.json"
    good = json.loads((repository.path / template).read_text())
    texts = {"main-not-json": "{", "main-a-list": "[]", "main-no-attribute": json.dumps(good | {"attributes": {}})}
    texts |= {"main-odd-version": json.dumps(good | {"attributes": {"dataset_version": 2}})}
    for branch, text in texts.items():
        repository.git("checkout", "--quiet", "-b", branch, "main")
        repository.write(template, text)
        repository.commit()
        repository.push(branch)
    repository.git("checkout", "--quiet", "-b", "main-moved", "main")
    repository.git("mv", "src/weather/ridge", "src/weather/mountains")
    repository.commit()
    repository.push("main-moved")
    repository.git("checkout", "--quiet", "--orphan", "empty")
    repository.git("rm", "-r", "--quiet", "--force", ".")
    bare = repository.remote.with_name("without-main.git")
    repository.git("init", "--quiet", "--bare", str(bare))
    repository.git("remote", "add", "without-main", str(bare))
    repository.git("remote", "add", "gone", str(repository.remote.with_name("gone.git")))


USER_CODE = {
    "raises": "def helper():\n    raise RuntimeError('the shelf is empty')\nhelper()\n",
    "exits": "import sys\nsys.exit('bye')\n",
    "leaves": "import os\nprint('about to leave', flush=True)\nos._exit(7)\n",
    "is_killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "misspelt": "import weather.datasetz\n",
    "not_python": "def x(:\n",
    "is_text": "DATASETS = 'harbor'\n",
    "has_a_stranger": "DATASETS = [object()]\n",
    "is_strange": """
from weather.datasets import DATASETS, UpdatedDataset
class Strange(UpdatedDataset):
    def operational_kubernetes_resources(self, image_tag):
        return [{"metadata": {"name": "ridge-snow-update"}, "spec": {1, 2}}]
DATASETS = [Strange(dataset_id="ridge-snow", folder="ridge/snow")]
""",
    "fails_late": """
from weather.datasets import DATASETS, UpdatedDataset
class Late(UpdatedDataset):
    def operational_kubernetes_resources(self, image_tag):
        return 1 / 0
DATASETS = [Late(dataset_id="ridge-snow", folder="ridge/snow")]
""",
    "prints_rubbish": """
import os, sys
from weather.datasets import DATASETS
os.write(1, b"\\xff\\xfe{[ not JSON \\x00 \\x1b[31m" * 20000)
print("error: this is not an error", file=sys.stderr)
sys.stdout = sys.stderr = None
""",
}


def write_modules(repository: Repository) -> None:
    repository.write(".git/info/exclude", "src/user_code/\n")  # or nothing would be deployed beside them
    for name, code in USER_CODE.items():
        repository.write(f"src/user_code/{name}.py", code)


def release(dataset_id: str, version: str) -> str:
    """The release of an id that is short enough to stay whole."""
    return f"staging-{dataset_id}-v{version.replace('.', '-')}"


def renamed(dataset: Mapping[str, Any], name: str) -> dict[str, Any]:
    cron_job = dataset["cronjobs"][0]
    return {**cron_job, "metadata": {"name": name}}


def says(done: Done, code: int, *words: str) -> None:
    """See that it ended with this code and one sentence that has all these words."""
    assert done.code == code, f"{done.code} instead of {code}: {done.stderr}"
    assert done.stdout == ""
    *progress, error = done.stderr.splitlines()
    assert error.startswith("error: "), done.stderr
    assert [line for line in progress if not PROGRESS.match(line)] == []
    assert "\x1b" not in error and len(error) < 700, error
    for word in words:
        assert word in error, f"{word!r} is not in: {error}"


@pytest.fixture
def unchanged(world: World) -> Iterator[None]:
    before = world.snapshot()
    yield
    assert world.snapshot() == before


pytestmark = pytest.mark.usefixtures("unchanged")


BRANCHES = {
    "main": "main",
    "capital": "stage/Ridge-Snow/v0.2.0",
    "no-v": "stage/ridge-snow/0.2.0",
    "a-level-more": "stage/ridge-snow/v0.2.0/fix",
    "a-level-less": "stage/ridge-snow-v0.2.0",
    "double-dash": "stage/ridge--snow/v0.2.0",
    "end-dash": "stage/ridge-snow-/v0.2.0",
    "letters": "stage/ridge-snow/v0.2.0-rc1",
    "full-ref": "refs/heads/stage/ridge-snow/v0.2.0",
    "new-line": "stage/ridge-snow/v0.2.0\n",
    "shell": "stage/$(touch${IFS}oops)/v0.2.0",
    "other-digits": "stage/ridge-snow/v\N{ARABIC-INDIC DIGIT TWO}.0",
    "blank": " stage/ridge-snow/v0.2.0",
}


@pytest.mark.parametrize("branch", BRANCHES.values(), ids=BRANCHES)
def test_a_branch_that_does_not_match(world: World, branch: str) -> None:
    done = world("deploy", "--branch", branch, "--docker-image", IMAGE)
    says(done, USAGE, repr(branch), "stage/<dataset id>/v<version>")
    assert not (world.repository.path / "oops").exists()


TARGETS = {
    "neither": (),
    "both": (*TARGET, "--dataset-id", RIDGE),
    "half": ("--dataset-id", RIDGE),
    "other-half": ("--version", "0.2.0"),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_one_staged_version_is_named(world: World, target: tuple[str, ...]) -> None:
    command = ("deploy", "--docker-image", IMAGE)
    says(world(*command, *target), USAGE, "name one staged version", "--branch", "--dataset-id with --version")


@pytest.mark.parametrize("command", ["name", "pause", "resume", "run", "logs", "rollback", "cleanup"])
def test_every_command_wants_to_know_which(world: World, command: str) -> None:
    says(world(command), USAGE, "name one staged version")


@pytest.mark.parametrize(
    ("dataset_id", "version", "words"),
    [
        ("Ridge", "0.2.0", ["dataset id 'Ridge'", "lower-case"]),
        ("x" * 64, "0.2.0", ["63 characters"]),
        (RIDGE, "v0.2.0", ["version 'v0.2.0'", "such as 0.3.0"]),
        (RIDGE, "0.2.", ["version '0.2.'"]),
        (RIDGE, ".".join(["2026"] * 12), ["cannot get a name", "53 at most (Helm)", "shorten the version"]),
    ],
)
def test_an_identity_that_is_not_usable(world: World, dataset_id: str, version: str, words: list[str]) -> None:
    done = world("name", "--dataset-id", dataset_id, "--version", version)
    says(done, REFUSED if "cannot get a name" in words else USAGE, *words)


@pytest.mark.parametrize("image", ["", " ", "example.registry/weather :1", "example.registry/weather:1\n"])
def test_an_image_that_is_not_one(world: World, image: str) -> None:
    says(world.deploy(image=image), USAGE, repr(image), "--docker-image")


def test_an_unknown_dataset_with_a_suggestion(world: World) -> None:
    done = world.deploy(target=("--dataset-id", "ridge-snwo", "--version", "0.2.0"))
    says(done, REFUSED, "'ridge-snwo'", "Did you mean 'ridge-snow'")


def test_the_template_has_another_version(world: World) -> None:
    done = world.deploy(target=("--dataset-id", RIDGE, "--version", "0.3.0"))
    says(done, REFUSED, RIDGE, "0.2.0, not 0.3.0", "Set it to 0.3.0, or push to stage/ridge-snow/v0.2.0")


def test_main_has_this_version(world: World) -> None:
    done = world.deploy(target=("--dataset-id", "meadow-temperature-analysis-hourly", "--version", "1.4.0"))
    says(done, REFUSED, "origin/main has version 1.4.0 of meadow-temperature-analysis-hourly", "Stage another version")


@pytest.mark.parametrize(
    ("code", "environment", "words"),
    [
        (OUTSIDE, {"STAGING_REMOTE": "gone"}, ["cannot read main of gone", "gone.git"]),
        (OUTSIDE, {"STAGING_REMOTE": "without-main"}, ["cannot read main of without-main", "refs/heads/main"]),
        (OUTSIDE, {"STAGING_REMOTE": "upstream"}, ["no git remote 'upstream'", "[tool.staging-cronjobs]"]),
        (OUTSIDE, {"STAGING_MAIN": "trunk"}, ["cannot read trunk of origin"]),
        (REFUSED, {"STAGING_MAIN": "main-not-json"}, ["zarr.json on origin/main-not-json is not JSON"]),
        (REFUSED, {"STAGING_MAIN": "main-a-list"}, ["zarr.json on origin/main-a-list is not JSON with attributes"]),
        (REFUSED, {"STAGING_MAIN": "main-no-attribute"}, ["zarr.json on origin/", "no attribute dataset_version"]),
        (REFUSED, {"STAGING_MAIN": "main-odd-version"}, ["zarr.json on origin/", "dataset_version"]),
        (REFUSED, {"STAGING_MAIN": "main-moved"}, ["main-moved has ridge-snow elsewhere", "src/weather/mountains"]),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_a_main_that_cannot_be_compared(world: World, code: int, environment: dict[str, str], words: list[str]) -> None:
    says(world.deploy(environment=environment), code, *words)


def test_production_runs_a_dataset_that_main_does_not_have(world: World) -> None:
    def rename(dataset: dict[str, Any]) -> None:
        dataset |= {"dataset_id": "delta-silt", "template_path": "src/weather/delta/silt/templates/latest.zarr"}
        dataset["cronjobs"] = [renamed(dataset, "delta-silt-update")]

    done = world.deploy(world.edited(rename), ("--dataset-id", "delta-silt", "--version", "0.2.0"))
    says(done, REFUSED, "no template of delta-silt", "CronJob delta-silt-update is in the namespace", "on main first")


def job(dataset: dict[str, Any]) -> dict[str, Any]:
    """The first CronJob of a dataset."""
    return dataset["cronjobs"][0]


def job_spec(dataset: dict[str, Any]) -> dict[str, Any]:
    return job(dataset)["spec"]["jobTemplate"]["spec"]


def pod(dataset: dict[str, Any]) -> dict[str, Any]:
    return job_spec(dataset)["template"]["spec"]


def container(dataset: dict[str, Any]) -> dict[str, Any]:
    return pod(dataset)["containers"][0]


def name_it(name: object) -> Edit:
    return lambda dataset: job(dataset)["metadata"].update(name=name)


REFUSED_EDITS: dict[str, tuple[Edit, list[str]]] = {
    "no-jobs": (lambda d: d.update(cronjobs=[]), ["dataset ridge-snow has no jobs to stage"]),
    "no-version": (lambda d: d.pop("version"), ["ridge-snow has no version"]),
    "no-template": (lambda d: d.pop("template_path"), ["ridge-snow has no version and template"]),
    "template-outside": (lambda d: d.update(template_path="/tmp/latest.zarr"), ["/tmp/latest.zarr", "outside"]),
    "two-of-one-name": (lambda d: d["cronjobs"].append(job(d)), ["two jobs with the key 'update'", "rename"]),
    "too-long": (
        name_it(f"{RIDGE}-{'very-' * 6}long"),
        ["50 at most (Sentry cuts a longer monitor slug); shorten the key"],
    ),
    "begins-with-number": (name_it(f"{RIDGE}-2-update"), ["key '2-update'", "part of the version", "rename the job"]),
    "has-a-version": (name_it(f"{RIDGE}-v2-update"), ["key 'v2-update'", "'v2' would read as the version"]),
    "capitals": (name_it(f"{RIDGE}-Update"), ["key 'Update'", "lower-case"]),
    "no-id-no-prefix": (name_it("snow-update"), ["'snow-update'", "neither ridge-snow-<key>", "job-prefixes"]),
    "only-the-id": (name_it(RIDGE), ["'ridge-snow'", "job-prefixes"]),
    "no-name": (lambda d: job(d)["metadata"].pop("name"), ["metadata.name", RIDGE]),
    "null-name": (name_it(None), ["metadata.name", RIDGE]),
    "null-metadata": (lambda d: job(d).update(metadata=None), ["metadata.name", RIDGE]),
    "deployment": (lambda d: job(d).update(apiVersion="apps/v1", kind="Deployment"), ["apps/v1 Deployment", "CronJob"]),
    "beta": (lambda d: job(d).update(apiVersion="batch/v1beta1"), ["batch/v1beta1 CronJob", "batch/v1 CronJob"]),
    "empty": (lambda d: d["cronjobs"].append({}), ["ridge-snow", "metadata.name"]),
    "foreign-namespace": (
        lambda d: job(d)["metadata"].update(namespace="elsewhere"),
        ["'ridge-snow-update' wants namespace elsewhere", "the release goes to test-"],
    ),
    "finalizer": (lambda d: job(d)["metadata"].update(finalizers=["a/b"]), ["metadata.finalizers"]),
    "number-label": (lambda d: job(d)["metadata"].update(labels={"a": 1}), ["'ridge-snow-update'", "labels", "a"]),
    "bad-label": (lambda d: job(d)["metadata"].update(labels={"a": "é"}), ["labels", "é"]),
    "no-spec": (lambda d: job(d).pop("spec"), ["'ridge-snow-update'", "spec is missing"]),
    "text-spec": (lambda d: job(d).update(spec="x"), ["'ridge-snow-update'", "spec must be an object"]),
    "no-schedule": (lambda d: job(d)["spec"].pop("schedule"), ["'ridge-snow-update'", "spec.schedule is missing"]),
    "no-containers": (
        lambda d: job_spec(d)["template"]["spec"].update(containers=[]),
        ["'ridge-snow-update'", "containers must not be empty"],
    ),
    "text-container": (
        lambda d: job_spec(d)["template"]["spec"].update(containers=["worker"]),
        ["'ridge-snow-update'", "containers[0] must be an object"],
    ),
    "text-env": (
        lambda d: container(d).update(env={"A": "b"}),
        ["'ridge-snow-update'", "containers[0].env must be a list"],
    ),
    "schedule": (lambda d: job(d)["spec"].update(schedule="every day"), ["spec.schedule", "every day", "-update"]),
    "time-zone": (lambda d: job(d)["spec"].update(timeZone="Mars/Base"), ["spec.timeZone", "Mars/Base"]),
    "empty-image": (lambda d: container(d).update(image=""), ["image", "-update"]),
    "restart": (lambda d: job_spec(d)["template"]["spec"].pop("restartPolicy"), ["restartPolicy", "-update"]),
    "control-character": (lambda d: container(d).update(args=["a\x7fb"]), ["args[0]", "U+007F", "remove it"]),
    "large-number": (lambda d: job_spec(d).update(backoffLimit=2**60), ["backoffLimit", str(2**60), "as a string"]),
    "too-large-number": (lambda d: job_spec(d).update(backoffLimit=2**40), ["backoffLimit"]),
}


@pytest.mark.parametrize(("edit", "words"), REFUSED_EDITS.values(), ids=REFUSED_EDITS)
def test_a_dataset_that_cannot_be_staged(world: World, edit: Edit, words: list[str]) -> None:
    says(world.deploy(world.edited(edit)), REFUSED, *words)


@pytest.mark.parametrize("helm_3_too", [False, True], ids=["helm4", "helm3"])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: job(d)["spec"].update(scheduel="* * * * *"), ['unknown field "spec.scheduel"']),
        (lambda d: job_spec(d).update(startingDeadlineSeconds=60), ['"spec.jobTemplate.spec.startingDeadlineSeconds"']),
        (lambda d: (container(d).update(comand=["x"]), pod(d).update(contaners=[])), ['.comand"', '.contaners"']),
    ],
    ids=["misspelt", "misplaced", "in-a-pod"],
)
def test_a_field_that_kubernetes_does_not_know(
    world: World, edit: Edit, words: list[str], helm_3_too: bool, helm_3: Path, tools_path: Callable[[Path], str]
) -> None:
    environment = {"PATH": tools_path(helm_3)} if helm_3_too else {}
    says(world.deploy(world.edited(edit), environment=environment), REFUSED, "staging-ridge-snow-v0-2-0", *words)


@pytest.mark.parametrize("staged", [(RIDGE, "0.2.0"), HARBOR], ids=["install", "upgrade"])
def test_all_problems_at_once(world: World, staged: tuple[str, str]) -> None:
    def edit(dataset: dict[str, Any]) -> None:
        update, validate = (cron_job["spec"] for cron_job in dataset["cronjobs"])
        update["scheduel"] = update["jobTemplate"]["dedline"] = 1
        validate["schedule"] = "every day"
        dataset |= versioned(*staged)

    done = world.deploy(world.edited(edit, staged[0]), target(staged))
    says(done, REFUSED, f"{release(*staged)}-update: ", '"spec.scheduel"', '"spec.jobTemplate.dedline"')
    says(done, REFUSED, f"{release(*staged)}-validate: ", "every day", "Fix the dataset's code")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: job(d)["spec"].update(timeZone=5), ["spec.timeZone", "string"]),
        (lambda d: job(d)["spec"].update(failedJobsHistoryLimit=2**40), ["spec.failedJobsHistoryLimit", "int32"]),
        (lambda d: container(d).update(command="run"), ["containers.command"]),
    ],
    ids=["number", "large", "in-a-container"],
)
@pytest.mark.parametrize("staged", [(RIDGE, "0.2.0"), HARBOR], ids=["install", "upgrade"])
def test_a_field_of_the_wrong_type(world: World, staged: tuple[str, str], edit: Edit, words: list[str]) -> None:
    catalogue = world.edited(lambda d: (edit(d), d.update(**versioned(*staged))), staged[0])
    says(world.deploy(catalogue, target(staged)), REFUSED, f"{release(*staged)}-update", *words)


def test_jobs_to_skip(world: World) -> None:
    skip = ("--skip-job", "update", "--skip-job", "validate")
    says(world.deploy(target=(*TARGET, *skip)), REFUSED, "no jobs to stage", "update, validate", "skipped")
    says(world.deploy(target=(*TARGET, "--skip-job", "udpate")), REFUSED, "no job 'udpate' to skip", "'update'?")


CATALOGUES = {
    "not-json": ("DATASETS = []", ["standard input is not JSON"]),
    "nothing": (" ", ["standard input is not JSON"]),
    "an-object": ("{}", ["standard input is not a catalogue", "must be a list"]),
    "texts": ('["ridge-snow"]', ["standard input is not a catalogue", "[0] must be an object"]),
    "no-id": ('[{"version": "0.2.0"}]', ["standard input is not a catalogue", "[0].dataset_id is missing"]),
    "number-version": (
        '[{"dataset_id": "ridge-snow", "version": 0.2}]',
        ["standard input is not a catalogue", "[0].version must be a string"],
    ),
    "text-jobs": (
        '[{"dataset_id": "ridge-snow", "cronjobs": "update"}]',
        ["standard input is not a catalogue", "[0].cronjobs must be a list"],
    ),
    "twice": ('[{"dataset_id": "ridge-snow"}, {"dataset_id": "ridge-snow"}]', ["'ridge-snow' twice", "unique"]),
    "no-dataset": ("[]", ["no dataset 'ridge-snow'"]),
    "nan": ('[{"dataset_id": "ridge-snow", "cronjobs": [{"a": NaN}]}]', []),
}


@pytest.mark.parametrize(("text", "words"), CATALOGUES.values(), ids=CATALOGUES)
def test_what_is_not_a_catalogue(world: World, text: str, words: list[str]) -> None:
    says(world.deploy(text), REFUSED, *words)


@pytest.mark.parametrize(
    ("datasets", "code", "words"),
    [
        ("nowhere.json", USAGE, ["'nowhere.json'", "nor a readable catalogue file"]),
        ("src", USAGE, ["'src'", "nor a readable catalogue file"]),
        ("wether.datasets:DATASETS", OUTSIDE, ["no module 'wether'"]),
        ("weather.data:DATASETS", OUTSIDE, ["no module 'weather.data'"]),
        ("weather.datasets:DATASET", OUTSIDE, ["has no attribute 'DATASET'"]),
        ("user_code.is_text:DATASETS", OUTSIDE, ["'user_code.is_text:DATASETS' is str", "list of dataset objects"]),
        ("user_code.has_a_stranger:DATASETS", OUTSIDE, ["has no dataset_id"]),
        ("user_code.is_strange:DATASETS", OUTSIDE, ["{1, 2}", "set", "JSON"]),
        ("user_code.leaves:DATASETS", OUTSIDE, ["user_code.leaves:DATASETS", "exit code 7", "about to leave"]),
        ("user_code.is_killed:DATASETS", OUTSIDE, ["user_code.is_killed:DATASETS", "-9"]),
    ],
)
def test_datasets_that_cannot_be_loaded(world: World, datasets: str, code: int, words: list[str]) -> None:
    says(world("deploy", *TARGET, "--docker-image", IMAGE, "--datasets", datasets), code, *words)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            "raises",
            ["RuntimeError: the shelf is empty", "user_code/raises.py", "line 3, in <module>", "line 2, in helper"],
        ),
        ("exits", ["SystemExit: bye", "user_code/exits.py"]),
        ("misspelt", ["No module named 'weather.datasetz'", "user_code/misspelt.py"]),
        ("not_python", ["SyntaxError", "not_python.py"]),
        ("fails_late", ["ZeroDivisionError", "return 1 / 0"]),
    ],
)
def test_user_code_that_fails_shows_its_own_traceback(world: World, module: str, words: list[str]) -> None:
    done = world("deploy", *TARGET, "--docker-image", IMAGE, "--datasets", f"user_code.{module}:DATASETS")
    assert (done.code, done.stdout) == (OUTSIDE, "")
    _, error, trace = done.stderr.partition("\nerror: your code failed ")
    assert error, done.stderr
    for word in words:
        assert word in done.stderr
    assert "staging_cronjobs" not in trace and "importlib" not in trace


SETTINGS = {
    "unknown": ('datasetz = ["a:B"]', ["no setting 'datasetz'", "'datasets'"]),
    "wrong-kind": ('datasets = "a:B"', ["datasets must be a list"]),
    "first-deploy": ('first-deploy = "stopped"', ['"running" or "paused"', "'stopped'"]),
    "not-toml": ("datasets =", ["pyproject.toml", "TOML"]),
    "no-datasets": ("", ["no datasets are named", "[tool.staging-cronjobs]"]),
}


@pytest.mark.parametrize(("text", "words"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_are_wrong(world: World, tmp_path: Path, text: str, words: list[str]) -> None:
    tmp_path.joinpath("pyproject.toml").write_text(f"[tool.staging-cronjobs]\n{text}\n")
    says(world.staging(tmp_path, "check"), USAGE, *words)


def test_outside_a_checkout(world: World, tmp_path: Path) -> None:
    done = world.staging(tmp_path, "deploy", *TARGET, "--docker-image", IMAGE, "--datasets", "weather.datasets:A")
    says(done, OUTSIDE, str(tmp_path), "not in a git work tree")


@pytest.mark.parametrize("program", ["git", "kubectl", "helm"])
def test_a_program_is_missing(world: World, tmp_path: Path, program: str) -> None:
    for name in {"git", "kubectl", "helm"} - {program}:
        found = shutil.which(name, path=world.staging.environment["PATH"])
        assert found
        tmp_path.joinpath(name).symlink_to(found)
    says(world.deploy(environment={"PATH": str(tmp_path)}), OUTSIDE, f"{program} is not installed", "Install it")


def test_helm_is_too_old(world: World, tmp_path: Path) -> None:
    tmp_path.joinpath("helm").write_text("#!/bin/sh\necho v3.14.0\n")
    tmp_path.joinpath("helm").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{world.staging.environment['PATH']}"
    says(world.deploy(environment={"PATH": path}), OUTSIDE, "helm is v3.14.0", "3.18.5 or newer", "Update it")
    says(world("pause", *target(HARBOR), PATH=path), OUTSIDE, "helm is v3.14.0", "3.18.5 or newer", "Update it")


def target(staged: tuple[str, str]) -> tuple[str, ...]:
    return ("--dataset-id", staged[0], "--version", staged[1])


COMMANDS = {
    "deploy": (*TARGET, "--docker-image", IMAGE),
    "list": (),
    "pause": target(HARBOR),
    "resume": target(HARBOR),
    "run": (*target(HARBOR), "--key", "update"),
    "logs": target(HARBOR),
    "rollback": target(HARBOR),
    "cleanup": (*target(HARBOR), "--yes"),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Each command that asks the cluster; with nothing wrong, they find what they ask for."""
    return (request.param, *COMMANDS[request.param])


def test_no_kubeconfig(world: World, command: tuple[str, ...], tmp_path: Path) -> None:
    done = world(*command, KUBECONFIG=str(tmp_path / "nowhere"), STAGING_KUBE_CONTEXT="")
    says(done, OUTSIDE, "no cluster is named", "Set KUBECONFIG", "--kube-context")


def test_a_kubeconfig_that_is_not_one(world: World, command: tuple[str, ...], tmp_path: Path) -> None:
    tmp_path.joinpath("config").write_text("{]")
    says(
        world(*command, KUBECONFIG=str(tmp_path / "config"), STAGING_KUBE_CONTEXT=""), OUTSIDE, str(tmp_path / "config")
    )


def test_a_context_that_does_not_exist(world: World, command: tuple[str, ...]) -> None:
    says(world(*command, "--kube-context", "production-eu"), OUTSIDE, "production-eu")
    done = world(*command, "--kube-context", "production-eu", "--namespace", world.live.name)
    says(done, OUTSIDE, "production-eu")


def kubeconfig(world: World) -> dict[str, Any]:
    return json.loads(world.live.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))


def test_a_cluster_that_does_not_answer(world: World, command: tuple[str, ...], tmp_path: Path) -> None:
    view = kubeconfig(world)
    view["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    closed = tmp_path / "config"
    closed.write_text(json.dumps(view))
    says(
        world(*command, KUBECONFIG=str(closed), STAGING_KUBE_CONTEXT=""),
        OUTSIDE,
        "context",
        world.live.name,
        "127.0.0.1:1",
    )


def test_a_person_who_has_no_rights(world: World, command: tuple[str, ...], tmp_path: Path) -> None:
    view = kubeconfig(world)
    view["users"][0]["user"]["as"] = "nobody"
    nobody = tmp_path / "config"
    nobody.write_text(json.dumps(view))
    says(
        world(*command, KUBECONFIG=str(nobody), STAGING_KUBE_CONTEXT=""),
        OUTSIDE,
        "forbidden",
        '"nobody"',
        world.live.name,
    )


def test_a_namespace_that_does_not_exist(world: World, command: tuple[str, ...]) -> None:
    done = world(*command, "--namespace", "nowhere")
    if command[0] == "list":
        says(done, OUTSIDE, "has no namespace nowhere", "--namespace")
    elif command[0] == "deploy":
        says(done, OUTSIDE, '"nowhere" not found')
    else:
        says(done, REFUSED, "namespace nowhere", release(*HARBOR))


@pytest.mark.parametrize(
    "command",
    [("status",), ("timeline",), ("sweep",), ("guard", "--strict"), ("logs", "x"), ("cleanup", "--promoted", "--yes")],
)
def test_nothing_is_told_of_a_namespace_that_does_not_exist(world: World, command: tuple[str, ...]) -> None:
    says(world(*command, "--namespace", "nowhere"), OUTSIDE, "has no namespace nowhere", "--namespace")


@pytest.mark.parametrize("namespace", ["No where", "../kube-system", "a?b=c", "x" * 64])
def test_a_namespace_that_cannot_be_one(world: World, namespace: str) -> None:
    says(world("list", "--namespace", namespace), USAGE, f"namespace {namespace!r} is not usable", "63 characters")


def test_a_release_of_the_same_cut_name(world: World) -> None:
    """The id of another dataset is, letter for letter, what this one is cut to."""
    name = world("name", "--dataset-id", FJORD, "--version", "0.4.0").stdout.strip()
    twin = name.removeprefix("staging-").removesuffix("-v0-4-0")
    text = world.staging.helm("get", "values", release(*HARBOR), "-o", "json")
    values = json.loads(text)
    values["record"] |= {"dataset_id": twin, "version": "0.4.0", "branch": stage_branch(twin, "0.4.0")}
    values["jobs"] = {"update": values["jobs"]["update"] | {"name": StagedVersion(twin, "0.4.0").job_name("update")}}
    file = world.repository.path.parent / "twin.json"
    file.write_text(json.dumps(values))
    world.staging.helm("install", name, str(CHART), "-f", str(file))
    try:
        before = world.snapshot()
        catalogue = world.at(FJORD, "0.4.0")
        done = world.deploy(catalogue, target((FJORD, "0.4.0")))
        says(done, REFUSED, f"release {name} belongs to {twin} v0.4.0", f"not to {FJORD} v0.4.0", "Clean that one up")
        on_jobs = (("run", "--key", "update"), ("logs",), ("rollback",))
        for command in (("pause",), ("resume",), *on_jobs, ("cleanup", "--yes")):
            says(world(*command, *target((FJORD, "0.4.0"))), REFUSED, f"release {name} belongs to {twin} v0.4.0")
        assert world.snapshot() == before
    finally:
        world.staging.helm("uninstall", name)


def test_a_release_of_another_repository(world: World, tmp_path: Path) -> None:
    other = make_repository(tmp_path, owner="other")
    other.stage(*HARBOR)
    branch = stage_branch(*HARBOR)
    done = world.staging(other.path, "deploy", "--branch", branch, "--docker-image", IMAGE)
    says(done, REFUSED, f"belongs to {HARBOR[0]} v0.3.0 of dynamical-demo/weather", "of other/weather", "Clean that")
    done = world.staging(other.path, "cleanup", "--branch", branch, "--yes")
    says(done, REFUSED, "deployed from dynamical-demo/weather", "a checkout of other/weather", "Nothing was touched")
    assert other.remote_head(branch)


def test_a_cron_job_of_that_name_is_not_ours(world: World) -> None:
    done = world.deploy(world.at(*TAKEN), target(TAKEN))
    says(done, REFUSED, f"CronJob {release(*TAKEN)}-update is there already", "not from Helm", "Delete or rename")


def test_a_release_of_that_name_is_of_another_chart(world: World) -> None:
    for done in (
        world.deploy(world.at(*FOREIGN_CHART), target(FOREIGN_CHART)),
        *(world(command, *target(FOREIGN_CHART)) for command in ("pause", "resume", "logs", "rollback")),
        world("run", *target(FOREIGN_CHART), "--key", "update"),
        world("cleanup", *target(FOREIGN_CHART), "--yes"),
    ):
        says(done, REFUSED, f"release {release(*FOREIGN_CHART)} is not a staged version", "Nothing was touched")


def test_a_record_of_a_newer_program(world: World) -> None:
    for done in (
        world.deploy(world.at(*NEWER), target(NEWER)),
        *(world(command, *target(NEWER)) for command in ("pause", "resume", "logs", "rollback")),
        world("run", *target(NEWER), "--key", "update"),
        world("cleanup", *target(NEWER), "--yes"),
    ):
        says(done, REFUSED, release(*NEWER), "record format 2", "known up to 1", "update staging-cronjobs")
    assert release(*NEWER) in world("list", "-o", "json").stdout


@pytest.mark.parametrize(
    ("staged", "words"),
    [
        (MOVED, ["branch stage/tide-level-analysis/v0.4.0 is at ", "not at ", "a newer push deploys it"]),
        (GONE, ["branch stage/estuary-salinity-analysis/v0.2.0 is not on origin"]),
    ],
    ids=["moved", "gone"],
)
def test_a_commit_that_is_superseded(world: World, staged: tuple[str, str], words: list[str]) -> None:
    says(world.deploy(world.at(*staged), target(staged)), SUPERSEDED, *words)


@pytest.mark.parametrize("command", [("pause",), ("resume",), ("run", "--key", "update"), ("logs",), ("rollback",)])
def test_nothing_to_work_on(world: World, command: tuple[str, ...]) -> None:
    says(world(*command, *target((RIDGE, "0.9.0"))), REFUSED, "staging-ridge-snow-v0-9-0 does not exist", "namespace")


def test_nothing_to_go_back_to_and_no_log(world: World) -> None:
    says(world("rollback", *target(HARBOR)), REFUSED, f"release {release(*HARBOR)} has no other commit to go back to")
    says(world("logs", *target(HARBOR)), REFUSED, f"no Job of release {release(*HARBOR)} is there")


@pytest.mark.parametrize("command", ["run", "logs"])
def test_a_key_that_is_none(world: World, command: str) -> None:
    says(world(command, *target(HARBOR), "--key", "updat"), REFUSED, "has no job 'updat'", "Did you mean 'update'")


def test_a_job_that_is_not_named_and_a_log_of_no_length(world: World) -> None:
    says(world("run", *target(HARBOR)), USAGE, "name the job")
    assert world("logs", *target(HARBOR), "--tail", "0").code == USAGE


def test_nothing_to_clean_up(world: World) -> None:
    for yes in ((), ("--yes",)):
        done = world("cleanup", *target((RIDGE, "0.2.0")), *yes)
        says(done, REFUSED, "no release staging-ridge-snow-v0-2-0", "namespace", "Nothing was touched", "right cluster")
        assert "git push origin --delete stage/ridge-snow/v0.2.0" in done.stderr


def test_cleanup_by_a_program_needs_yes(world: World) -> None:
    done = world("cleanup", *target(HARBOR))
    says(done, REFUSED, "not a terminal, cannot ask: pass --yes", "Nothing was touched")
    assert f"cronjob  {release(*HARBOR)}-update: deleted" in done.stderr


def test_a_helm_driver_that_keeps_no_record_here(world: World, command: tuple[str, ...]) -> None:
    says(world(*command, HELM_DRIVER="sql"), REFUSED, "HELM_DRIVER is 'sql'", "secret and configmap")


def test_check_names_what_cannot_be_staged(world: World) -> None:
    given = json.dumps(world.edited(name_it(f"{RIDGE}-v2-update")))
    done = world.staging(world.repository.path, "check", "--datasets", "-", given=given)
    assert done.code == REFUSED
    assert done.stderr.splitlines()[-1].startswith("error: ridge-snow v0.2.0 cannot be staged: job key 'v2-update'")
    assert "REFUSED" in done.stdout


def test_check_breaks_at_nothing(world: World) -> None:
    """Every kind of bad dataset at once, each with an id of its own and RIDGE for its prefix."""
    catalogue = []
    for case, (edit, _) in REFUSED_EDITS.items():
        (bad,) = (d for d in world.edited(edit) if d["dataset_id"] == RIDGE)
        catalogue.append(bad | {"dataset_id": case})
    prefixes = ",".join(f"{case}={RIDGE}" for case in REFUSED_EDITS)
    args = ("check", "--datasets", "-", "-o", "json")
    done = world.staging(world.repository.path, *args, given=json.dumps(catalogue), STAGING_JOB_PREFIXES=prefixes)
    assert done.code == REFUSED, done.stderr
    assert {verdict["dataset_id"] for verdict in done.json} == set(REFUSED_EDITS)


def test_with_nothing_wrong_the_world_is_deployed(world: World) -> None:
    """The other tests of this file fail for the reasons they give, and not for one that the world has."""
    done = world.deploy()
    try:
        assert done.code == 0, done.stderr
        assert "Installed release staging-ridge-snow-v0-2-0" in done.stdout
    finally:
        world.staging.helm("uninstall", "staging-ridge-snow-v0-2-0")


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_a_dataset_that_is_really_new_is_allowed(
    staging: Staging, repository: Repository, weather_in_production: object, live: Namespace
) -> None:
    repository.stage(NEW_DATASET, "0.1.0")
    target = ("--branch", stage_branch(NEW_DATASET, "0.1.0"))
    done = staging.run(repository.path, "deploy", *target, "--docker-image", IMAGE)
    assert "; main has no such dataset." in done.stdout
    assert len(live.names("cronjobs", "staging-cronjobs/release")) == 2


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_user_code_may_print_whatever_it_likes(staging: Staging, repository: Repository) -> None:
    repository.stage(RIDGE, "0.2.0")
    write_modules(repository)
    command = ("deploy", *TARGET, "--docker-image", IMAGE, "-o", "json")
    done = staging.run(repository.path, *command, "--datasets", "user_code.prints_rubbish:DATASETS")
    assert [job["key"] for job in done.json["jobs"]] == ["update", "validate"]
    assert "not JSON" not in done.stderr and "not an error" not in done.stderr
