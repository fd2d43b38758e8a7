"""Provide the S3 server, spoken audio and the worker's container for the worker's tests."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_worker.batch import planning

from tests.support.bucketful import PROVENANCE, Bucketful
from tests.support.s3 import S3Server
from tests.support.s3_limits import expect_limits
from tests.support.s3_servers import chosen_name, chosen_server
from tests.support.speech import noise, speak, write_wav
from tests.support.testmodel import model_path
from tests.support.worker_container import DESTINATION, SOURCE, SPEECH_KEY, SPEECH_SECONDS, WorkerContainer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect tests to fail that the S3 server is known not to pass."""
    expect_limits(chosen_name(), items)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Yield the S3 server that S3_SERVER names, or else versitygw, with the buckets SOURCE and DESTINATION."""
    with chosen_server(tmp_path_factory.mktemp("s3")) as server:
        client = server.client()
        client.create_bucket(Bucket=SOURCE)
        client.create_bucket(Bucket=DESTINATION)
        yield server


@pytest.fixture(scope="session")
def speech(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return English speech in a local file, which is also in the source bucket at SPEECH_KEY."""
    path = tmp_path_factory.mktemp("speech") / "01.wav"
    samples, _ = speak("en", 501, SPEECH_SECONDS)
    write_wav(path, samples)
    server.client().upload_file(str(path), SOURCE, SPEECH_KEY)
    return path


@pytest.fixture
def container(tmp_path: Path, server: S3Server) -> WorkerContainer:
    """Return a fresh container with the test model in its volume."""
    container = WorkerContainer(tmp_path / "root", server, forked=True)
    container.mount_model(model_path())
    return container


@pytest.fixture
def prefix() -> str:
    """Return a prefix of the destination that no other test writes to."""
    return f"{uuid.uuid4().hex}/"


@pytest.fixture
def audio(tmp_path: Path) -> bytes:
    """Return half a second of noise."""
    path = tmp_path / "noise.wav"
    write_wav(path, noise(1, 0.5))
    return path.read_bytes()


@pytest.fixture
def run(container: WorkerContainer, prefix: str, audio: bytes, monkeypatch: pytest.MonkeyPatch) -> Bucketful:
    """Return a resource over four files."""
    monkeypatch.setattr(planning, "find_model_version", lambda *_: PROVENANCE.model)
    monkeypatch.setattr(planning, "worker_version", lambda: PROVENANCE.worker)
    made = Bucketful(container, prefix)
    for name in ("a.wav", "b.wav", "sub/a.wav", "sub/c.wav"):
        made.put(name, audio)
    return made
