"""`python -m controlplane.guard KIND FOLDER`: starts it, says so, and stops it when standard input ends."""

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from controlplane import processes
from controlplane.cluster import KINDS, ControlPlane, Node


def main(kind: str, folder: Path) -> None:
    signal.signal(signal.SIGTERM, _end)
    cluster = KINDS[kind](folder)
    starting = threading.Thread(target=_start, args=(cluster,), daemon=True)
    starting.start()
    try:
        sys.stdin.read()
    finally:
        cluster.stop()
        starting.join()  # its programs are gone: it cannot last
        processes.remove(folder)


def _start(cluster: ControlPlane | Node) -> None:
    try:
        cluster.start()
        answer = "ready"
    except Exception as error:
        answer = f"{error}\n{cluster.last_words()}"
    with suppress(BrokenPipeError):  # the starter is gone
        os.write(sys.stdout.fileno(), f"{json.dumps(answer)}\n".encode())


def _end(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
