"""The command line: `staging`, and its verbs inside a user's own Typer app."""

import gc

from .app import app
from .mount import mount

__all__ = ["app", "main", "mount"]


def main() -> None:
    """The console script."""
    gc.set_threshold(200_000)  # a command ends soon, and looks for garbage for a quarter of its time otherwise
    app()
