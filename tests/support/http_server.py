"""Run a web server on loopback for as long as a block lasts, whose answers a test writes."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # make test-torch installs none
    import trustme

# How often a server looks whether it is to end.
POLL_SECONDS = 0.02


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler], certificate: "trustme.LeafCert | None" = None) -> Iterator[int]:
    """Yield the server's port. With a certificate it speaks https. Requests are kept out of the tests' output."""
    quiet = type(handler.__name__, (handler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), quiet)
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
