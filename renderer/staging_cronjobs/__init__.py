"""Run several versions of one dataset side by side on Kubernetes."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`mount`, without the command line's imports for whoever needs only the version."""
    if name != "mount":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .cli import mount

    return mount
