"""A server of one model that openai-whisper publishes, over http or https, and a proxy that tunnels to it."""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

# What answers a GET: it gets the handler, which sends what it likes.
Answer = Callable[[BaseHTTPRequestHandler], None]
# How often a server looks whether it is to end.
POLL_SECONDS = 0.02


@contextmanager
def model_origin(answer: Answer, certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    """Run a server for the block and yield its port. With a certificate it speaks https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        # A client that refuses the certificate ends the handshake, which is to happen in the connection's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def tunnel(target: int, status: int = 200) -> Iterator[tuple[int, list[str]]]:
    """Run a proxy for the block that leads whatever it is asked to CONNECT to, to a port of this machine.

    Yields:
        Its port, and the hosts and ports that it was asked for. With another status than 200 it leads nowhere.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            if status == 200:
                with socket.create_connection(("127.0.0.1", target)) as upstream:
                    _pass_on(self.connection, upstream)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until either side closes."""
    ends = {one: other, other: one}
    while True:
        for ready in select.select(list(ends), [], [])[0]:
            try:
                chunk = ready.recv(1 << 16)
                ends[ready].sendall(chunk)
            except OSError:
                return
            if not chunk:
                return
