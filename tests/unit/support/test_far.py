"""The proxy that stands for a far network changes nothing but the time."""

import hashlib
import socket
import socketserver
import threading

from far import away


class Echo(socketserver.BaseRequestHandler):
    """Gives back all that it gets, once that has ended, with its digest before it."""

    def handle(self) -> None:
        got = b""
        while chunk := self.request.recv(65_536):
            got += chunk
        self.request.sendall(hashlib.sha256(got).digest() + got)


def test_bytes_arrive_whole_and_in_order_in_both_directions() -> None:
    sent = bytes(range(256)) * 8192
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with away(server.server_address[1], 0.01) as port, socket.create_connection(("127.0.0.1", port)) as far:
            far.sendall(sent)
            far.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: far.recv(65_536), b""))
        server.shutdown()
    assert got == hashlib.sha256(sent).digest() + sent
