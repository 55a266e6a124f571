"""What was tried with hostile input, by kind, and what it achieved; printed as a table at the end of the run."""

from collections.abc import Collection
from dataclasses import astuple, dataclass
from typing import Any

import pytest

TITLES = ("tried", "changed foreign", "ran something", "traceback", "hang")
Counts = dict[str, list[int]]  # kind -> a number for each title
COUNTS: pytest.StashKey[Counts] = pytest.StashKey()


@dataclass(frozen=True)
class Harm:
    """What one hostile input achieved; all of it must be nothing."""

    changed: bool = False  # something that is not the tried staged version's own
    ran: bool = False  # a program, a hook, a request to somebody else's server
    traceback: bool = False
    hang: bool = False


class Hostile:
    """Notes what was tried, and fails the test when it achieved anything."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def tried(
        self, kind: str, said: str = "", *, changed: object = False, ran: object = False, hang: bool = False
    ) -> None:
        """One input of a kind: what the program `said` in all, and what was found `changed` or to have been run."""
        harm = Harm(bool(changed), bool(ran), "Traceback (most recent call last)" in said, hang)
        row = self._counts.setdefault(kind, [0] * len(TITLES))
        row[:] = (n + m for n, m in zip(row, (1, *astuple(harm)), strict=True))
        assert harm == Harm(), f"{kind}: {harm}; changed: {changed}; ran: {ran}; said: {said}"


@pytest.fixture
def hostile(pytestconfig: pytest.Config) -> Hostile:
    """`hostile.tried("kind of input", done.stdout + done.stderr, changed=..., ran=...)`."""
    return Hostile(pytestconfig.stash.setdefault(COUNTS, {}))


def table(counts: Counts) -> list[str]:
    """The lines of the table; none when nothing was tried."""
    width = max((len(kind) for kind in counts), default=0) + 2
    rows = [(kind, counts[kind]) for kind in sorted(counts)]
    rows.append(("all", [sum(column) for column in zip(*counts.values(), strict=True)]))
    header = f"{'hostile input':<{width}}{''.join(f'{title:>17}' for title in TITLES)}"
    return [header, *(f"{kind:<{width}}{''.join(f'{n:>17}' for n in row)}" for kind, row in rows)] if counts else []


class Report:
    """A pytest plugin that brings the counts of pytest-xdist's workers together and prints them."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["hostile"] = session.config.stash.get(COUNTS, {})

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        add(node.config.stash.setdefault(COUNTS, {}), getattr(node, "workeroutput", {}).get("hostile", {}))

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if lines := table(config.stash.get(COUNTS, {})):
            terminalreporter.section("hostile inputs")
            for line in lines:
                terminalreporter.write_line(line)


def add(counts: Counts, more: dict[str, Collection[int]]) -> None:
    """Add a worker's counts."""
    for kind, row in more.items():
        counts[kind] = [n + m for n, m in zip(counts.get(kind, [0] * len(TITLES)), row, strict=True)]
