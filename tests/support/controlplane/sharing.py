"""One cluster for processes that run at the same time, such as the workers of pytest-xdist."""

import fcntl
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from controlplane.cluster import Cluster


@contextmanager
def shared(place: Path, start: Callable[[], AbstractContextManager[Cluster]]) -> Generator[Cluster]:
    """The cluster of all who name this folder: the first one starts it, the others wait for that.

    Whoever started it stops it, once the others have left; who comes after that starts another.
    """
    with (place / "users").open("a") as users, (place / "started").open("a+") as started:
        fcntl.flock(started, fcntl.LOCK_EX)
        started.seek(0)
        if folder := started.read():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(started, fcntl.LOCK_UN)
            yield Cluster(Path(folder))
            return
        with start() as cluster:
            started.write(str(cluster.folder))
            started.flush()
            fcntl.flock(started, fcntl.LOCK_UN)
            try:
                yield cluster
            finally:
                fcntl.flock(started, fcntl.LOCK_EX)
                started.truncate(0)
                fcntl.flock(started, fcntl.LOCK_UN)
                fcntl.flock(users, fcntl.LOCK_EX)
