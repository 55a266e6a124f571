"""Free ports for one control plane, also when several start at the same moment."""

import fcntl
import random
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

# Below what the system hands out for outgoing connections.
FIRST, LAST, BLOCK = 20000, 30000, 10


@contextmanager
def reserved(folder: Path) -> Generator[range]:
    """A block of free ports, locked until the servers have had time to take them."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [range(first, first + BLOCK) for first in range(FIRST, LAST, BLOCK)]
    for block in random.sample(blocks, len(blocks)):
        with (folder / f"{block.start}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if all(map(_is_free, block)):
                yield block
                return
    raise RuntimeError(f"no {BLOCK} free ports between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("", port))
        except OSError:
            return False
    return True
