"""A repository as GitHub has it: events start its own workflows, which nektos/act runs on this machine.

What steps take from elsewhere is in the folder standins: actions, and the programs of the cloud.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from controlplane import binaries
from controlplane.cluster import FOR_A_MOMENT
from live import PROGRAM, Namespace, outside_environment
from reading import read, steps
from repositories import Repository
from staged import Sentry
from staging_cronjobs import __version__

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
DEPLOY, CLEANUP = "deploy-staging.yml", "cleanup-staging.yml"
NAMES = ("DOCKER_REPOSITORY", "AWS_ROLE_TO_ASSUME", "AWS_REGION", "EKS_CLUSTER_NAME", "DEPOT_PROJECT")
SETTINGS = {name: f"{name.lower().replace('_', '-')}-1" for name in NAMES} | {"DOCKER_REPOSITORY": "registry.test/sky"}
RUN_SECONDS = 300  # that one run may take on a busy machine
GITHUB_TOKEN = "token-of-this-run"
PYPROJECT = """
[dependency-groups]
dev = ["pytest", "ruff", "ty"]
staging = ["staging-cronjobs"]

[tool.uv.sources]
staging-cronjobs = {{ path = "{root}", editable = true }}

[tool.ruff]
line-length = 120
"""
TEST = """from pathlib import Path


def test_versions_are_recorded() -> None:
    assert "ridge-snow" in Path("src/weather/versions.json").read_text()
