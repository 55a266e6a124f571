"""Helm's records as whoever may write Secrets can write them."""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from live import Namespace

Edit = Callable[[dict[str, Any]], None]


def unpacked(secret: dict[str, Any]) -> dict[str, Any]:
    """What a record's Secret holds."""
    return json.loads(gzip.decompress(b64decode(b64decode(secret["data"]["release"]))))


def packed(content: object) -> str:
    """What stands in a Secret for such a record."""
    return b64encode(b64encode(gzip.compress(json.dumps(content).encode()))).decode()


def newest(live: Namespace, release: str) -> dict[str, Any]:
    """The Secret of a release's newest revision."""
    return max(live.all("secrets", f"owner=helm,name={release}"), key=lambda s: int(s["metadata"]["labels"]["version"]))


def forge(live: Namespace, release: str, edit: Edit) -> None:
    """Edit what the newest revision of a release holds."""
    secret = newest(live, release)
    content = unpacked(secret)
    edit(content)
    write(live, secret["metadata"]["name"], {"data": {"release": packed(content)}})


def write(live: Namespace, name: str, patch: dict[str, Any]) -> None:
    """Patch a Secret."""
    live.patch("secrets", name, patch, how="merge")
