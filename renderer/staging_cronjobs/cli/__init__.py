"""The command line: `staging`, and its verbs inside a user's own Typer app."""

from .app import app
from .mount import mount

__all__ = ["app", "main", "mount"]


def main() -> None:
    """The console script."""
    import gc

    gc.set_threshold(100_000, 20, 20)  # else `list` and `status` of 1,000 versions take 35 to 45 % more CPU
    app()
