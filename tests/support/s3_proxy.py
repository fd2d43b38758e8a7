"""Run a TCP proxy that can cut a server's connections in the middle of an answer, change what it answers, or refuse requests."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Proxy:
    """Cut each of the first `cuts` answers to requests that contain `marker` after `after` bytes, and pass the rest on.

    With `change` these answers are not cut: what it returns for the whole of an answer is passed on instead. With `refusal`
    such requests get that answer and never reach the server.
    """

    def __init__(
        self,
        target: int,
        marker: bytes,
        after: int,
        cuts: int,
        on_cut: Callable[[], None],
        change: Callable[[bytes], bytes] | None = None,
        refusal: bytes | None = None,
    ) -> None:
        self._change = change
        self._refusal = refusal
        self._target = target
        self._marker = marker
        self._after = after
        self._left = cuts
        self._on_cut = on_cut
        self.made = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # shutdown wakes accept, which close alone would not
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # A client that is a proxy itself may close its connection before the end of an answer.
        with (
            contextlib.suppress(ConnectionError),
            client,
            socket.create_connection(("127.0.0.1", self._target)) as upstream,
        ):
            if request := _read_request(client):
                chosen = self._left > 0 and self._marker in request
                if chosen and self._refusal is not None:
                    self.made += 1
                    client.sendall(_closing(self._refusal))
                    return
                upstream.sendall(_closing(request))
                if chosen and self._change is not None:
                    self._answer_otherwise(client, upstream, self._change)
                else:
                    self._answer(client, upstream, chosen)

    def _answer_otherwise(
        self, client: socket.socket, upstream: socket.socket, change: Callable[[bytes], bytes]
    ) -> None:
        self._left -= 1
        self.made += 1
        client.sendall(_closing(change(b"".join(iter(lambda: upstream.recv(1 << 14), b"")))))

    def _answer(self, client: socket.socket, upstream: socket.socket, cut: bool) -> None:
        """Pass on one answer, or its first bytes. It ends with the stream."""
        passed = 0
        while chunk := upstream.recv(1 << 14):
            if cut and passed + len(chunk) > self._after:
                client.sendall(chunk[: self._after - passed])
                self._left -= 1
                self.made += 1
                self._on_cut()
                return
            client.sendall(chunk)
            passed += len(chunk)


def _closing(message: bytes) -> bytes:
    """Return a request or an answer that says that the connection ends with it. The header is no part of a signature.

    Without it the other side may send its next request on a connection that is about to be closed.
    """
    line, _, rest = message.partition(b"\r\n")
    return line + b"\r\nConnection: close\r\n" + rest


def _read_request(client: socket.socket) -> bytes:
    """Read a request with its body, which may come after its head: also one that waits to be told to go on with it."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (chunk := client.recv(1 << 16)):
            return b""
        request += chunk
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if b"100-continue" in head:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = re.sub(rb"(?i)\r\nexpect: 100-continue", b"", request, count=1)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (chunk := client.recv(1 << 16)):
        request, missing = request + chunk, missing - len(chunk)
    return request


@contextmanager
def refusing(target: int, marker: bytes, answer: bytes) -> Iterator[Proxy]:
    """Run a proxy for the block that answers requests that contain `marker` itself."""
    proxy = Proxy(target, marker, 0, 1, lambda: None, refusal=answer)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def changing(target: int, marker: bytes, times: int, change: Callable[[bytes], bytes]) -> Iterator[Proxy]:
    """Run a proxy for the block that changes the first answers to requests that contain `marker`."""
    proxy = Proxy(target, marker, 0, times, lambda: None, change)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def cutting(
    target: int, marker: bytes, after: int, cuts: int, on_cut: Callable[[], None] = lambda: None
) -> Iterator[Proxy]:
    """Run a proxy for the block."""
    proxy = Proxy(target, marker, after, cuts, on_cut)
    try:
        yield proxy
    finally:
        proxy.close()
