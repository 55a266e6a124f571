"""Sentry's token is seen by nobody but the process that asks Sentry: not in what is printed, kept, or passed on."""

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from live import IMAGE, PROGRAM, SECONDS, Done, Namespace, Staging
from repositories import Repository
from sentry_server import answered, cut
from staged import Sentry, install, names, push
from staging_cronjobs.model.staged_version import StagedVersion

pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)

BUG, OUTSIDE, UNFINISHED = 1, 4, 5
RIDGE = StagedVersion("ridge-snow", "0.2.0")
PROGRAMS = ("git", "helm", "kubectl", "python")

# First on PATH instead of the program: it notes its own command line and environment, and becomes the program.
WRAPPER = """#!/bin/sh
tr '\\0' '\\n' < /proc/$$/cmdline >> '{notes}/{name}.txt'
tr '\\0' '\\n' < /proc/$$/environ >> '{notes}/{name}.txt'
exec '{real}' "$@"
"""

# Python loads it at the start of every process: all that any library logs is shown.
VERBOSE = """
import logging
logging.basicConfig(level=logging.DEBUG)
"""

# A bug at the place that holds the token.
BUGGY = """
import requests
def request(self, method, url, **options):
    options["auth"](requests.Request(method, url).prepare())
    raise RuntimeError("a bug")
requests.Session.request = request
"""

# A user's own program, which shows the variables of every frame when it fails.
APP = """
import typer
from staging_cronjobs.cli import mount
app = typer.Typer(pretty_exceptions_show_locals=True)
@app.command()
def other() -> None: ...
mount(app, [])
app()
"""


@dataclass(frozen=True)
class Spy:
    """Runs programs and keeps what they print, and what every process below them is given."""

    staging: Staging
    folder: Path  # where they run
    notes: Path  # a file per wrapped program
    path: str
    printed: list[str] = field(default_factory=list)
    seen: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)  # token -> processes that have it, by argv
    told: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)  # token -> command lines that hold it

    def __call__(self, *command: str | Path, code: int, watch: str, **environment: str) -> Done:
        """Run a command to its end, while `/proc` is searched for the token `watch`."""
        env = {**self.staging.environment, "PATH": self.path, "HELM_DEBUG": "1", "GIT_TRACE": "1", **environment}
        with searching(watch, self.seen.setdefault(watch, set()), self.told.setdefault(watch, set())):
            done = subprocess.run(
                command, cwd=self.folder, env=env, input="", capture_output=True, text=True, timeout=SECONDS
            )
        assert done.returncode == code, done.stderr
        self.printed.extend((done.stdout, done.stderr))
        return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def searching(token: str, seen: set[tuple[str, ...]], told: set[tuple[str, ...]]) -> Generator[None]:
    """Note the command line of every process of this machine that has the token, in its environment or there."""
    needle, over = token.encode(), threading.Event()

    def search() -> None:
        while not over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = process.joinpath("cmdline").read_bytes()
                    if needle in command:
                        told.add(arguments(command))
                    # One that just begins or ends has no command line.
                    if needle in process.joinpath("environ").read_bytes() and command:
                        seen.add(arguments(command))
                except OSError:  # it has ended, or is somebody else's
                    continue

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def arguments(command: bytes) -> tuple[str, ...]:
    return tuple(command.decode(errors="replace").rstrip("\0").split("\0"))


@pytest.fixture
def spy(staging: Staging, repository: Repository, tmp_path: Path) -> Spy:
    wrappers, notes = tmp_path / "wrappers", tmp_path / "notes"
    wrappers.mkdir()
    notes.mkdir()
    for name in PROGRAMS:
        real = sys.executable if name == "python" else shutil.which(name, path=staging.environment["PATH"])
        wrapper = wrappers / name
        wrapper.write_text(WRAPPER.format(notes=notes, name=name, real=real))
        wrapper.chmod(0o755)
    return Spy(staging, repository.path, notes, f"{wrappers}{os.pathsep}{staging.environment['PATH']}")


def customized(folder: Path, *parts: str) -> dict[str, str]:
    """The environment in which Python runs these parts at its start."""
    folder.mkdir(exist_ok=True)
    folder.joinpath("sitecustomize.py").write_text("".join(parts))
    return {"PYTHONPATH": str(folder)}


def forms(token: str) -> list[str]:
    """The token, and as an encoding would show it, wherever it begins within three bytes."""
    encoded = [base64.b64encode(b"." * shift + token.encode())[4:-4].decode() for shift in range(3)]
    return [token, token.removeprefix("sntryu_"), quote(token), *encoded]


def pieces(token: str) -> list[str]:
    """Every part of the token that is long enough to be no accident."""
    return [token[start : start + 12] for start in range(len(token) - 12)]


def in_cluster(live: Namespace) -> str:
    """All that the namespace holds, and what Helm's records hold once they are unpacked."""
    kinds = ("secrets", "configmaps", "cronjobs", "jobs", "pods", "events")
    found = [json.dumps(live.all(kind)) for kind in kinds]
    for secret in live.all("secrets", "owner=helm"):
        record = gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"])))
        assert b"staging-cronjobs" in record
        found.append(record.decode())
    return "\n".join(found)


def expired() -> str:
    """A token that Sentry does not know, or not any more."""
    return f"sntryu_{uuid.uuid4().hex}{uuid.uuid4().hex}"


