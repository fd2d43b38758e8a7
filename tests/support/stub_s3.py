"""A server of S3's requests whose answers a test writes, for what no S3 server can be made to answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from transcription_api import names
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.http_server import http_server


@dataclass(frozen=True)
class Asked:
    """A request. The names of its headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer; `length` is the Content-Length that it claims, if it is another one than the body's."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    length: int | None = None


def refusal(status: int, code: str = "") -> Answer:
    """Return an answer with S3's error code, or one without a body for a status that names none."""
    return Answer(status, {}, f"<Error><Code>{code}</Code></Error>".encode() if code else b"")


@contextmanager
def stub_s3(answer: Callable[[Asked], Answer]) -> Iterator[tuple[str, list[Asked]]]:
    """Run a server for the block. Yields its URL, and the requests that it got."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            asked.append(Asked(self.command, self.path, headers, body))
            made = answer(asked[-1])
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(made.body) if made.length is None else made.length))
            self.end_headers()
            self.wfile.write(made.body)

        def do_GET(self) -> None:
            self._respond()

        def do_HEAD(self) -> None:
            self._respond()

        def do_PUT(self) -> None:
            self._respond()

    with http_server(Handler) as port:
        yield f"http://127.0.0.1:{port}", asked


def write_secret(root: Path, key: str, token: str | None = None) -> None:
    """Write the Secret of the destination, as the kubelet does."""
    folder = Paths(root).at(names.DESTINATION_CREDENTIALS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (names.SECRET_ACCESS_KEY_ID, names.SECRET_SECRET_ACCESS_KEY):
        (folder / name).write_text(key)
    if token is not None:
        (folder / names.SECRET_SESSION_TOKEN).write_text(token)


def stub_bucket(root: Path, url: str, check_writes: bool = True) -> Bucket:
    """Return the destination on the server of that URL, whose Secret is written."""
    endpoint = S3Endpoint("b", url, "us-east-1", path_style=True, credentials_secret_ref=SecretRef("s3"))
    return Bucket(endpoint, Role.DESTINATION, Paths(root), check_writes)
