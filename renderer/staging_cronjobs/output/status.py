"""What `staging status` found out: for a terminal, as Markdown, or as JSON."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ..model import runs
from ..model.origin import by
from ..model.status import UNKNOWN, UNREADABLE
from . import markdown
from .printing import encodable, inert, show_json
from .screen import age, clock, console, styled

if TYPE_CHECKING:
    from ..model.status import JobStanding, Problem, Standing
    from ..verbs.status import Status

PLAIN, BOLD, BAD, DIM = "", "bold", "bold red", "dim"
Line = tuple[str, str]  # text, and its style


def as_table(found: "Status") -> None:
    """For people: no name and no command is ever broken, so that it can be copied."""
    styled([(encodable(inert(text), sys.stdout), style) for text, style in _lines(found, console().width)])


def as_json(found: "Status") -> None:
    """For programs."""
    where = {"context": found.cluster.context, "namespace": found.cluster.namespace}
    unknown = [asdict(problem) for problem in found.unknown]
    versions = [_plain(asdict(version)) for version in found.versions]
    show_json({**where, "asked": f"{found.now:%Y-%m-%dT%H:%M:%SZ}", "unknown": unknown, "versions": versions})


def as_markdown(found: "Status") -> str:
    """For the page of a workflow's run."""
    rows = ["| version | state | branch | main | jobs |", "| --- | --- | --- | --- | --- |"]
    rows += [f"| {' | '.join(_cells(version, found))} |" for version in found.versions]
    parts = [
        "### Staged versions",
        *(["\n".join(rows)] if found.versions else []),
        f"**{markdown.prose(_summary(found))}**",
    ]
    parts += [_listed("unknown", problem) for problem in found.unknown]
    parts += [_listed(_title(v), problem) for v in found.versions for problem in v.problems]
    notes = [_listed(_title(v), note) for v in found.versions for note in v.notes]
    parts += ["**Notes**", *notes] if notes else []
    return "\n\n".join(parts)


def _cells(version: "Standing", found: "Status") -> Iterator[str]:
    yield markdown.code(_title(version))
    branch = "; ".join(filter(None, (_branch(version), _deployed(version))))
    yield from map(markdown.prose, (_state(version, found), branch, _main(version)))
    yield "<br>".join(f"{markdown.code(job.key)} {markdown.prose(_job(job, found))}" for job in version.jobs) or "-"


def _lines(found: "Status", width: int) -> Iterator[Line]:
    yield str(found.cluster), PLAIN
    for version in found.versions:
        yield "", PLAIN
        yield f"{_title(version)}  {_state(version, found)}", BOLD
        facts = [("release", version.release), ("branch", _branch(version)), ("deployed", _deployed(version))]
        moved = f"{version.stagger} min later than in the dataset's code" if version.stagger else ""
        facts += [("main", _main(version)), ("stagger", moved), *((job.key, _job(job, found)) for job in version.jobs)]
        room = max(len(name) for name, text in facts if text) + 4
        for name, text in facts:
            yield from ((line, PLAIN) for line in _hung(f"  {name:<{room - 2}}", text, room, width) if text)
        yield from _told("wrong", version.problems, BAD, width)
        yield from _told("note", version.notes, DIM, width)
    yield "", PLAIN
    yield from _told("unknown", found.unknown, BAD, width)
    yield _summary(found), BOLD


def _told(word: str, problems: "Iterable[Problem]", style: str, width: int) -> Iterator[Line]:
    for problem in problems:
        yield from ((line, style) for line in _hung(f"  {word}: ", problem.text, 4, width))
        yield from ((f"      {command}", PLAIN) for command in problem.commands)


def _hung(start: str, text: str, indent: int, width: int) -> list[str]:
    """Text broken between words alone; what follows the first line is indented."""
    words = inert(text)
    return wrap(words, max(width, 40), initial_indent=start, subsequent_indent=" " * indent, break_long_words=False,
                break_on_hyphens=False)  # fmt: skip


