"""How messages name a command, for whoever calls `staging` and for whoever calls a program of their own."""

import pytest

from staging_cronjobs.model import command_line

SNOW, BRANCH = ("ridge-snow", "0.2.0"), ("--branch", "stage/ridge-snow/v0.2.0")
OWN = "staging cleanup --branch stage/ridge-snow/v0.2.0"


def test_a_mounted_command_is_named_as_it_is_called_and_only_while_it_runs() -> None:
    assert command_line.cleanup(*SNOW, *BRANCH) == OWN
    with pytest.raises(ZeroDivisionError), command_line.within("main ops"):
        named = "main ops cleanup-staging --dataset-id ridge-snow --version 0.2.0"
        assert command_line.cleanup(*SNOW, *BRANCH) == named
        raise ZeroDivisionError
    assert command_line.cleanup(*SNOW, *BRANCH) == OWN


def test_a_command_leads_where_this_one_was_led() -> None:
    assert command_line.staging("run", "a b") == "staging run 'a b'"
    with command_line.at("weather", ""):
        assert command_line.staging("list") == "staging list --namespace weather"
    with command_line.at("a", "b c"), command_line.within("ops"):
        assert command_line.staging("list") == "uv run staging list --namespace a --context 'b c'"
        told = "ops cleanup-staging --dataset-id ridge-snow --version 0.2.0 --namespace a --context 'b c'"
        assert command_line.cleanup(*SNOW, *BRANCH) == told
    assert command_line.cleanup(*SNOW, *BRANCH) == OWN


def test_an_option_that_a_mounted_command_lacks_is_given_to_the_one_that_has_it() -> None:
    assert command_line.with_option("--keep-branch") == "pass --keep-branch"
    with command_line.within("main"):
        assert command_line.with_option("--keep-branch") == "run `uv run staging cleanup` with --keep-branch"
