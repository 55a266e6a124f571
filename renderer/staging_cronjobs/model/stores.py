"""Where versions write: whether a store is one version's own, and whether two stores are one."""

import re
from collections.abc import Iterable


def is_own(url: str, version: str) -> bool:
    """Whether the URL has the version as a part of its own: `v0.3.0`, `0.3.0` or `0-3-0`, and not `0.3.01`."""
    joints = ".-" if "." in version else [".-"]
    forms = (re.escape(version.replace(".", joint)) + f"(?![{joint}][0-9])" for joint in joints)
    return bool(re.search(rf"(?<![0-9A-Za-z])(?<![0-9][.-])v?({'|'.join(forms)})(?![0-9A-Za-z])", url))


def first_shared(ours: Iterable[str], theirs: Iterable[str]) -> str:
    """The first of our stores that is one of theirs, lies in one, or has one in it; empty when none does."""
    others = [_parts(url) for url in theirs]
    return next((url for url in ours for other in others if _one_in_other(_parts(url), other)), "")


def named_in(url: str, text: str) -> bool:
    """Whether a text, such as a command, names this store or one that lies in it.

    One around it proves nothing: from a bucket's or a dataset's folder a job makes the URLs of all its versions.
    """
    scheme, bucket, *folders = _parts(url)
    top = f"{scheme}://" if scheme else "/" * url.startswith("/")
    start = f"(?<![0-9a-z+.-])(?i:{re.escape(top)}/*{re.escape(bucket)})"
    path = "".join(f"/+(?:\\./+)*{re.escape(folder)}" for folder in folders)
    return bool(bucket and re.search(rf"{start}{path}(?![0-9A-Za-z_~%+-]|\.+[0-9A-Za-z_-])", text))


def _parts(url: str) -> tuple[str, ...]:
    """The scheme and bucket, in any case, and each folder; slashes too many do not make another store."""
    scheme, _, path = url.rpartition("://")
    bucket, *folders = [part for part in path.split("/") if part not in ("", ".")] or [""]
    return (scheme.casefold(), bucket.casefold(), *folders)


def _one_in_other(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
