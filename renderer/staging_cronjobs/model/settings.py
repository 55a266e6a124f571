"""What a project sets: `[tool.staging-cronjobs]` in its pyproject.toml, each with an environment variable over it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import Usage, suggestion
from . import backfill, version_source

TABLE = "[tool.staging-cronjobs]"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project. Lists in environment variables are separated by commas."""

    project: Path = field(default_factory=Path.cwd)  # the folder of pyproject.toml; user code is loaded from here
    datasets: tuple[str, ...] = ()  # package.module:ATTRIBUTE, a catalogue file, or -
    python: str = ""  # the interpreter that has the project's packages; default: $VIRTUAL_ENV's, .venv's, or this one
    remote: str = "origin"  # the git remote that has the stage branches
    main: str = "main"  # the branch that production is deployed from
    repository: str = ""  # owner/name; default: read from the remote's URL
    namespace: str = ""  # default: the kubeconfig's
    kube_context: str = ""  # default: the kubeconfig's
    version_source: str = ""  # FILE:KEY of a JSON, TOML or Python file; default: the template's zarr.json
    skip_jobs: tuple[str, ...] = ()  # keys of jobs that are never staged: they write outside the version's stores
    job_prefixes: Mapping[str, str] = field(default_factory=dict)  # dataset id -> prefix of its production jobs
    store_isolation: str = "version"  # or "none": where a version writes need not have the version in its URL
    first_deploy: str = "running"  # or "paused": the first push comes before the backfill
    stagger: str = ""  # such as 5m: a new version's schedules are moved by 1 to 5 minutes
    backfill: str = ""  # the command that fills a new version's stores, with placeholders; shown, never run
    timeout: str = "5m"  # Helm's --timeout, and how long objects may take to go
    sentry_org: str = ""  # the slug of the organization; without it no monitors are deleted
    sentry_project: str = ""  # the slug of the project that the jobs report to
    sentry_url: str = "https://sentry.io"  # or https://us.sentry.io, https://de.sentry.io, your own server
    given: frozenset[str] = frozenset()  # the settings that an option, the environment or main's file has decided
    chosen: frozenset[str] = frozenset()  # of these, what an option or the environment has decided

    @property
    def stagger_minutes(self) -> int:
        """By how many minutes schedules may be moved; 0 for not at all."""
        found = STAGGER.fullmatch(self.stagger)
        return int(found[1]) if found else 0


NAMES = tuple(f.name for f in fields(Settings) if f.name not in ("project", "given", "chosen"))
# Where things are, and what a person is told to type. A stage branch's own file does not decide that: only options, the
# environment and main's file do.
PLACE = frozenset(
    {
        "repository",
        "namespace",
        "kube_context",
        "version_source",
        "backfill",
        "sentry_org",
        "sentry_project",
        "sentry_url",
    }
)
CHOICES = {"first_deploy": ("running", "paused"), "store_isolation": ("version", "none")}
REF = re.compile(r"(?!-)[^\s\x00-\x1f\x7f~^:?*\[\\]+")  # what git takes as the name of a remote or a branch
URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")
STAGGER = re.compile(r"([0-9])m")  # less than the 10 minutes that a monitor waits for a check-in
LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]", re.IGNORECASE)


