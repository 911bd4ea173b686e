"""Small HTTP servers for the verbs that ask one: real sockets, answers as given."""

import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answers = Mapping[str, tuple[int, bytes]]


class Server:
    """A running server: where it is, and the requests that it got: methods with paths, heads and bodies."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []


@contextlib.contextmanager
def serving(
    answers: Answers, tls: ssl.SSLContext | None = None, fields: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve these answers by path, everything else as 404, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append(f"{self.command} {self.path}")
            running.heads.append({name.lower(): value for name, value in self.headers.items()})
            running.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(fields or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    running = Server(listener.server_address[1])
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
