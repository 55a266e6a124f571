"""`staging init`: the workflows and settings in a user's repository, what is missing there, what to set on GitHub."""

import json
import re
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from shlex import quote
from string import Template
from typing import Any

from ..errors import AGAIN, Outside, Refused, Unfinished, Usage
from ..external import git, shipped
from ..external.git import Checkout
from ..model import settings
from ..model.settings import TABLE, Settings
from . import Say

FOLDER = ".github/workflows"
WORKFLOWS = (f"{FOLDER}/deploy-staging.yml", f"{FOLDER}/cleanup-staging.yml")
PYPROJECT = "pyproject.toml"
OWN = "staging"  # the environment of the workflows as they are shipped
ENVIRONMENT = re.compile(r"(?<=vars\.STAGING_ENVIRONMENT \|\| ')[^']*")
OUTCOMES = {None: "is so already", True: "written", False: "left as it is"}
SUBJECT = r'"repo:\(.owner.login)@\(.owner.id)/\(.name)@\(.id):environment:%s"'  # what jq prints, in Actions' tokens
PLACEHOLDER = "package.module:ATTRIBUTE"
SETTINGS = Template(f"""
{TABLE}
datasets = $datasets
first-deploy = "paused" # backfill, then `staging resume`; with "running" the jobs start at once
# main = "main" # the branch that production is deployed from
# namespace = "weather" # where releases go; else the kubeconfig's
# skip-jobs = ["archive-grib-files"] # keys of jobs that are never staged
# sentry-org = "my-organization" # with sentry-project: cleanup deletes the monitors of staged jobs
# sentry-project = "weather"
""")


@dataclass(frozen=True)
class File:
    """A file of the user's repository, as it is and as it should be."""

    name: str  # from the top of the repository
    before: str | None  # None: there is none
    after: str

    @property
    def diff(self) -> str:
        """What would change."""
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        return "\n".join(unified_diff(old, new, self.name, f"{self.name} (staging init)", lineterm=""))


@dataclass(frozen=True)
class Project:
    """A user's repository, and what `staging init` would make of it."""

    checkout: Checkout
    environment: str
    files: tuple[File, ...]

    def __post_init__(self) -> None:
        """Raises `Usage` for what would end a comment of `to_set`, and begin a command."""
        for name, value in self._facts.items():
            if not value.isprintable():
                raise Usage(f"{name} is {value!r}. It must be one line of plain characters.")

    @property
    def _facts(self) -> dict[str, str]:
        return {"main": self.checkout.main, "repository": self.checkout.repository, "environment": self.environment}

    @property
    def facts(self) -> dict[str, str]:
        """What the commands of `to_set` name, each quoted for a shell."""
        subject = SUBJECT % json.dumps(self.environment)[1:-1]
        return {name: quote(value) for name, value in {**self._facts, "subject": subject}.items()}

    @property
    def changes(self) -> list[File]:
        """The files that are not as they should be."""
        return [file for file in self.files if file.before != file.after]


def look(own: Settings, environment: str, datasets: Collection[str]) -> Project:
    """What is there and what should be; nothing is written. Raises `Refused` where that cannot be said."""
    checkout = git.checkout(own)
    if environment and not re.fullmatch(r"[\w.-]+", environment, re.ASCII):
        raise Usage(f"environment {environment!r}: it must have letters, digits, dots, dashes and underscores alone")
    old = {name: _text(checkout.folder, name) for name in (*WORKFLOWS, PYPROJECT)}
    kept = ENVIRONMENT.search(old[WORKFLOWS[0]] or "")
    named = environment or (kept[0] if kept else OWN)
    files = [File(name, old[name], ENVIRONMENT.sub(lambda _: named, _shipped(name))) for name in WORKFLOWS]
    pyproject = File(PYPROJECT, old[PYPROJECT], _with_settings(checkout.folder, old[PYPROJECT], datasets))
    return Project(checkout, named, (*files, pyproject))


def missing(project: Project) -> list[str]:
    """What the workflows still lack in the repository, a sentence each."""
    found = []
    for file in project.changes:
        if file.before is None:
            found.append(f"{file.name} is missing")
        elif file.name == PYPROJECT:
            found.append(f"{PYPROJECT} has no {TABLE}")
        else:
            found.append(f"{file.name} is out of date or edited: `staging init` shows the difference and asks")
    return found + _unlisted(project)


