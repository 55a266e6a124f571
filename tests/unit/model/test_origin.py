"""Who deployed a version, and from where: whatever others wrote, what goes on record is one short printable line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostile import Hostile
from staging_cronjobs.model import origin

RUN = "https://github.com/dynamical-demo/weather/actions/runs/7"
GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "dynamical-demo/weather",
    "GITHUB_RUN_ID": "7",
}


@given(st.text(max_size=400), st.sampled_from(["actor", "subject"]))
@example("a\nb\x1b[31m\u202e\x7f\x85\ufffe\udc80 {{ x }}" * 40, "subject")
def test_any_text_becomes_what_may_be_on_record(text: str, field: str) -> None:
    found = origin.line(text, field)
    assert found.isprintable() and len(found) <= origin.LONGEST[field]
    assert [*origin.problems({field: found})] == []
    assert origin.line(found, field) == found


def test_plain_words_stay_as_they_are() -> None:
    for text in ("octocat[bot]", "Åse Nordmann", "雪", 'Tune "it": {{ x }} # 1'):
        assert origin.line(text, "subject") == text
    assert origin.line("x" * 200, "actor") == f"{'x' * 79}…"
    assert origin.line(" two\n lines\t", "subject") == "two lines"


def test_a_run_of_a_workflow_has_an_address() -> None:
    assert origin.run_on_github(GITHUB) == RUN
    assert origin.run_on_github({}) == ""
    assert origin.run_on_github({**GITHUB, "GITHUB_SERVER_URL": "https://git.example:8443"}).startswith(
        "https://git.example:8443/dynamical-demo/"
    )


BAD = [
    "http://github.com/x",
    "javascript:alert(1)",
    "https://user:secret@github.com/x",
    "https://github.com",
    "https://github.com/x y",
    "https://github.com/x\n",
    "https://github.com/<script>",
    "https://github.com/`id`",
    "https://github.com/$(id)",
    f"https://github.com/{'x' * 300}",
]


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_may_do_harm_is_no_address(address: str, hostile: Hostile) -> None:
    (told,) = origin.problems({"run": address})
    assert told.startswith("record.run ") and len(told) < 200
    assert origin.run_on_github({**GITHUB, "GITHUB_SERVER_URL": address.partition("/x")[0] + "\n"}) == ""
    hostile.tried("names from git", told)


def test_it_is_told_as_the_end_of_a_sentence() -> None:
    assert origin.by("octocat", RUN) == f" by octocat ({RUN})"
    assert (origin.by("octocat", ""), origin.by("", RUN), origin.by("", "")) == (" by octocat", f" ({RUN})", "")
