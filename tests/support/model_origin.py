"""A server of one model that openai-whisper publishes, over http or https, and a proxy that tunnels to it."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import trustme

from tests.support.http_server import http_server

# What answers a GET: it gets the handler, which sends what it likes.
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def model_origin(answer: Answer, certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    """Run a server for the block and yield its port. With a certificate it speaks https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

    with http_server(Handler, certificate) as port:
        yield port


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

    with http_server(Handler) as port:
        yield port, asked


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
