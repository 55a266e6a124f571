"""What a project sets: `[tool.staging-cronjobs]` in its pyproject.toml, each with an environment variable over it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import Usage, suggestion

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
    skip_jobs: tuple[str, ...] = ()  # keys of jobs that are never staged: they write outside the version's stores
    job_prefixes: Mapping[str, str] = field(default_factory=dict)  # dataset id -> prefix of its production jobs
    first_deploy: str = "running"  # or "paused": the first push comes before the backfill
    timeout: str = "5m"  # Helm's --timeout
    sentry_org: str = ""  # the slug of the organization; without it no monitors are deleted
    sentry_project: str = ""  # the slug of the project that the jobs report to
    sentry_url: str = "https://sentry.io"  # or https://us.sentry.io, https://de.sentry.io, your own server


def load(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings for `folder`: of the nearest pyproject.toml at or above it, and of the environment.

    Raises `Usage` for a file that is not TOML, an unknown setting, or one of the wrong kind.
    """
    file = _pyproject((folder or Path.cwd()).resolve())
    values: dict[str, Any] = {"project": file.parent, **_from_file(file)} if file else {}
    values |= _from_environment(os.environ if environment is None else environment)
    settings = Settings(**values)
    if settings.first_deploy not in ("running", "paused"):
        raise Usage(f'first-deploy is {settings.first_deploy!r}: it must be "running" or "paused"')
    seconds(settings.timeout, "timeout")
    return settings


def seconds(duration: str, what: str) -> float:
    """A duration as Go and Helm write it, such as 90s or 1h30m, in seconds. Raises `Usage` for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise Usage(f"{what} is {duration!r}: it must be such as 90s, 5m or 1h30m")
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def variable(name: str) -> str:
    """The environment variable over a setting: sentry-cli's own names for Sentry, STAGING_… for the rest."""
    return name.upper() if name.startswith("sentry_") else f"STAGING_{name.upper()}"


def _pyproject(folder: Path) -> Path | None:
    return next((f for d in (folder, *folder.parents) if (f := d / "pyproject.toml").is_file()), None)


def _from_file(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file} cannot be read as TOML: {error}") from None
    table = tool.get("staging-cronjobs", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise Usage(f"{file}: {TABLE} must be a table")
    known = {f.name.replace("_", "-"): f for f in fields(Settings) if f.name != "project"}
    values = {}
    for name, value in table.items():
        if name not in known:
            raise Usage(f"{file}: {TABLE} has no setting {name!r}{suggestion(name, known)}")
        values[known[name].name] = _checked(f"{file}: {TABLE} {name}", known[name].name, value)
    return values


def _checked(where: str, name: str, value: object) -> Any:
    default = getattr(Settings(), name)
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        raise Usage(f"{where} must be a list of strings")
    if isinstance(default, Mapping):
        if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
            return value
        raise Usage(f"{where} must be a table of strings")
    if isinstance(value, str):
        return value
    raise Usage(f"{where} must be a string")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        value = environment.get(variable(setting.name), "")
        if not value or setting.name == "project":
            continue
        items = tuple(v.strip() for v in value.split(",") if v.strip())
        if setting.name == "job_prefixes":
            if not all("=" in item for item in items):
                raise Usage(f"STAGING_JOB_PREFIXES is {value!r}: it must be dataset-id=prefix, separated by commas")
            values[setting.name] = dict(item.split("=", 1) for item in items)
        else:
            values[setting.name] = items if isinstance(getattr(Settings(), setting.name), tuple) else value
    return values
