"""`staging init`: the workflows and settings in a user's repository, what is missing there, what to set on GitHub."""

import json
import os
import re
import secrets
import shlex
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from string import Template

from ..checks import installation, isolation, other_workflows
from ..errors import Outside, Refused, StagingError, Unfinished, Usage
from ..external import cluster, git, shipped, user_code
from ..external.git import Checkout
from ..model import settings, workflow_parts
from ..model.settings import TABLE, Settings
from . import Say

FOLDER = ".github/workflows"
WORKFLOWS = (f"{FOLDER}/deploy-staging.yml", f"{FOLDER}/cleanup-staging.yml")
PYPROJECT = "pyproject.toml"
OWN = "staging"  # the environment of the workflows as they are shipped
ENVIRONMENT = re.compile(r"(?<=vars\.STAGING_ENVIRONMENT \|\| ')[^']*")
BUILD = "image.build"  # the part that builds the image
DOCKERFILE = re.compile(r"^( +DOCKERFILE: )(.*?)(\r?)$", re.MULTILINE)
NAMED = re.compile(r"\b(?:secrets|vars)\.([A-Z0-9_]+)")  # what a workflow reads of its environment
PATH = re.compile(r"(?!-)[\w./-]+", re.ASCII)  # needs no quotes in a workflow
OPTIONAL = re.compile(r"STAGING_.*|SENTRY_AUTH_TOKEN|GITHUB_TOKEN")  # set by whoever wants to
OUTCOMES = {None: "up to date", True: "written", False: "not changed"}
SUBJECT = r'"repo:\(.owner.login)@\(.owner.id)/\(.name)@\(.id):environment:%s"'  # what jq prints, in Actions' tokens
PLACEHOLDER = "package.module:ATTRIBUTE"
DATASETS = 'datasets = ["weather.datasets:DATASETS"]'
IMAGE = "example.registry/image:tag"
SETTINGS = Template(f"""
{TABLE}
datasets = $datasets
first-deploy = "paused" # backfill, then `staging resume`; with "running" the jobs start at once
namespace = $namespace # where releases go, beside production; cleanup looks there too
# backfill = "uv run main {{dataset_id}} backfill --docker-image {{image}}" # shown while a new version waits, never run
# main = "main" # the branch that production is deployed from
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
    lost: tuple[str, ...] = ()  # what a person may have written there that does not stay

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

    @property
    def changes(self) -> list[File]:
        """The files that are not as they should be."""
        return [file for file in self.files if file.before != file.after]


def look(own: Settings, environment: str, datasets: Collection[str], dockerfile: str = "") -> Project:
    """What is there and what should be; nothing is written. Raises `Refused` where that cannot be said."""
    checkout = git.checkout(own)
    if environment and not re.fullmatch(r"[\w.-]+", environment, re.ASCII):
        raise Usage(
            f"the environment is {environment!r}. It must have letters, digits, dots, dashes and underscores only."
        )
    old = {name: _text(checkout.folder, name) for name in (*WORKFLOWS, PYPROJECT)}
    there = ENVIRONMENT.search(old[WORKFLOWS[0]] or "")
    named = environment or (there[0] if there else OWN)
    facts = {"main": checkout.main, "repository": checkout.repository, "environment": named}
    if odd := [f"{name} {value!r}" for name, value in facts.items() if not value.isprintable()]:
        raise Usage(f"{odd[0]} is not usable. It must be one line of printable characters")
    files = [_workflow(name, old[name], named) for name in WORKFLOWS]
    if dockerfile or BUILD not in workflow_parts.of(old[WORKFLOWS[0]] or "", WORKFLOWS[0]):
        files[0] = _with_dockerfile(files[0], _relative(checkout, dockerfile) if dockerfile else _dockerfile(checkout))
    files.append(File(PYPROJECT, old[PYPROJECT], _with_settings(own, checkout.folder, old[PYPROJECT], datasets)))
    return Project(checkout, named, tuple(files))


def missing(project: Project) -> list[str]:
    """What the workflows still lack in the repository, a sentence each."""
    return [sentence for found in lacking(project).values() for sentence in found]


def lacking(project: Project) -> dict[str, list[str]]:
    """The same by what was looked at."""
    found: dict[str, list[str]] = {"workflows": [], "settings": [], "Dockerfile": _without_image(project)}
    for file in project.changes:
        part = "settings" if file.name == PYPROJECT else "workflows"
        if file.before is None:
            found[part].append(f"{file.name} is missing")
        elif file.name == PYPROJECT:
            found[part].append(f"{PYPROJECT} has no {TABLE}")
        else:
            found[part].append(
                f"{file.name} is out of date, or edited outside of the parts that are yours. `staging init` shows the "
                "difference and asks."
            )
    text = project.files[-1].before
    found["settings"] += _undecided(project)
    found["package"] = (
        installation.lacking(project.checkout, text, _text(project.checkout.folder, "uv.lock"))
        if text is not None
        else []
    )
    return found


def apart(project: Project) -> list[str]:
    """Which parts that are the user's are not as this version ships them, a sentence for each file; nothing is wrong.

    An update keeps them, so what it brings for these parts is only seen by a comparison.
    """
    found = []
    for file in project.files[:-1]:
        kept, ours = workflow_parts.of(file.before or "", file.name), workflow_parts.of(_shipped(file.name), file.name)
        names = [name for name in kept.keys() & ours if _comparable(kept[name]) != _comparable(ours[name])]
        if names:
            compare = shlex.join(("git", "diff", "--no-index", str(_place(file.name)), file.name))
            found.append(
                f"{file.name} keeps your {', '.join(sorted(names))}, which this version ships otherwise. See whether "
                f"something in it is new: `{compare}`"
            )
    return found


def archivers(own: Settings) -> str:
    """What to know of jobs that write outside of a version's stores; empty where none does. It loads user code."""
    sources = [source for source in user_code.in_project(own) if source not in ("-", PLACEHOLDER)]
    try:
        found = isolation.archiving(user_code.read(sources, own, IMAGE), own) if sources else None
    except StagingError as error:
        text = "whether jobs write outside of a version's stores is not known, because your code cannot be read"
        return f"{text}. {error.message}"
    return f"{found[0]}: {found[1]}" if found else ""


def install(project: Project, say: Say, ask: Callable[[str], bool]) -> None:
    """Write what is missing, and what a person agrees to replace; everything is asked before the first is written."""
    if project.files[-1].before is None:
        raise Refused(
            f"{project.checkout.folder} has no {PYPROJECT}. Make one with `uv init --bare`, then run this again."
        )
    answers = {}
    for file in project.changes:
        if file.before is not None:
            for line in (*file.diff.split("\n"), *file.lost):
                say(line)
        answers[file.name] = file.before is None or ask(f"Apply this change to {file.name}?")
    begun = False
    for file in project.files:
        if answers.get(file.name):
            _write(project.checkout.folder, file, begun=begun)
            begun = True
    for file in project.files:  # not before all is written: whoever reads along may leave
        say(f"{file.name}: {OUTCOMES[answers.get(file.name)]}")
    if answers.get(WORKFLOWS[0]):
        others = other_workflows.workflows(project.checkout, {file.name: file.before for file in project.files[:-1]})
        for hint in other_workflows.hints(others, WORKFLOWS[0], project.files[0].after):
            say(hint)
        for hint in other_workflows.environment(others, project.environment) if project.environment == OWN else ():
            say(hint)


def to_set(project: Project) -> str:
    """What a person sets on GitHub and AWS, as commands."""
    names = needed(project)
    kinds = {"all", "new" if project.environment == OWN else "existing"}
    kinds |= {kind for kind, name in (("aws", "AWS_ROLE_TO_ASSUME"), ("depot", "DEPOT_PROJECT")) if name in names}
    sections = re.split(r"^--- (\w+)\n", Path(__file__).with_name("to_set.txt").read_text("utf-8"), flags=re.MULTILINE)
    chosen = [text for name, text in zip(sections[1::2], sections[2::2], strict=True) if name in kinds]
    facts = {"repository": project.checkout.repository, "environment": project.environment}
    facts |= {"main": project.checkout.main, "subject": SUBJECT % json.dumps(project.environment)[1:-1]}
    quoted = {name: shlex.quote(value) for name, value in facts.items()}
    return Template("".join(chosen)).substitute(quoted, names=" ".join(names)).rstrip()


def needed(project: Project, *workflows: str) -> list[str]:
    """What these workflows, or both, read of the environment's secrets and variables, as they should be."""
    texts = [file.after for file in project.files[:-1] if file.name in (workflows or WORKFLOWS)]
    return [name for name in dict.fromkeys(NAMED.findall("".join(texts))) if not OPTIONAL.fullmatch(name)]


def _place(name: str) -> Path:
    """Where the package has a workflow."""
    return shipped.path(f"workflows/{Path(name).name}", name)


def _shipped(name: str) -> str:
    return _place(name).read_text("utf-8")


def _comparable(part: str) -> str:
    """A part without what `init` itself writes there, or ends of lines."""
    return DOCKERFILE.sub(r"\1", part).replace("\r", "")


def _workflow(name: str, before: str | None, environment: str) -> File:
    """A workflow as it should be: as it is shipped, with the parts that are the user's."""
    ours = _with_ends(before, ENVIRONMENT.sub(lambda _: environment, _shipped(name)))
    kept = workflow_parts.of(before or "", name)
    return File(
        name,
        before,
        workflow_parts.into(ours, kept),
        _lost(name, kept, workflow_parts.of(ours, name)) if before else (),
    )


def _lost(name: str, kept: Mapping[str, str], ours: Mapping[str, str]) -> tuple[str, ...]:
    """What of a user's file would not stay, a sentence each."""
    if not kept:
        return (
            f"{name} has no marks around parts that are yours, so none of your own changes to it stays. "
            "Make them again afterwards, between the marks.",
        )
    gone = [
        f"{name} has no part {part} any more, so what you wrote there does not stay." for part in kept.keys() - ours
    ]
    new = [f"{name} lacks the marks of {part}, so what you changed there does not stay." for part in ours.keys() - kept]
    return (*sorted(gone), *sorted(new))


def _with_dockerfile(file: File, path: str) -> File:
    """The workflow with this Dockerfile in the part that builds the image."""
    build = workflow_parts.of(file.after, file.name).get(BUILD, "")
    changed, count = DOCKERFILE.subn(lambda line: f"{line[1]}{path}{line[3]}", build)
    if not count:
        raise Refused(f"{file.name} has no line DOCKERFILE: in its part {BUILD}. Name {path} there yourself.")
    return replace(file, after=workflow_parts.into(file.after, {BUILD: changed}))


def _dockerfile(checkout: Checkout) -> str:
    """The Dockerfile at the top, or the only one that git knows; else the one at the top, which is then missed."""
    found = [path for path in checkout.tracked if path.rpartition("/")[2] == "Dockerfile" and PATH.fullmatch(path)]
    return found[0] if len(found) == 1 else "Dockerfile"


def _relative(checkout: Checkout, path: str) -> str:
    """A Dockerfile's path from the top of the repository. Raises `Usage` for one that is not there."""
    file = (Path.cwd() / path).resolve()
    if not file.is_file() or not file.is_relative_to(checkout.folder):
        raise Usage(f"there is no file {path} in {checkout.folder}. Pass --dockerfile with the path of your Dockerfile")
    relative = file.relative_to(checkout.folder).as_posix()
    if not PATH.fullmatch(relative):
        raise Usage(
            f"the Dockerfile is {relative!r}. Its path must have letters, digits and the characters . _ / - only"
        )
    return relative


def _without_image(project: Project) -> list[str]:
    """What the step that builds the image would not find; its part may be the user's, who names no file there."""
    build = workflow_parts.of(project.files[0].after, project.files[0].name).get(BUILD, "")
    paths = [line[2] for line in DOCKERFILE.finditer(build) if PATH.fullmatch(line[2])]
    return [
        f"{project.files[0].name} builds {path}, and there is no such file. Run `staging init --dockerfile PATH`"
        for path in paths
        if not (project.checkout.folder / path).is_file()
    ]


def _undecided(project: Project) -> list[str]:
    """Whether the settings, if there are any, say where the datasets are."""
    pyproject = project.files[-1]
    if pyproject.before is None or pyproject in project.changes:
        return []
    named = settings.load(project.checkout.folder, {}).datasets
    if named and PLACEHOLDER not in named:
        return []
    return [f"{PYPROJECT} must say where your datasets are, such as {DATASETS}"]


def _plain(folder: Path, name: str) -> Path:
    """Where a file is, or would be. Raises `Refused` for what is no plain file in plain folders."""
    path = folder / name
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink() or (part.exists() and not (part.is_file() if part == path else part.is_dir())):
            kind = "file" if part == path else "folder"
            raise Refused(f"{part.relative_to(folder)} is not a plain {kind}. Move it out of the way.")
    return path


def _text(folder: Path, name: str) -> str | None:
    """A file's text, None when there is none. Raises `Refused` for what is no plain file in plain folders."""
    path = _plain(folder, name)
    try:
        return path.read_bytes().decode(errors="surrogateescape") if path.exists() else None
    except OSError as error:
        raise Outside(f"cannot read {name}: {error.strerror}") from None


def _with_settings(own: Settings, folder: Path, text: str | None, datasets: Collection[str]) -> str:
    """The text of pyproject.toml with a table of settings at its end, if it has none: a user's own is never changed."""
    if text is None:
        return ""  # nobody writes one: it must be made first
    there = settings.load(folder, {})  # its sentence for a file that is not TOML, or for a wrong setting
    if "staging-cronjobs" in tomllib.loads(text).get("tool", {}):
        if datasets and there.datasets != tuple(datasets):
            raise Refused(
                f"{PYPROJECT} has {TABLE} already. Write its datasets there yourself, and leave --datasets out."
            )
        return text
    facts = {"datasets": [*(datasets or [PLACEHOLDER])], "namespace": _namespace(own)}
    table = SETTINGS.substitute({name: json.dumps(fact, ensure_ascii=False) for name, fact in facts.items()})
    table = _with_ends(text, table)
    after = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{table}"
    try:
        tomllib.loads(after)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{TABLE} cannot be appended to {PYPROJECT}. Write it there yourself: {error}") from None
    return after


def _namespace(own: Settings) -> str:
    """The namespace of the settings, else of the kubeconfig; Kubernetes' own default where nobody can say."""
    try:
        return cluster.connect(own).namespace
    except StagingError:  # no kubectl, or no kubeconfig: a workflow's, newly made, names no namespace either
        return own.namespace or "default"


def _with_ends(before: str | None, text: str) -> str:
    """Our text with the line ends of the file that it goes into."""
    return text.replace("\n", "\r\n") if (before or "").partition("\n")[0].endswith("\r") else text


def _write(folder: Path, file: File, *, begun: bool) -> None:
    """Write a new file beside it and move that over it: whatever happens, it is the old or the new one."""
    path = _plain(folder, file.name)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")  # a name that no commit can have taken
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), "wb") as stream:
            if path.exists():
                os.fchmod(stream.fileno(), path.stat().st_mode)
            stream.write(file.after.encode(errors="surrogateescape"))
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise (Unfinished if begun else Outside)(
            f"cannot write {file.name}: {error.strerror}. Run the same command again to finish."
        ) from None
