"""Stand between the operator and the apiserver: count the operator's writes and its watch events, and inject a fault.

The operator speaks plain HTTP to the proxy, with the token that the proxy passes on over TLS.
"""

import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from tests.support.controlplane import unverified_context

WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Headers of a response that the proxy passes on.
PASSED_ON = ("Content-Type", "Date", "Retry-After")


@dataclass(frozen=True)
class Request:
    """One request of the operator. `path` has the query."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def collection(self) -> str:
        """The path without the query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    @property
    def is_write(self) -> bool:
        """Whether it changes an object of a life. Renewals of the lease go on for ever and do not count."""
        return self.method in WRITES and "/leases" not in self.path

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == ["true"]

    @property
    def may_be_stale(self) -> bool:
        """Whether it asks for any version that a cache of the apiserver holds, and not for what is stored now."""
        version = self.query.get("resourceVersion", [""])[0]
        return not self.is_write and version != "" and (version == "0" or not self.is_watch)

    def __str__(self) -> str:
        kinds = [
            part for part in self.collection.split("/") if part in ("transcriptionjobs", "status", "jobs", "events")
        ]
        return f"{self.method} {'/'.join(kinds)}"


@dataclass(frozen=True)
class Answer:
    """The response to one request."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """One watch of the operator."""

    delivered: list[bytes]

    def deliver(self, line: bytes) -> None: ...


class Fault(Protocol):
    """Decides what becomes of the operator's requests. `number` counts from 1 in a life, and by kind of write."""

    def write(self, kind: str, number: int, request: Request, send: Callable[[], Answer]) -> Answer | None:
        """Answer a write; None closes the connection without an answer."""

    def watch(self, number: int, line: bytes, stream: Stream) -> bool:
        """Deliver a watch event or not; False ends the watch."""


class NoFault:
    """Passes everything on."""

    def write(self, kind: str, number: int, request: Request, send: Callable[[], Answer]) -> Answer | None:
        return send()

    def watch(self, number: int, line: bytes, stream: Stream) -> bool:
        stream.deliver(line)
        return True


@dataclass
class Traffic:
    """What the operator has written, and what its watches have shown, about one resource."""

    name: str
    fault: Fault
    writes: list[str] = field(default_factory=list)  # Jobs, statuses and the resource itself
    events: list[str] = field(default_factory=list)  # Kubernetes events that tell of it
    watched: list[str] = field(default_factory=list)  # watch events

    def is_about(self, text: bytes) -> bool:
        """Whether a text names the resource, or a Job whose name is made of it."""
        return re.search(rf"\b{self.name}\b".encode(), text) is not None


