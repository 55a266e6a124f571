"""What `make soak` does, for a moment: the tool must not rot, and must see what is left."""

import random
from pathlib import Path

import pytest

import soak
from live import Namespace, Staging
from repositories import Repository
from staged import Place, Sentry

FOUR = pytest.mark.parametrize("helm", ["helm4"], indirect=True)


@FOUR
def test_after_pushes_and_deletions_at_random_the_living_branches_are_staged_and_nothing_else(
    staging: Staging, live: Namespace, repository: Repository, sentry: Sentry, tmp_path: Path
) -> None:
    story = soak.made_up(random.Random(5), pushes=8, branches=3)
    assert {event.kind for event in story} == {soak.PUSH, soak.DELETE, soak.BY_HAND}
    tried = soak.Soak(Place(staging, live, repository), sentry, tmp_path, at_once=4)
    tried.play(story)
    tried.examine()
    assert not tried.outcome.wrong
    assert tried.outcome.counts[soak.PUSH] == 8
    sentry.check_in("staging-of-nobody-v1-update")
    live.delete("cronjobs", lost := live.names("cronjobs")[0])
    tried.examine()
    assert {lost, "staging-of-nobody-v1-update"} <= {word for one in tried.outcome.wrong for word in one.split()}