"""


def uv() -> Path:
    """The uv that runs these tests, else the one on PATH or in the cache."""
    cached = map(str, sorted(binaries.cache().glob("uv-*/bin/uv")))
    found = [os.environ.get("UV"), shutil.which("uv"), *cached]
    return next(Path(file) for file in found if file)  # make has put one into the cache, if nobody else has


def make_tool(folder: Path) -> Repository:
    """This work tree, as it is now, as a git repository that packages come from, with the tag of its version."""
    tool = Repository(folder, folder)
    names = Repository(ROOT, ROOT).git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    tool.git("init", "--quiet", "--template=", "--initial-branch=main")
    tool.git("config", "user.name", "x")
    tool.git("config", "user.email", "x@example.org")
    tool.commit("Release")
    tool.git("tag", f"v{__version__}")
    return tool


def adopt(repository: Repository, lock: Path | None = None, **settings: str) -> None:
    """Make the example repository one that stages by workflow: packages, tests, settings, an image and the files."""
    pyproject = repository.path / "pyproject.toml"
    lines = "".join(f'{name.replace("_", "-")} = "{value}"\n' for name, value in settings.items())
    pyproject.write_text(pyproject.read_text() + lines + PYPROJECT.format(root=ROOT))
    repository.write("Dockerfile", "FROM scratch\n")
    repository.write("tests/test_weather.py", TEST)
    subprocess.run([PROGRAM, "init"], cwd=repository.path, env=uv_environment(), check=True, capture_output=True)
    if lock is None:
        # Where a lock exists, uv keeps to its versions: those of this repository, which the cache has.
        shutil.copy(ROOT / "uv.lock", repository.path)
        subprocess.run([uv(), "lock", "--quiet"], cwd=repository.path, env=uv_environment(), check=True)
    else:
        shutil.copy(lock, repository.path)
    repository.commit("Stage by workflow")
    repository.push("main")


@dataclass(frozen=True)
class Run:
    """How the run of a workflow ended."""

    workflow: str
    code: int
    messages: list[dict[str, Any]]

    @property
    def log(self) -> str:
        """What its steps printed, and which of them failed."""
        told = [m for m in self.messages if m.get("raw_output") or "raw" in m or "jobID" not in m or _failed(m)]
        return "\n".join(m["msg"].rstrip() for m in told)

    @property
    def jobs(self) -> dict[str, str]:
        """The results of the jobs that ran."""
        return {m["jobID"]: m["jobResult"] for m in self.messages if "jobResult" in m}

    def steps(self, job: str) -> dict[str, str]:
        """The results of the steps that ran, by their names."""
        own = [m for m in self.messages if m.get("jobID") == job and m.get("stage") == "Main"]
        return {m["step"]: m["stepResult"] for m in own if "stepResult" in m and len(m["stepID"]) == 1}

    def not_run(self, job: str) -> set[str]:
        """The steps of a job that did not run to a good end."""
        done = self.steps(job)
        named = {step["name"] for name, step in steps(read(self.workflow)) if name == job}
        assert done.keys() <= named, "a step without a name"
        return {name for name in named if done.get(name) != "success"}

    def annotations(self, kind: str) -> list[str]:
        """What it shows as `error`, `warning` or `notice`."""
        return [m["arg"] for m in self.messages if m.get("command") == kind]

    @property
    def summary(self) -> str:
        return "".join(m["content"] for m in self.messages if m.get("command") == "summary")


def _failed(message: Mapping[str, Any]) -> bool:
    return message.get("stepResult") == "failure" or message.get("jobResult") == "failure"


@dataclass
class Hub:
    """The server of one repository. What its runs write is in `folder`, and the stand-ins' records with it."""

    folder: Path
    repository: Repository
    programs: Path
    cluster: Mapping[str, str]  # KUBECONFIG, KUBECACHEDIR
    secrets: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    variables: dict[str, str] = field(default_factory=dict)
    started: list["Started"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state.mkdir(parents=True)
        self.state.joinpath("images").touch()
        self.state.joinpath("calls").touch()

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def calls(self, job: str = "") -> list[str]:
        """How the stand-ins were called so far, by one job or all."""
        lines = self.state.joinpath("calls").read_text().splitlines()
        return [line.removeprefix(f"{job}: ") for line in lines if line.startswith(f"{job}: " if job else "")]

    def push(self, branch: str, **options: Any) -> Run:
        """What a push to the branch starts; see `start_push`."""
        return self.start_push(branch, **options).end()

    def start_push(self, branch: str, commit: str = "", **options: Any) -> "Started":
        """Start what a push to the branch starts: of the commit that the remote has, or had once."""
        return self.start("push", {"ref": f"refs/heads/{branch}"}, branch, commit, **options)

    def delete(self, branch: str, kind: str = "branch", **options: Any) -> Run:
        """What the deletion of a branch starts; it deletes none."""
        return self.start_delete(branch, kind, **options).end()

    def start_delete(self, branch: str, kind: str = "branch", **options: Any) -> "Started":
        """Start what the deletion of a branch starts: the default branch's file."""
        return self.start("delete", {"ref": branch, "ref_type": kind}, **options)

    def dispatch(self, action: str, target: str, key: str = "") -> Run:
        """What a person starts by hand."""
        inputs = {"action": action, "target": target, "key": key}
        return self.start("workflow_dispatch", {"ref": "refs/heads/main", "inputs": inputs}).end()

    def daily(self) -> Run:
        """What the schedule starts; for `staging` it is the next day."""
        return self.start("schedule", {}, PYTHONPATH=str(STANDINS / "tomorrow")).end()

    def start(
        self,
        event: str,
        payload: Mapping[str, Any],
        branch: str = "main",
        commit: str = "",
        *,
        job: str = "",
        cluster: Mapping[str, str] | None = None,
        **more: str,
    ) -> "Started":
        """Start what the event starts, each time as on a new machine with an empty home."""
        machine = self.folder / f"run-{len(self.started) + 1}"
        self._clone(branch, commit, machine / "source")
        home = machine / "home"
        home.mkdir()
        server = self.repository.remote.parents[1]
        home.joinpath(".gitconfig").write_text(f'[url "{server}/"]\n\tinsteadOf = https://github.com/\n')
        payload = {**payload, "repository": {"default_branch": "main", "full_name": self.full_name}}
        machine.joinpath("event.json").write_text(json.dumps(payload))
        secrets = {"GITHUB_TOKEN": GITHUB_TOKEN, **self.secrets}
        # In a file: what stands in act's own environment, every step would have.
        text = "".join(f"{name}={json.dumps(value)}\n" for name, value in secrets.items())
        machine.joinpath("secrets").write_text(text)
        known = cluster or self.cluster
        environment = {
            **{name: value for name, value in outside_environment(home).items() if not name.startswith("GIT_CONFIG_G")},
            **uv_environment(),
            **FOR_A_MOMENT,
            "PATH": os.pathsep.join([str(self.programs / "runner"), "/usr/bin", "/bin"]),
            "XDG_CACHE_HOME": str(machine / "cache"),
            "KUBECACHEDIR": self.cluster["KUBECACHEDIR"],
            "STANDINS_KUBECONFIG": known["KUBECONFIG"],
            "STANDINS_PROGRAMS": str(self.programs),
            "STANDINS_STATE": str(self.state),
            **more,
        }
        command = [
            *(
                str(binaries.path("act")),
                event,
                "--json",
                "--strict",
                "--insecure-secrets",
                "--no-skip-checkout",
                "--no-cache-server",
            ),
            *("--platform", "ubuntu-24.04=-self-hosted", "--eventpath", str(machine / "event.json")),
            *("--env", f"GITHUB_REPOSITORY={self.full_name}"),
            *(("--job", job) if job else ()),
            *("--secret-file", str(machine / "secrets")),
            *(word for name, value in self.variables.items() for word in ("--var", f"{name}={value}")),
            *(word for uses in _uses() for word in ("--local-repository", f"{uses}={_standin(uses)}")),
        ]
        output = machine / "output"
        with output.open("w") as file:  # not a pipe: nobody reads while it runs
            process = subprocess.Popen(
                command,
                cwd=machine / "source",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.started.append(Started(DEPLOY if event == "push" else CLEANUP, process, output))
        return self.started[-1]

    def stop(self) -> None:
        """End what a test that failed has left running."""
        for started in self.started:
            started.process.terminate()
            started.process.wait()

    @property
    def full_name(self) -> str:
        remote = self.repository.remote
        return f"{remote.parent.name}/{remote.stem}"

    def _clone(self, branch: str, commit: str, folder: Path) -> None:
        """What act reads the workflows, the branch's name and its commit from."""
        folder.mkdir(parents=True)
        source = Repository(folder, self.repository.remote)
        source.git("init", "--quiet", "--initial-branch", branch)
        source.git("fetch", "--quiet", "--depth=1", str(source.remote), commit or f"refs/heads/{branch}")
        source.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        for file in folder.glob(".github/workflows/*-staging.yml"):
            file.write_text(file.read_text().replace("      queue: max\n", ""))  # act does not know this key yet
        for file in {*folder.glob(".github/workflows/*.yml")} - {*folder.glob(".github/workflows/*-staging.yml")}:
            patterns = YAML(typ="safe").load(file)["on"]["push"]["branches"]
            if not any(fnmatch(branch, pattern) for pattern in patterns):
                file.unlink()  # act runs all workflows of a push, whatever the branch


@dataclass(frozen=True)
class Started:
    """A run that has begun."""

    workflow: str
    process: subprocess.Popen[bytes]
    output: Path

    def end(self) -> Run:
        """Wait for its end."""
        code = self.process.wait(timeout=RUN_SECONDS)
        lines = self.output.read_text().rstrip("\n").split("\n")  # Unicode has other ends of lines, and names may too
        return Run(self.workflow, code, [json.loads(line) if line.startswith("{") else {"msg": line} for line in lines])


def make_programs(folder: Path) -> Path:
    """A folder with the programs that a runner has, and those that its steps install."""
    for name, file in {
        "uv/uv": uv(),
        "runner/git": Path(shutil.which("git") or "/usr/bin/git"),
        "runner/aws": STANDINS / "runner" / "aws",
        "runner/docker": STANDINS / "runner" / "docker",
        "depot/depot": STANDINS / "depot" / "depot",
        **{
            f"{binary.name}-{binary.version}/{binary.name}": binaries.path(key)
            for key in ("helm4", "kubectl")
            if (binary := binaries.BINARIES[key])
        },
    }.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).symlink_to(file)
    return folder


def _uses() -> Iterable[str]:
    """Each action that the two workflows use, as `owner/name@commit`."""
    found = {step["uses"] for name in (DEPLOY, CLEANUP) for _, step in steps(read(name)) if "uses" in step}
    return sorted(found)


def _standin(uses: str) -> Path:
    folder = STANDINS / "actions" / uses.partition("@")[0]
    assert folder.is_dir(), f"{uses} has no stand-in in {STANDINS}"
    return folder


def uv_environment() -> dict[str, str]:
    """The machine's own ways to its packages, and this Python."""
    kept = ("UV_", "PIP_", "SSL_", "HTTP", "NO_PROXY", "https_", "http_", "no_proxy")
    own = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    cache = os.environ.get("UV_CACHE_DIR") or str(binaries.cache() / "uv-cache")
    return own | {
        "PATH": os.environ["PATH"],
        "UV_CACHE_DIR": cache,
        "UV_PYTHON": str(Path(sys.executable).resolve()),  # not the one of our own environment
        "UV_PYTHON_DOWNLOADS": "never",
    }


SENTRY_TOKEN = "SENTRY_AUTH_TOKEN"


@dataclass(frozen=True)
class World:
    """A repository that stages by workflow, the namespace that its settings name, and its Sentry."""

    hub: Hub
    live: Namespace
    sentry: Sentry

    @property
    def repository(self) -> Repository:
        return self.hub.repository

    def left(self) -> list[str]:
        """What there is of staged versions, as kind/name."""
        return self.live.leftovers() + [f"monitor/{slug}" for slug in self.sentry.slugs()]
