"""The command line: `staging`, and its verbs inside a user's own Typer app."""

from .app import app
from .mount import mount

__all__ = ["app", "main", "mount"]


def main() -> None:
    """The console script."""
    app()