def load(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings for `folder`: of the nearest pyproject.toml at or above it, and of the environment.

    Raises `Usage` for a file that is not TOML, an unknown setting, or one of the wrong kind.
    """
    start = (folder or Path.cwd()).resolve()
    file = _pyproject(start)
    values: dict[str, Any] = {"project": file.parent, **_from_file(file)} if file else {"project": start}
    found = _from_environment(os.environ if environment is None else environment)
    own = _checked(Settings(**(values | found), given=frozenset(found), chosen=frozenset(found)))
    if wrong := version_source.problem(own.version_source):  # main's, which may be newer, is looked at where it is used
        raise Usage(wrong)
    return own


def given(own: Settings, **options: str) -> Settings:
    """The settings with a command's options over them; an empty one was not given."""
    named = {name: value for name, value in options.items() if value}
    return replace(own, **named, given=own.given | named.keys(), chosen=own.chosen | named.keys())


def from_main(own: Settings, text: str, where: str) -> Settings:
    """The settings with what main's pyproject.toml, of this text, says about places; what was given stays.

    What main's file does not say counts as not set, whatever the branch's own file says. Its other settings are not
    looked at: main may be newer than this program.
    """
    table = _table(text, where)
    values = {name: _value(where, name, table[_shown(name)]) for name in PLACE if _shown(name) in table}
    said = {name: values.get(name, getattr(Settings(), name)) for name in PLACE - own.given}
    if backfill.problem(said.get("backfill", "")):  # of a newer program; it is only shown, so nothing stops for it
        said["backfill"] = ""
    return _checked(replace(own, **said, given=own.given | PLACE))


def without_main(own: Settings) -> Settings:
    """The settings where no main can be read: no address but Sentry's own, or one that was given, gets a token."""
    trusted = "sentry_url" in own.given or own.sentry_url == Settings().sentry_url
    return own if trusted else replace(own, sentry_url="")


def main_of(text: str, where: str) -> str:
    """The branch that the pyproject.toml of this text calls main."""
    return _value(where, "main", _table(text, where).get("main", Settings().main))


def seconds(duration: str, what: str) -> float:
    """A duration as Go and Helm write it, such as 90s or 1h30m, in seconds. Raises `Usage` for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise Usage(f"{what} is {duration!r}. It must be a duration such as 90s, 5m or 1h30m.")
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def check_address(url: str) -> None:
    """Raises `Usage` for what is no address of Sentry's, or would show its token to others."""
    if not (match := URL.fullmatch(url)):
        raise Usage(f"sentry-url is {url!a}. It must be an address such as https://sentry.io.")
    if match[1] == "http" and not LOOPBACK.fullmatch(match[2]):
        raise Usage(f"sentry-url is {url}. Use https: over http, anybody on the way could read Sentry's token.")


def variable(name: str) -> str:
    """The environment variable over a setting: sentry-cli's own names for Sentry, STAGING_… for the rest."""
    return name.upper() if name.startswith("sentry_") else f"STAGING_{name.upper()}"


def _pyproject(folder: Path) -> Path | None:
    return next((f for d in (folder, *folder.parents) if (f := d / "pyproject.toml").is_file()), None)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        table = _table(file.read_text(encoding="utf-8"), str(file))
    except (UnicodeDecodeError, OSError) as error:
        raise Usage(f"{file} cannot be read as TOML: {error}") from None
    known = {_shown(name): name for name in NAMES}
    for name in table:
        if name not in known:
            raise Usage(f"{file}: {TABLE} has no setting {name!r}{suggestion(name, known)}")
    return {known[name]: _value(str(file), known[name], value) for name, value in table.items()}


def _table(text: str, where: str) -> dict[str, Any]:
    """Our table of a pyproject.toml; empty when it has none."""
    import tomllib

    try:
        tool = tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError) as error:  # not TOML, or a number or nesting that no file needs
        raise Usage(f"{where} cannot be read as TOML: {error}") from None
    table = tool.get("staging-cronjobs", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise Usage(f"{where}: {TABLE} must be a table")
    return table


def _shown(name: str) -> str:
    return name.replace("_", "-")


def _value(where: str, name: str, value: object) -> Any:
    """A value of the file. Raises `Usage` where it is not what the setting must be."""
    kind, place = type(getattr(Settings(), name)), f"{where}: {TABLE} {_shown(name)}"
    parts: dict[str, object] = {"": value}
    if kind is tuple and isinstance(value, list):
        parts = {f"[{number}]": item for number, item in enumerate(value)}
    elif kind is dict and isinstance(value, dict):
        parts = {f".{key}": item for key, item in value.items()}
    elif kind is not str:
        raise Usage(f"{place} must be {'a list' if kind is tuple else 'an object'}")
    for part, text in parts.items():
        if not isinstance(text, str):
            raise Usage(f"{place}{part} must be a string")
    return tuple(parts.values()) if kind is tuple else value


def _checked(settings: Settings) -> Settings:
    """The same settings. Raises `Usage` for one that cannot be used."""
    for name, words in CHOICES.items():
        if (value := getattr(settings, name)) not in words:
            raise Usage(f'{_shown(name)} is {value!r}. It must be "{words[0]}" or "{words[1]}".')
    for name in ("remote", "main"):
        if not REF.fullmatch(value := getattr(settings, name)):
            raise Usage(f"{name} is {value!r}. It must be a name that git takes.")
    seconds(settings.timeout, "timeout")
    if settings.stagger and not STAGGER.fullmatch(settings.stagger):
        raise Usage(
            f"stagger is {settings.stagger!r}. It must be whole minutes, 1m to 9m: a monitor expects its check-in "
            "within 10 minutes."
        )
    if wrong := backfill.problem(settings.backfill):
        raise Usage(f"backfill is {settings.backfill!r}. {wrong}")
    check_address(settings.sentry_url)
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in NAMES:
        if not (value := environment.get(variable(name), "")):
            continue
        items = tuple(v.strip() for v in value.split(",") if v.strip())
        if name == "job_prefixes":
            if not all("=" in item for item in items):
                raise Usage(f"STAGING_JOB_PREFIXES is {value!r}. It must be dataset-id=prefix, separated by commas.")
            values[name] = dict(item.split("=", 1) for item in items)
        else:
            values[name] = items if isinstance(getattr(Settings(), name), tuple) else value
    return values