def _title(version: "Standing") -> str:
    return f"{version.dataset_id} v{version.version}" if version.dataset_id else version.release or version.branch


def _state(version: "Standing", found: "Status") -> str:
    alone = ", ".join(job.key for job in version.jobs if job.paused)
    paused = ", paused" if version.paused else f", {alone} paused" if alone else ""
    words = [f"{version.status}{paused}"]
    if version.created:
        words.append(
            f"{_age(version.created, found)} old, revision {version.revision} for {_age(version.updated, found)}"
        )
    return ", ".join(words)


def _branch(version: "Standing") -> str:
    """The branch's head against what is deployed, and how far it is behind main."""
    commit = version.commit.removesuffix("-dirty")[:12]
    dirty = " with changes that were not committed" if version.commit.endswith("-dirty") else ""
    if not version.branch:
        return UNKNOWN
    if version.head == UNKNOWN:
        told = (
            f"head {UNKNOWN}" if version.ours or not version.repository else f"of {version.repository}, head {UNKNOWN}"
        )
        return f"{told}; {commit}{dirty} is deployed"
    if not version.commit:
        return f"at {(version.head or '')[:12]}, nothing is deployed"
    at = "gone" if version.head is None else f"at {version.head[:12]}"
    same = "as deployed" if version.head == version.clean_commit else f"{commit} is deployed"
    behind = UNKNOWN if version.behind is None else f"{version.behind} commits"
    return f"{at}, {same}{dirty}; behind main: {behind}"


def _deployed(version: "Standing") -> str:
    """By whom, from where, and what the commit says of itself."""
    return ": ".join(filter(None, (by(version.actor, version.run).strip(), version.subject)))


def _main(version: "Standing") -> str:
    if version.main is None:
        return "does not have this dataset"
    if version.main in (UNKNOWN, UNREADABLE):
        return version.main
    same = version.main == version.version
    return f"{version.main}{', the same' if same else ', newer than this' if version.legacy else ', older than this'}"


def _job(job: "JobStanding", found: "Status") -> str:
    if job.suspended is None:
        return "its CronJob is missing"
    words = [f"succeeded {_age(job.last_success, found)} ago"] if job.last_success else []
    if failure := job.last_failure:
        words.append(f"failed {_age(failure.ended, found)} ago ({failure.reason})")
    for run in job.running:
        verb = "runs" if run.state == runs.RUNNING else "tries to run"
        words.append(f"{verb} for {_age(run.began, found)}{f' ({run.reason})' if run.reason else ''}")
    if not words:
        words.append("no run yet" if job.known else f"runs {UNKNOWN}")
    elif not job.known:
        words.append(f"the last runs are {UNKNOWN}")
    words.append(
        ("paused alone" if job.paused else "suspended") if job.suspended else f"next {clock(job.next_fire, found.now)}"
    )
    words += [f"monitor {job.monitor}"] if job.monitor else []
    return ", ".join(words)


def _age(stamp: str, found: "Status") -> str:
    return age(stamp, found.now)


def _summary(found: "Status") -> str:
    if not found.versions and not found.unknown:
        return f"No staged versions in {found.cluster}."
    bad = sum(bool(version.problems) for version in found.versions)
    count = len(found.versions)
    told = [f"{count} staged version{'' if count == 1 else 's'}, {bad or 'none'} with something wrong."]
    told += ["Not everything could be asked."] if found.unknown else []
    return " ".join(told)


def _listed(where: str, problem: "Problem") -> str:
    """A problem as Markdown, with its commands to copy."""
    lines = [f"- {markdown.code(where)}: {markdown.prose(problem.text)}"]
    if problem.commands:
        lines += ["", "  ```bash", *(f"  {inert(command)}" for command in problem.commands), "  ```"]
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """The same as JSON has it: times as texts."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
