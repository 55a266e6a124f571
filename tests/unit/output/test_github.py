"""In a workflow problems are annotations and nobody else's text is a command; elsewhere lines are plain."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from staging_cronjobs.cli.reporting import reported
from staging_cronjobs.errors import Outside, Refused, StagingError, Superseded, Usage
from staging_cronjobs.output import github, printing


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As a step of a workflow; gives the summary's file."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[StagingError], str]:
    """What a command that ends with this error writes to stderr."""

    def run(error: StagingError) -> str:
        def command() -> None:
            raise error

        with pytest.raises(typer.Exit) as ended:
            reported(command)()
        assert ended.value.exit_code == error.exit_code
        return capsys.readouterr().err

    return run


ERRORS = [Usage("a"), Refused("100% of\r x"), Outside("failed: y", "Traceback\n::error::z"), Superseded("moved")]


def test_without_a_workflow_an_error_is_a_plain_line(said: Callable[[StagingError], str]) -> None:
    assert [said(error) for error in ERRORS] == [f"error: {error}\n".replace("\r", r"\r") for error in ERRORS]


def test_in_a_workflow_an_error_is_an_annotation_of_one_line(
    workflow: Path, said: Callable[[StagingError], str]
) -> None:
    assert [said(error) for error in ERRORS] == [
        "::error::a\n",
        "::error::100%25 of\\r x\n",
        "::error::failed: y\nTraceback\n: :error::z\n",
        "::notice::moved\n",
    ]
    lines = workflow.read_text().split("\n\n")
    assert lines == ["**Failed:** a", r"**Refused:** 100% of x", "**Failed:** failed: y", "**Superseded:** moved", ""]


@pytest.mark.parametrize(
    "text",
    [
        "::add-mask::x",
        "  ::error::x",
        "a\n::set-env name=X::y",
        "x ##[error]y",
        "\t::stop-commands::z",
    ],
)
def test_text_of_others_is_no_command_in_a_workflow(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printing.say_text(text)
    assert capsys.readouterr().err == f"{text}\n".expandtabs()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    printing.say_text(text)
    printed = capsys.readouterr().err
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in printed.splitlines())
    assert printed.replace(" ", "") == f"{text}\n".expandtabs().replace(" ", "")


def test_colons_within_a_line_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert printing.no_command("tests/a.py::test_b ## [c]") == "tests/a.py::test_b ## [c]"


def test_what_is_shown_stands_in_the_summary_as_it_is(workflow: Path) -> None:
    github.summarise_shown("Pause", lambda: print("```\n<b>a</b>"))
    assert workflow.read_text() == "### Pause\n\n````text\n```\n<b>a</b>\n````\n\n"


def test_a_summary_that_cannot_be_written_is_a_notice(workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow.mkdir()
    github.summarise(lambda: "text")
    assert capsys.readouterr().err.startswith("::notice::the step's summary could not be written: ")


def test_without_a_summary_nothing_is_made(tmp_path: Path) -> None:
    github.summarise(lambda: pytest.fail("nobody reads this"))
    github.summarise_shown("Pause", lambda: pytest.fail("nobody reads this"))
