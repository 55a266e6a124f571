"""Versions in a file of the project's own: read as text, never run, and refused where two answers are possible."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import Hostile
from staging_cronjobs.errors import Refused, Usage
from staging_cronjobs.model import settings, version_source
from staging_cronjobs.model.settings import Settings

ID = "ridge-snow"


def version(setting: str, text: str) -> str | None:
    source = version_source.parse(setting)
    assert source
    return source.version(text, "f on origin/main", ID)


PYTHON = """
import os
VERSION = "0.2.0"
TYPED: str = "0.3.0"
VERSIONS = {"ridge-snow": "0.4.0", "x": os.getenv("x")}
CONFIG = TemplateConfig(dataset_id="ridge-snow", version="0.5.0")
class Snow(Dataset):
    version: str = "0.6.0"
    class Inner:
        config = Config(versions={"ridge-snow": "0.7.0"})
print("never run")
raise SystemExit
"""


@pytest.mark.parametrize(
    ("setting", "text", "found"),
    [
        ("v.json:{dataset_id}", '{"ridge-snow": "0.2.0"}', "0.2.0"),
        ("v.json:a.{dataset_id}.version", '{"a": {"ridge-snow": {"version": "0.2.0"}}}', "0.2.0"),
        ("v.json:{dataset_id}", '{"other": "0.2.0"}', None),
        ("v.json:a.{dataset_id}.version", '{"a": {}}', None),
        ("v.toml:datasets.{dataset_id}", '[datasets]\nridge-snow = "0.2.0"', "0.2.0"),
        ("v.toml:datasets.{dataset_id}", "[datasets]", None),
        ("{template}/v.toml:version", 'version = "1"', "1"),
        ("v.py:VERSION", PYTHON, "0.2.0"),
        ("v.py:TYPED", PYTHON, "0.3.0"),
        ("v.py:VERSIONS.{dataset_id}", PYTHON, "0.4.0"),
        ("v.py:CONFIG.version", PYTHON, "0.5.0"),
        ("v.py:Snow.version", PYTHON, "0.6.0"),
        ("v.py:Snow.Inner.config.versions.{dataset_id}", PYTHON, "0.7.0"),
        ("v.py:VERSIONS.{dataset_id}", 'VERSIONS = {"other": "1"}', None),
    ],
)
def test_a_version_is_read(setting: str, text: str, found: str | None) -> None:
    assert version(setting, text) == found


@pytest.mark.parametrize(
    ("setting", "text", "sentence"),
    [
        ("v.json:a", "{", "f on origin/main cannot be read as JSON"),
        ("v.json:a", "[" * 100_000, "cannot be read as JSON"),
        ("v.toml:a", "=", "cannot be read as TOML"),
        ("v.py:A", "def", "cannot be read as Python"),
        ("v.py:A", "\0", "cannot be read as Python"),
        ("v.py:A", "(" * 100_000, "cannot be read as Python"),
        ("v.json:a", '"x"', "has no a that can be read as it stands"),
        ("v.json:a", "{}", "has no a that can be read as it stands"),
        ("v.json:a.{dataset_id}", "{}", "has no a that can be read"),
        ("v.json:{dataset_id}.v", '{"ridge-snow": {}}', "has no ridge-snow.v that can be read"),
        ("v.json:{dataset_id}", '["ridge-snow"]', "has no ridge-snow that can be read"),
        ("v.json:a", '{"a": 1}', "has 1 as a, which cannot be compared"),
        ("v.json:a", '{"a": "latest"}', "has 'latest' as a, which cannot be compared"),
        ("v.json:a", '{"a": "1\\n"}', "has '1\\n' as a, which cannot be compared"),
        ("v.json:a", json.dumps({"a": {"b": "x" * 999}}), "has {'b': 'xxx"),
        ("v.py:A", 'A = "1"\nA = "2"', "has more than one A that can be read"),
        ("v.py:A", 'A = read("1")', "has code as A"),
        ("v.py:A", 'A = f"{x}"', "has code as A"),
        ("v.py:A", 'if x:\n    A = "1"', "has no A that can be read"),
        ("v.py:A", "A: str", "has no A that can be read"),
        ("v.py:A.{dataset_id}", 'A = {**B, "x": "1"}', "has no A.ridge-snow that can be read"),
        ("v.py:A.{dataset_id}", 'A = {"ridge-snow": "1", "ridge-snow": "2"}', "has more than one A.ridge-snow"),
        ("v.py:A.{dataset_id}", "A = load()", "has no A.ridge-snow that can be read"),
        ("v.py:A.version", "A = Config(**x)", "has no A.version that can be read"),
        ("v.py:{dataset_id}", "A = 1", "has no ridge-snow that can be read"),
    ],
)
def test_what_cannot_be_compared_is_refused(setting: str, text: str, sentence: str, hostile: Hostile) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)) as refused:
        version(setting, text)
    hostile.tried("names from git", refused.value.message)


@given(st.text(), st.sampled_from(["v.json:a.{dataset_id}", "v.toml:a", "v.py:A.b"]))
def test_any_text_is_read_or_refused(text: str, setting: str) -> None:
    try:
        assert version(setting, text) is None
    except Refused as refused:
        assert len(refused.message) < 400


@pytest.mark.parametrize(
    "setting",
    (
        *("v", "v.json", "v.yaml:a", "v.json:", ":a", "v.json:a..b", "v.json:a:b", "{x}.json:a", "v.json:{x}"),
        *(
            "v.json:{a}.b",
            "x{template}/v.json:a",
            "v.json:a b",
            "v\n.json:a",
            "{dataset_id:a.json",
            "v.json:x{dataset_id}",
        ),
    ),
)
def test_a_setting_that_cannot_be_used_is_told(setting: str, hostile: Hostile) -> None:
    with pytest.raises(Usage, match="It must be a JSON, TOML or Python file and a key in it") as refused:
        settings.load(None, {"STAGING_VERSION_SOURCE": setting})
    hostile.tried("settings of a branch", refused.value.message)


def test_main_says_where_its_versions_are() -> None:
    own, text = Settings(version_source="x.json:a"), '[tool.staging-cronjobs]\nversion-source = "v.json:b"\n'
    assert settings.from_main(own, text, "main").version_source == "v.json:b"
    assert settings.from_main(own, "", "main").version_source == ""
    newer = text.replace("v.json", "v.xml")  # a cleanup by an older program must not stop for it
    assert settings.from_main(own, newer, "main").version_source == "v.xml:b"
