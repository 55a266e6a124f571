"""The summary of a deploy as Markdown, for the page of a workflow's run. What user code gives is inert in it."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import Refused, StagingError, Superseded, Unfinished
from ..model import schedules

if TYPE_CHECKING:
    from ..model.diff import Changes
    from ..model.values import Job
    from ..verbs.deploy import Outcome

FIRES = 3  # next fires that are shown of each job
MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!@])")
WORDS: dict[type[StagingError], str] = {Refused: "Refused", Superseded: "Superseded", Unfinished: "Unfinished"}


def ended(error: StagingError) -> str:
    """One line: why a command did not do what it should."""
    return f"**{WORDS.get(type(error), 'Failed')}:** {_prose(str(error).splitlines()[0])}"


def deployed(outcome: "Outcome", now: datetime) -> str:
    """What runs now, what is different about it, and what to do next."""
    record, paused = outcome.values.record, outcome.values.suspend
    main = f"main has v{_line(outcome.main_version)}" if outcome.main_version else "main does not have this dataset"
    parts = [
        [f"### {_code(record.dataset_id)} v{record.version} is staged{', paused' if paused else ''}"],
        [
            f"Release {_code(outcome.release)} was {'installed' if outcome.installed else 'upgraded'} "
            f"({_prose(str(outcome.cluster))}); {main}. "
            f"It runs {_code(record.image)}, commit {_code(record.commit[:12])}."
        ],
        ["| job | schedule | next, in UTC | CronJob |", "| --- | --- | --- | --- |"]
        + [_row(key, job, paused, now) for key, job in outcome.values.jobs.items()],
        _listed("Warnings", [_prose(text) for text in (*outcome.warnings, *outcome.notices)]),
        _listed("Since what ran before", _since(outcome.changes)),
        _listed("Beside production", _beside(outcome.changes.production)),
        _listed("It writes", [_code(store) for store in record.stores]),
        ["**Next**", "", "```bash", *_next(outcome), "```"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _row(key: str, job: "Job", paused: bool, now: datetime) -> str:
    spec: dict[str, Any] = job.spec
    zone = spec.get("timeZone")
    if paused or spec.get("suspend"):
        fires = "paused" if paused else "suspended by its own code"
    else:
        fires = ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in schedules.fires(spec["schedule"], zone, now, FIRES)) or "-"
    cells = (_code(key), f"{_code(spec['schedule'])} {_prose(zone or 'UTC')}", fires, _code(job.name))
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"


def _since(changes: "Changes") -> list[str]:
    if changes.first:
        return []
    lines = [f"{_code(key)} added" for key in changes.added]
    lines += [f"{_code(key)} changed: {_fields(fields)}" for key, fields in changes.changed.items()]
    lines += [f"dropped: {', '.join(map(_code, changes.dropped))}"] if changes.dropped else []
    lines += [f"stopped, though it ran: Job {_code(job)}" for job in changes.stopped]
    return lines or ["nothing changed"]


def _beside(production: dict[str, list[str] | None]) -> list[str]:
    if all(fields is None for fields in production.values()):
        return ["production has no job of this dataset in this namespace"] if production else []
    return [
        f"{_code(key)}: {'not there' if fields is None else _fields(fields) or 'no difference'}"
        for key, fields in production.items()
    ]


def _next(outcome: "Outcome") -> Iterator[str]:
    record, target = outcome.values.record, f"--branch {outcome.values.record.branch}"
    yield f"# backfill: write the stores above with the image {_line(record.image)}"
    if outcome.values.suspend:
        yield f"staging resume {target}   # when that is done"
    first, *others = outcome.values.jobs
    yield f"staging run {target} --key {first}   # a job now{''.join(f', or {key}' for key in others)}"
    if not outcome.installed:
        yield f"helm rollback {outcome.release} --namespace {outcome.cluster.namespace}   # what ran before"
    yield f"staging cleanup {target}   # take it away again"


def _listed(title: str, lines: list[str]) -> list[str]:
    return [f"**{title}**", "", *(f"- {line}" for line in lines)] if lines else []


def _fields(fields: list[str]) -> str:
    return ", ".join(map(_code, fields))


def _code(text: str) -> str:
    """Text as it is: nothing within is Markdown or HTML."""
    line = _line(text)
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _prose(text: str) -> str:
    """A sentence of ours, which may quote anybody."""
    return MARKUP.sub(r"\\\1", _line(text))


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