def test_the_token_is_nowhere_but_where_sentry_is_asked(
    spy: Spy, repository: Repository, live: Namespace, sentry: Sentry, tmp_path: Path
) -> None:
    versions = [StagedVersion("ridge-snow", f"0.{number}.0") for number in (2, 3, 4, 5, 6)]
    environment = sentry.environment | customized(tmp_path / "verbose", VERBOSE)
    flagged = dict(sentry.settings) | {"PYTHONPATH": environment["PYTHONPATH"]}
    wrong = expired()
    tokens, kept = [sentry.token, wrong], []
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    dump = repository.path / "environment-of-user-code"
    code = repository.path / "src/weather/datasets.py"
    code.write_text(f"{code.read_text()}\nimport os\nopen({str(dump)!r}, 'w').write(repr(os.environ))\n")
    repository.commit("Write the environment down")
    repository.push(RIDGE.branch)

    def staging(*args: str, code: int = 0, token: str = sentry.token, **more: str) -> Done:
        done = spy(PROGRAM, *args, code=code, watch=token, **{**environment, **more})
        kept.append(in_cluster(live))
        return done

    def cleanup(*which: StagedVersion, code: int = 0, **more: str) -> Done:
        branches = [flag for version in which for flag in ("--branch", version.branch)]
        return staging("cleanup", *branches, "--yes", code=code, **more)

    staging(
        "deploy", "--branch", RIDGE.branch, "--docker-image", IMAGE, STAGING_PYTHON=str(tmp_path / "wrappers/python")
    )
    for version in versions[1:]:
        push(repository, version)
        install(spy.staging, repository, version)
    sentry.check_in(*(name for version in versions for name in names(version)))
    live.run_job(names(RIDGE)[0], "by-hand")
    staging("list")
    staging("list", "-o", "json")
    staging("sweep", "--grace", "0s")
    # Errors: an unknown token, a connection cut in each way, an answer that nobody expects, a bug.
    cleanup(versions[4], code=UNFINISHED, token=wrong, SENTRY_AUTH_TOKEN=wrong)
    staging("sweep", code=OUTSIDE, token=wrong, SENTRY_AUTH_TOKEN=wrong)
    for where in ("before", "after", "body"):
        sentry.server.inject(cut(where), times=1)
        sentry.server.inject(answered(200, b"<html>"))
        staging("sweep", code=OUTSIDE)
    done = cleanup(versions[4], code=BUG, **customized(tmp_path / "buggy", VERBOSE, BUGGY))
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr
    # One and many, with the token in the environment and on the command line.
    cleanup(RIDGE)
    cleanup(versions[1], versions[4])
    staging("sweep", "--sentry-token", sentry.token, SENTRY_AUTH_TOKEN="")
    flags = ("--yes", "--sentry-token", sentry.token)
    branches = [flag for version in versions[2:4] for flag in ("--branch", version.branch)]
    spy(PROGRAM, "cleanup", *branches, *flags, code=0, watch=sentry.token, **flagged)

    assert not live.leftovers()
    assert not sentry.slugs()
    assert {request.authorized for request in sentry.server.requests} == {"right", "wrong"}
    notes = {file.stem: file.read_text() for file in spy.notes.iterdir()}
    assert set(notes) == set(PROGRAMS)
    everywhere = "\n".join([*spy.printed, *kept, *notes.values(), dump.read_text()])
    assert "DEBUG:urllib3" in everywhere  # so it was verbose
    assert "SENTRY_PROJECT=weather" in everywhere  # and environments were noted
    assert "SENTRY_AUTH_TOKEN" not in "\n".join([*notes.values(), dump.read_text()])
    for token in tokens:
        assert not [form for form in forms(token) if form in everywhere]

    ours = (str(PROGRAM), "staging_cronjobs.cli")
    assert spy.seen[sentry.token]
    strangers = [argv for found in spy.seen.values() for argv in found if not set(argv) & set(ours)]
    assert strangers == []
    on_command_lines = {argv for found in spy.told.values() for argv in found}
    assert all("--sentry-token" in argv and str(PROGRAM) in argv for argv in on_command_lines)


@pytest.mark.parametrize("way", ["environment", "command line"])
def test_a_users_own_program_that_shows_every_variable_does_not_show_the_token(
    spy: Spy, repository: Repository, live: Namespace, sentry: Sentry, tmp_path: Path, way: str
) -> None:
    push(repository, RIDGE)
    install(spy.staging, repository, RIDGE)
    app = tmp_path / "app.py"
    app.write_text(APP)
    environment = dict(sentry.environment) | customized(tmp_path / "buggy", BUGGY)
    flags = ["--dataset-id", RIDGE.dataset_id, "--version", RIDGE.version, "--yes"]
    if way == "command line":
        flags += ["--sentry-token", environment.pop("SENTRY_AUTH_TOKEN")]
    command = (sys.executable, str(app), "cleanup-staging", *flags)
    done = spy(*command, code=BUG, watch=sentry.token, **environment)
    assert "RuntimeError: a bug" in done.stderr
    # A table of variables breaks long values, and cuts them.
    text = re.sub(r"[\s│]", "", done.stdout + done.stderr)
    assert not [piece for piece in pieces(sentry.token) if piece in text]
