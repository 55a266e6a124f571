"""How messages name the cleanup, for whoever calls `staging` and for whoever calls a program of their own."""

import pytest

from staging_cronjobs.model import cleanup_command

SNOW, BRANCH = ("ridge-snow", "0.2.0"), ("--branch", "stage/ridge-snow/v0.2.0")
OWN = "staging cleanup --branch stage/ridge-snow/v0.2.0"


def test_a_mounted_command_is_named_as_it_is_called_and_only_while_it_runs() -> None:
    assert cleanup_command.cleanup(*SNOW, *BRANCH) == OWN
    with pytest.raises(ZeroDivisionError), cleanup_command.within("main ops"):
        named = "main ops cleanup-staging --dataset-id ridge-snow --version 0.2.0"
        assert cleanup_command.cleanup(*SNOW, *BRANCH) == named
        raise ZeroDivisionError
    assert cleanup_command.cleanup(*SNOW, *BRANCH) == OWN
