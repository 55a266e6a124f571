"""A local HTTP server in a thread of the test: what plays Sentry and what stands before the API server build on it."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast


class LocalServer:
    """Serves from its making to the end of a block, which raises the first error of a handler."""

    def __init__(self, handler: "type[Handler]") -> None:
        self.errors: list[BaseException] = []
        self._server = _Server(handler, self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop. Raises the first error of a handler."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self.errors:
            raise self.errors[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: "type[Handler]", owner: LocalServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that HTTPServer makes."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error and not isinstance(error, ConnectionError):  # a client that gave up, or was killed
            self.owner.errors.append(error)


class Handler(BaseHTTPRequestHandler):
    """One connection to a `LocalServer`, its owner."""

    @property
    def owner(self) -> Any:
        return cast(_Server, self.server).owner

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the owner notes the requests."""
