"""A TCP server as it would be far away: a proxy in front of it that gives every byte its time on the way.

`python tests/support/far.py PORT SECONDS` prints its own port and serves until its standard input ends. It is a process
of its own, so that what is measured does not wait for it.
"""

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

CHUNK = 65_536


@contextmanager
def away(port: int, seconds: float) -> Generator[int]:
    """The port of a proxy before this machine's `port`, a round trip of so many seconds away."""
    command = [sys.executable, __file__, str(port), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdin
        assert proxy.stdout
        yield int(proxy.stdout.readline())
        proxy.stdin.close()


async def serve(port: int, seconds: float) -> None:
    """Pass every connection on until nobody needs this any more."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The kernel has taken the connection at once; a handshake takes a round trip.
        await asyncio.sleep(seconds)
        there, onwards = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(reader, onwards, seconds / 2), _carry(there, writer, seconds / 2))
        for end in (onwards, writer):
            end.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """One direction: every chunk, and the end, arrives so many seconds after it was sent."""
    loop, way = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def arrive() -> None:
        chunk = b"-"
        while chunk:
            due, chunk = await way.get()
            await asyncio.sleep(due - loop.time())
            with suppress(OSError):  # who is not there any more needs nothing
                writer.write(chunk) if chunk else writer.write_eof()
                await writer.drain()

    arriving = asyncio.create_task(arrive())
    chunk = b"-"
    while chunk:
        try:
            chunk = await reader.read(CHUNK)
        except ConnectionError:
            chunk = b""
        way.put_nowait((loop.time() + seconds, chunk))
    await arriving


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