def install(project: Project, say: Say, ask: Callable[[str], bool]) -> None:
    """Write what is missing, and what a person agrees to replace; everything is asked before the first is written."""
    if project.files[-1].before is None:
        raise Refused(f"{project.checkout.folder} has no {PYPROJECT}: make one, `uv init --bare`, and run this again")
    answers = {}
    for file in project.changes:
        if file.before is not None:
            for line in file.diff.split("\n"):
                say(line)
        answers[file.name] = file.before is None or ask(f"Apply this change to {file.name}?")
    begun = False
    for file in project.files:
        if answers.get(file.name):
            _write(project.checkout.folder, file, begun=begun)
            begun = True
    for file in project.files:  # not before all is written: whoever reads along may leave
        say(f"{file.name}: {OUTCOMES[answers.get(file.name)]}")


def to_set(project: Project) -> str:
    """What a person sets on GitHub and AWS, as commands."""
    kind = "new" if project.environment == OWN else "existing"
    parts = re.split(r"^--- (\w+)\n", Path(__file__).with_name("to_set.txt").read_text("utf-8"), flags=re.MULTILINE)
    chosen = [text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name in ("all", kind)]
    return Template("".join(chosen)).substitute(project.facts).rstrip()


def _unlisted(project: Project) -> list[str]:
    """What `uv sync --locked --group staging` and `staging deploy` would not find."""
    folder, pyproject, found = project.checkout.folder, project.files[-1], []
    if pyproject.before is None:
        return found
    named = settings.load(folder, {}).datasets
    if pyproject not in project.changes and (not named or PLACEHOLDER in named):
        found.append(f'{PYPROJECT} must say where your datasets are, such as datasets = ["weather.datasets:DATASETS"]')
    if "staging" not in _table(pyproject.before, "dependency-groups"):
        found.append(f"{PYPROJECT} has no dependency group staging: uv add --group staging staging-cronjobs")
    elif 'name = "staging-cronjobs"' not in (_text(folder, "uv.lock") or ""):
        found.append("uv.lock is missing, or has no staging-cronjobs: uv lock")
    return found


def _shipped(name: str) -> str:
    return shipped.path(f"workflows/{Path(name).name}", name).read_text("utf-8")


def _text(folder: Path, name: str) -> str | None:
    """A file's text, None when there is none. Raises `Refused` for what is no plain file in plain folders."""
    path = folder / name
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink() or (part.exists() and not (part.is_file() if part == path else part.is_dir())):
            raise Refused(f"{part.relative_to(folder)} is not a plain {'file' if part == path else 'folder'}: move it")
    try:
        return path.read_bytes().decode(errors="replace") if path.exists() else None
    except OSError as error:
        raise Outside(f"cannot read {name}: {error.strerror}") from None


def _with_settings(folder: Path, text: str | None, datasets: Collection[str]) -> str:
    """The text of pyproject.toml with a table of settings at its end, if it has none: a user's own is never changed."""
    table = SETTINGS.substitute(datasets=json.dumps([*(datasets or [PLACEHOLDER])], ensure_ascii=False))
    if text is None:
        return table
    own = settings.load(folder, {})  # its sentence for a file that is not TOML, or for a wrong setting
    if "staging-cronjobs" in _table(text, "tool"):
        if datasets and own.datasets != tuple(datasets):
            raise Refused(
                f"{PYPROJECT} has {TABLE} already: write its datasets there yourself, and leave --datasets out"
            )
        return text
    after = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{table}"
    try:
        tomllib.loads(after)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{TABLE} cannot be appended to {PYPROJECT}, write it there yourself: {error}") from None
    return after


def _table(text: str, name: str) -> dict[str, Any]:
    value = tomllib.loads(text).get(name)
    return value if isinstance(value, dict) else {}


def _write(folder: Path, file: File, *, begun: bool) -> None:
    path = folder / file.name
    new = path.with_name(f".{path.name}.new")  # beside it, so that whatever happens the file is the old or the new one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(file.after, "utf-8", newline="")
        new.replace(path)
    except OSError as error:
        raise (Unfinished if begun else Outside)(f"cannot write {file.name}: {error.strerror}; {AGAIN}") from None
