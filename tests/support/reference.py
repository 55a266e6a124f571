"""What docs/commands.md says of a command's JSON."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def fields_told(command: str) -> set[str]:
    """The words in code of a command's own section."""
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## )", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z_]+)`", section))
