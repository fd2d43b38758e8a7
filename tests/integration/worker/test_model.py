"""A model from S3 is cached, unless its digest is wrong."""

from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import Model, S3Object, SecretRef, parse_spec
from transcription_api.task import Task
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import transcribe_object
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths
from transcription_worker.progress import ProgressTracker

from tests.support.s3 import REGION, S3Server
from tests.support.testmodel import model_path
from tests.support.worker_container import SOURCE, WorkerContainer

KEY = "models/own.pt"
DIGEST = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"  # of b"second"


def model_of(server: S3Server, sha256: str | None = None) -> Model:
    where = S3Object(
        bucket=SOURCE,
        key=KEY,
        endpoint_url=server.url,
        region=REGION,
        path_style=True,
        credentials_secret_ref=SecretRef("s3"),
    )
    return Model(s3=where, sha256=sha256)


def put(server: S3Server, body: bytes) -> None:
    server.client().put_object(Bucket=SOURCE, Key=KEY, Body=body)


def cached(paths: Paths) -> list[Path]:
    return [path for path in paths.model_cache.rglob("*") if path.is_file()]


def test_without_a_digest_the_etag_says_whether_the_cache_is_right(
    container: WorkerContainer, server: S3Server
) -> None:
    paths = Paths(container.root)
    put(server, b"first")
    first = fetch_model(model_of(server), paths, "team-a")
    assert first.path.read_bytes() == b"first"
    before = len(server.requests())
    assert fetch_model(model_of(server), paths, "team-a").path == first.path
    assert len(server.requests()) == before + 1  # for the ETag alone

    put(server, b"second")
    assert fetch_model(model_of(server), paths, "team-a").path.read_bytes() == b"second"


def test_with_a_digest_the_cache_is_used_without_the_server(container: WorkerContainer, server: S3Server) -> None:
    paths = Paths(container.root)
    put(server, b"second")
    first = fetch_model(model_of(server, DIGEST), paths, "team-a")
    before = len(server.requests())
    again = fetch_model(model_of(server, DIGEST), paths, "team-a")
    assert again == first
    assert len(server.requests()) == before


def test_an_object_with_another_digest_never_enters_the_cache(container: WorkerContainer, server: S3Server) -> None:
    paths = Paths(container.root)
    put(server, b"first")
    with pytest.raises(WorkerError) as caught:
        fetch_model(model_of(server, DIGEST), paths, "team-a")
    assert caught.value.reason is reasons.MODEL_DIGEST_MISMATCH
    assert cached(paths) == []


def test_the_same_url_in_another_namespace_is_another_server_and_another_model(
    container: WorkerContainer, server: S3Server
) -> None:
    paths = Paths(container.root)
    put(server, b"first")
    first = fetch_model(model_of(server), paths, "team-a")
    first.path.write_bytes(b"team-a's own")  # stands for what team-a's server of that name has
    assert fetch_model(model_of(server), paths, "team-b").path.read_bytes() == b"first"


@pytest.mark.parametrize("damage", [b"", b"firsT"])
def test_a_damaged_model_in_the_cache_is_downloaded_again(
    container: WorkerContainer, server: S3Server, damage: bytes
) -> None:
    paths = Paths(container.root)
    put(server, b"first")
    fetch_model(model_of(server), paths, "team-a").path.write_bytes(damage)
    assert fetch_model(model_of(server), paths, "team-a").path.read_bytes() == b"first"


def test_a_task_finds_no_model_in_the_cache_that_another_namespace_left_there(
    container: WorkerContainer, server: S3Server, prefix: str, audio: bytes
) -> None:
    paths = Paths(container.root)
    paths.scratch.mkdir(parents=True)
    put(server, model_path().read_bytes())
    server.client().put_object(Bucket=SOURCE, Key=f"{prefix}call.wav", Body=audio)
    model = {"s3": container.endpoint(bucket=SOURCE, key=KEY)}
    asked = {"engine": "openai-whisper", "decoding": {"temperatures": [0], "beamSize": 1}, "rerun": "Force"}
    spec = parse_spec(container.spec(f"{prefix}call.wav", prefix, model=model, **asked))
    for namespace, files in (("team-a", 2), ("team-b", 4)):  # each model has its digest beside it
        transcribe_object(Task(namespace, "one", "7c1dbb0a", {}), spec, paths, ProgressTracker(), {})
        assert len(cached(paths)) == files
