"""What stands between marks in a workflow is its user's, whatever it is; marks that are not in pairs are told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import Hostile
from staging_cronjobs.errors import Refused
from staging_cronjobs.model import workflow_parts

SHIPPED = """a: 1
  # staging: yours begin one.x
  b: 2
  # staging: yours end one.x
c: 3
# staging: yours begin two
# staging: yours end two
d: 4
"""


def test_a_text_comes_apart_and_together() -> None:
    assert workflow_parts.of(SHIPPED, "f") == {"one.x": "  b: 2\n", "two": ""}
    assert workflow_parts.of("a: 1\n", "f") == {}
    assert workflow_parts.into(SHIPPED, workflow_parts.of(SHIPPED, "f")) == SHIPPED
    assert workflow_parts.into(SHIPPED, {"two": "x\ny\n", "none": "z\n"}) == SHIPPED.replace(
        "begin two\n", "begin two\nx\ny\n"
    )
    assert workflow_parts.into(SHIPPED, {"one.x": ""}) == SHIPPED.replace("  b: 2\n", "")


@given(st.lists(st.text().filter(lambda line: "\n" not in line and "staging" not in line)))
def test_every_line_stays_what_it_is(lines: list[str]) -> None:
    kept = {"two": "".join(f"{line}\n" for line in lines)}
    assert workflow_parts.of(workflow_parts.into(SHIPPED, kept), "f") == {**workflow_parts.of(SHIPPED, "f"), **kept}


def test_windows_line_ends_stay() -> None:
    text = SHIPPED.replace("\n", "\r\n")
    assert workflow_parts.of(text, "f")["one.x"] == "  b: 2\r\n"
    assert workflow_parts.into(text, workflow_parts.of(text, "f")) == text


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("  # staging: yours end one.x\n", "", "line 5 begins the part two, and one.x has no end. Write `# staging"),
        ("# staging: yours end two\n", "", "begins the part two, which has no end. Write `# staging: yours end two`"),
        ("  # staging: yours begin one.x\n", "", "line 3 ends the part one.x, which has not begun there"),
        ("end one.x", "end one", "line 4 ends the part one, which has not begun there"),
        (
            "begin two\n# staging: yours end two",
            "begin one.x\n# staging: yours end one.x",
            "line 6 begins the part one.x",
        ),
        ("yours begin two", "yours begins two", "line 6 is no whole mark"),
        ("yours begin two", "yours begin", "line 6 is no whole mark"),
        ("yours begin two", "yours begin two mine", "line 6 is no whole mark"),
        ("# staging: yours begin two", "#Staging : Yours begin two", "line 6 is no whole mark"),
        ("# staging: yours begin two", "e: 5 # staging: yours begin two", "line 6 is no whole mark"),
    ],
)
def test_marks_that_are_not_in_pairs_are_told(before: str, after: str, sentence: str, hostile: Hostile) -> None:
    assert SHIPPED.count(before) == 1
    with pytest.raises(Refused, match=re.escape(sentence)) as refused:
        workflow_parts.of(SHIPPED.replace(before, after), "f.yml")
    assert refused.value.message.startswith("f.yml ")
    hostile.tried("names from git", refused.value.message)
