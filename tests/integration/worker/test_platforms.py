"""The worker runs where the platform chooses its user, and with certificates of the administrator."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest
from transcription_api import names
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_api.task import Task, encode_task
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.http_server import http_server
from tests.support.s3 import REGION, S3Server, free_port, s3_server
from tests.support.testmodel import model_path
from tests.support.worker_container import SOURCE, SPEECH_KEY, WorkerContainer

# A user as OpenShift chooses it, of whom no file of the system knows; its group is root's. The files of the test are
# its own, since the user namespace shows those of the user that made it as its own.
ANY_USER = ("unshare", "--user", "--map-user=1000670000", "--map-group=0")


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Yield an S3 server with a certificate of its own, and one object on it."""
    with s3_server(tmp_path_factory.mktemp("tls"), tls=True) as server:
        client = server.client()
        client.create_bucket(Bucket=SOURCE)
        client.put_object(Bucket=SOURCE, Key="a.wav", Body=b"audio")
        yield server


def bucket_at(url: str, container: WorkerContainer) -> Bucket:
    endpoint = S3Endpoint(SOURCE, url, REGION, path_style=True, credentials_secret_ref=SecretRef("s3"))
    return Bucket(endpoint, Role.SOURCE, Paths(container.root))


@pytest.fixture
def bucket(tmp_path: Path, tls_server: S3Server) -> Bucket:
    return bucket_at(tls_server.url, WorkerContainer(tmp_path / "root", tls_server))


def test_a_server_with_the_administrators_certificate_is_trusted(
    tls_server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_server.certificate))
    assert request.getfixturevalue("bucket").find("a.wav").size == len(b"audio")


class ProxyHandler(BaseHTTPRequestHandler):
    """Answers as S3 does for the first of five bytes, whatever host it is asked for, and keeps the URLs."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(206)
        for name, value in (("Content-Range", "bytes 0-0/5"), ("Content-Length", "1"), ("ETag", '"e"')):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"a")


def test_s3_is_reached_through_the_proxy(container: WorkerContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(ProxyHandler) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        found = bucket_at("http://s3.example.com:9000", container).find("a.wav")
    assert found.size == 5
    assert ProxyHandler.seen == [f"http://s3.example.com:9000/{SOURCE}/a.wav"]


def test_a_host_that_needs_no_proxy_is_reached_directly(
    container: WorkerContainer, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", ".svc,127.0.0.1")
    assert bucket_at(container.server.url, container).find(SPEECH_KEY).size == speech.stat().st_size


def _may_map_users() -> bool:
    return subprocess.run([*ANY_USER, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_map_users(), reason="this machine allows no user namespaces")
def test_a_user_that_the_image_does_not_know_can_transcribe_and_its_group_may_change_the_cache(
    container: WorkerContainer, speech: Path, prefix: str
) -> None:
    container.prefix = ANY_USER
    container.env["HOME"] = "/nonexistent"
    container.server.client().upload_file(str(model_path()), SOURCE, "models/tiny.pt")
    model = {"s3": container.endpoint(bucket=SOURCE, key="models/tiny.pt"), "cache": {"type": "Node"}}
    ended = container.run(container.spec(SPEECH_KEY, prefix, model=model))
    assert ended.code == 0, ended.log
    kept = list(container.at(names.MODEL_CACHE_DIR).rglob("*"))
    assert [path for path in kept if path.is_file()]
    assert [path for path in kept if not path.stat().st_mode & 0o020] == []


# Fetches the model of a task as the worker does.
FETCH = """
import sys
from pathlib import Path
from transcription_api.task import parse_task
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths
try:
    fetch_model(parse_task(sys.stdin.read()).parsed().model, Paths(Path(sys.argv[1])), "team-a")
except WorkerError as error:
    print(error)
"""


@pytest.mark.skipif(not _may_map_users(), reason="this machine allows no user namespaces")
def test_a_cache_that_the_user_may_not_write_to_is_told(container: WorkerContainer) -> None:
    container.server.client().upload_file(str(model_path()), SOURCE, "models/other.pt")
    cache = container.at(names.MODEL_CACHE_DIR)
    cache.mkdir(parents=True)
    cache.chmod(0o555)
    model = {"s3": container.endpoint(bucket=SOURCE, key="models/other.pt"), "cache": {"type": "Node"}}
    task = encode_task(Task("team-a", "interview", "uid-1", container.spec("a.wav", model=model)))
    command = [*ANY_USER, sys.executable, "-c", FETCH, str(container.root)]
    told = subprocess.run(command, input=task, capture_output=True, text=True, check=True).stdout
    assert told.startswith("ModelCacheNotWritable: spec.model.cache: user 1000670000 with the groups [0")