class Proxy:
    """Serves one operator. `inject` sets the fault and begins to count anew."""

    def __init__(self, upstream: str) -> None:
        self.address = urlsplit(upstream).netloc
        self.context = unverified_context()
        self._lock = threading.Lock()
        self._upstreams: set[http.client.HTTPSConnection] = set()
        self.traffic = Traffic("-", NoFault())
        self.writes: list[str] = []  # all since the start, whatever they are about
        self.stale_reads: list[str] = []  # the paths of requests that a lagging cache may answer
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()

    def inject(self, name: str, fault: Fault) -> Traffic:
        """Count what concerns the resource of this name, and apply the fault to it."""
        with self._lock:
            self.traffic = Traffic(name, fault)
            return self.traffic

    def write(self, request: Request, send: Callable[[], Answer]) -> Answer | None:
        """Answer a write, as the fault will have it."""
        with self._lock:
            traffic = self.traffic
            self.writes.append(str(request))
            if not traffic.is_about(request.path.encode() + b" " + request.body):
                traffic = Traffic("-", NoFault())
            kind = "event" if str(request).endswith("events") else "write"
            counted = traffic.events if kind == "event" else traffic.writes
            counted.append(str(request))
            number = len(counted)
        return traffic.fault.write(kind, number, request, send)

    def watch(self, line: bytes, stream: Stream) -> bool:
        """Deliver a watch event, as the fault will have it; return False to end the watch."""
        event = json.loads(line)
        with self._lock:
            traffic = self.traffic
            name = str(event["object"]["metadata"].get("name", "")) if event["type"] != "ERROR" else ""
            if not traffic.is_about(name.encode()):
                traffic = Traffic("-", NoFault())
            traffic.watched.append(f"{event['type']} {event['object']['kind']}")
            number = len(traffic.watched)
        return traffic.fault.watch(number, line, stream)

    def connect(self) -> http.client.HTTPSConnection:
        """Connect to the apiserver."""
        connection = http.client.HTTPSConnection(self.address, context=self.context, timeout=400)
        with self._lock:
            self._upstreams.add(connection)
        return connection

    def disconnect(self) -> None:
        """Cut what a killed operator left open."""
        with self._lock:
            upstreams = [*self._upstreams]
        for connection in upstreams:
            _shut_down(connection)

    def forget(self, connection: http.client.HTTPSConnection) -> None:
        with self._lock:
            self._upstreams.discard(connection)
        connection.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a killed operator left."""


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection of the operator, with one connection to the apiserver."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = self.server.proxy.connect()

    def finish(self) -> None:
        self.server.proxy.forget(self._upstream)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        proxy, request = self.server.proxy, self._request()
        if request.may_be_stale:
            proxy.stale_reads.append(request.path)
        if request.is_watch:
            self._stream(request)
            return
        send = self._sender(request)
        if request.is_write:
            self._answer(proxy.write(request, send))
        else:
            self._answer(send())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server calls them so

    def _request(self) -> Request:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        names = ("Authorization", "Accept", "Content-Type")
        headers = {name: value for name in names if (value := self.headers.get(name))}
        return Request(self.command, self.path, body, headers)

    def _sender(self, request: Request) -> Callable[[], Answer]:
        def send() -> Answer:
            response = self._open(request)
            headers = {name: value for name in PASSED_ON if (value := response.headers.get(name))}
            return Answer(response.status, response.read(), headers)

        return send

    def _open(self, request: Request) -> http.client.HTTPResponse:
        """Send it upstream; once more if the kept connection was closed in the meantime."""
        for last in (False, True):
            try:
                self._upstream.request(request.method, request.path, request.body or None, request.headers)
                return self._upstream.getresponse()
            except (http.client.HTTPException, OSError):
                self._upstream.close()
                if last:
                    raise
        raise AssertionError

    def _answer(self, answer: Answer | None) -> None:
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in (answer.headers | {"Content-Length": str(len(answer.body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream(self, request: Request) -> None:
        """Pass on a watch, event by event, until it ends on either side or the fault ends it."""
        response = self._open(request)
        if response.status != 200:
            self._answer(Answer(response.status, response.read(), {"Content-Type": "application/json"}))
            return
        self.close_connection = True
        self.send_response_only(response.status)
        self.send_header("Content-Type", response.headers["Content-Type"])
        self.send_header("Connection", "close")
        self.end_headers()
        threading.Thread(target=self._await_hangup, daemon=True).start()
        watch = _Watch(self.wfile.write)
        for line in _lines(response):
            if not self.server.proxy.watch(line, watch):
                return

    def _await_hangup(self) -> None:
        """End the watch at the apiserver too, once the operator has closed its side."""
        with suppress(OSError):
            self.connection.recv(1)
        _shut_down(self._upstream)


def _shut_down(connection: http.client.HTTPSConnection) -> None:
    """Wake whoever reads from the connection."""
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


class _Watch:
    """Delivers events to the operator and remembers them."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write
        self.delivered: list[bytes] = []

    def deliver(self, line: bytes) -> None:
        self._write(line)
        self.delivered.append(line)


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the lines of a watch until it ends, however it ends."""
    with suppress(OSError, http.client.HTTPException, ValueError):
        while line := response.readline():
            yield line
