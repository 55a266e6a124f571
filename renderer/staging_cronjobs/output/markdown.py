"""The summary of a deploy as Markdown, for the page of a workflow's run. Text from user code is escaped."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import Refused, StagingError, Superseded, Unfinished
from ..model import command_line, schedules
from .printing import inert
from .terminal import suspended_now

if TYPE_CHECKING:
    from ..model.diff import Changes
    from ..model.values import Job
    from ..verbs.deploy import Outcome

FIRES = 3  # next fires that are shown of each job
MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!@])")
WORDS: dict[type[StagingError], str] = {Refused: "Refused", Superseded: "Superseded", Unfinished: "Unfinished"}


def ended(error: StagingError) -> str:
    """One line: why a command did not do what it should."""
    return f"**{WORDS.get(type(error), 'Failed')}:** {prose(error.message)}"


def deployed(outcome: "Outcome", now: datetime) -> str:
    """What runs now, what is different about it, and what to do next."""
    record, paused, dry = outcome.values.record, outcome.values.suspend, outcome.dry_run
    main = f"main has v{_line(outcome.main_version)}" if outcome.main_version else "main does not have this dataset"
    parts = [
        [
            f"### {code(record.dataset_id)} v{prose(record.version)} {'would be' if dry else 'is'} staged"
            f"{', paused' if paused else ''}"
        ],
        ["Nothing was changed: this was a dry run."] if dry else [],
        [
            f"Release {code(outcome.release)} {'would be' if dry else 'was'} "
            f"{'installed' if outcome.installed else 'upgraded'} ({prose(str(outcome.cluster))}); {main}. "
            f"It {'would run' if dry else 'runs'} {code(record.image)}, commit {code(record.commit[:12])}."
        ],
        [f"Staggered: its schedules are {record.stagger} min later than in the dataset's code."]
        if record.stagger
        else [],
        ["| job | schedule | next, in UTC | CronJob |", "| --- | --- | --- | --- |"]
        + [_row(key, job, outcome, now) for key, job in outcome.values.jobs.items()],
        _listed("Warnings", [prose(text) for text in (*outcome.warnings, *outcome.notices)]),
        _listed("Changes since the last deploy", _since(outcome.changes)),
        _listed("Differences from production", _beside(outcome.changes.production)),
        _listed("Stores", [code(store) for store in record.stores]),
        [] if dry else ["**Next**", "", "```bash", *_next(outcome), "```"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _row(key: str, job: "Job", outcome: "Outcome", now: datetime) -> str:
    spec, zone = job.spec, job.spec.get("timeZone")
    if not suspended_now(outcome, key):
        fires = ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in schedules.fires(spec["schedule"], zone, now, FIRES)) or "-"
    elif outcome.values.suspend or key in outcome.values.paused_keys:
        fires = "paused"
    else:
        fires = f"suspended by {'its own code' if spec.get('suspend') else 'the cluster'}"
    cells = (code(key), f"{code(spec['schedule'])} {prose(zone or 'UTC')}", fires, code(job.name))
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"


def _since(changes: "Changes") -> list[str]:
    if changes.first:
        return []
    lines = [f"{code(key)} added" for key in changes.added]
    lines += [f"{code(key)} changed: {_fields(fields)}" for key, fields in changes.changed.items()]
    lines += [f"removed: {', '.join(map(code, changes.dropped))}"] if changes.dropped else []
    lines += [f"stopped while running: Job {code(job)}" for job in changes.stopped]
    return lines or ["nothing changed"]


def _beside(production: dict[str, list[str] | None]) -> list[str]:
    if all(fields is None for fields in production.values()):
        return ["production has no job of this dataset in this namespace"] if production else []
    return [
        f"{code(key)}: {'not there' if fields is None else _fields(fields) or 'no difference'}"
        for key, fields in production.items()
    ]


def _next(outcome: "Outcome") -> Iterator[str]:
    record, target = outcome.values.record, ("--branch", outcome.values.record.branch)
    first, *others = outcome.values.jobs
    if outcome.legacy:
        yield f"# main is at v{_line(outcome.main_version or '')}, so this version's data exists: no backfill"
    elif outcome.backfill:
        yield _commented("backfill the stores above", outcome.backfill)
    else:
        yield f"# backfill: write the stores above with the image {_line(record.image)}"
    if outcome.values.suspend:
        yield _command("let its jobs run" if outcome.legacy else "when that is done", "resume", *target)
    for key in [key for key in outcome.values.paused_keys if key in outcome.values.jobs]:
        yield _command(f"let {key} run, which is paused alone", "resume", *target, "--key", key)
    yield _command(", or ".join(("a job now", *others)), "run", *target, "--key", first)
    if not outcome.installed:
        yield _command("go back, if another commit was deployed before", "rollback", *target)
    yield _commented("remove it", command_line.cleanup(record.dataset_id, record.version, *target))


def _command(purpose: str, *words: str) -> str:
    """A command of ours that can be copied."""
    return _commented(purpose, command_line.staging(*words))


def _commented(purpose: str, command: str) -> str:
    return inert(f"{command}   # {purpose}")


def _listed(title: str, lines: list[str]) -> list[str]:
    return [f"**{title}**", "", *(f"- {line}" for line in lines)] if lines else []


def _fields(fields: list[str]) -> str:
    return ", ".join(map(code, fields))


def code(text: str) -> str:
    """Text as it is: nothing within is Markdown or HTML."""
    line = _line(text)
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def prose(text: str) -> str:
    """A sentence of ours, which may quote anybody."""
    return MARKUP.sub(r"\\\1", _line(text))


def _line(text: str) -> str:
    """One line in which nothing is hidden; for a page, where blanks are one."""
    return inert(" ".join(text.split()))
