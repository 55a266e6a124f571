"""Free ports for one control plane, also when several start at the same moment."""

import fcntl
import random
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Below what the system hands out for outgoing connections.
FIRST, LAST, BLOCK = 20000, 30000, 10


@contextmanager
def reserved(file: Path) -> Generator[range]:
    """A block of free ports, locked in the file until the servers have had time to take them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    blocks = [range(first, first + BLOCK) for first in range(FIRST, LAST, BLOCK)]
    with file.open("w") as lock:
        for block in random.sample(blocks, len(blocks)):
            if _lock(lock, block) and all(map(_is_free, block)):
                yield block
                return
    raise RuntimeError(f"no {BLOCK} free ports between {FIRST} and {LAST}")


def _lock(file: IO[str], block: range) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(block), block.start)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("", port))
        except OSError:
            return False
    return True
