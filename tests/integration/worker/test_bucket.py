"""Reads and writes to a real S3 server survive a proxy that cuts connections."""

import hashlib
import random
from pathlib import Path

import pytest
from transcription_api import names, reasons
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.s3 import REGION, S3Server
from tests.support.s3_proxy import cutting
from tests.support.worker_container import SOURCE, WorkerContainer

CONTENT = random.Random(7).randbytes(3 << 20)


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "10")


def bucket(container: WorkerContainer, port: int, name: str = SOURCE, role: Role = Role.SOURCE) -> Bucket:
    endpoint = S3Endpoint(
        bucket=name,
        endpoint_url=f"http://127.0.0.1:{port}",
        region=REGION,
        path_style=True,
        credentials_secret_ref=SecretRef("s3"),
    )
    return Bucket(endpoint, role, Paths(container.root))


def put(server: S3Server, key: str, body: bytes = CONTENT) -> str:
    server.client().put_object(Bucket=SOURCE, Key=key, Body=body)
    return key


def test_a_body_that_breaks_off_goes_on_where_it_broke(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    key = put(server, "big.bin")
    before = len(server.requests())
    with cutting(server.port, b"GET /audio/big.bin", after=1_200_000, cuts=2) as proxy:
        reading = bucket(container, proxy.port)
        digest = reading.download(key, bucket(container, server.port).find(key), tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == CONTENT
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert proxy.made == 2
    assert (
        sum("s3_GetObject big.bin" in line for line in server.requests()[before:]) == 4
    )  # one to find it, three to read


def test_an_object_replaced_while_it_is_read_is_never_mixed(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    key = put(server, "changing.bin")
    found = bucket(container, server.port).find(key)

    def replace() -> None:
        put(server, key, CONTENT[::-1])

    marker = b"GET /audio/changing.bin"
    with (
        cutting(server.port, marker, after=1_200_000, cuts=1, on_cut=replace) as proxy,
        pytest.raises(WorkerError) as caught,
    ):
        bucket(container, proxy.port).download(key, found, tmp_path / "changing")
    assert caught.value.reason is reasons.SOURCE_CHANGED


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    import threading

    key = put(server, "patient.bin")
    away = S3Server(tmp_path / "away")
    timer = threading.Timer(2.0, away.start)
    away.folder.joinpath(SOURCE).mkdir()
    away.folder.joinpath(SOURCE, key).write_bytes(b"here again")
    timer.start()
    try:
        assert bucket(container, away.port).read(key) == b"here again"
    finally:
        timer.join()
        away.stop()


def test_an_empty_object_has_a_size_of_nothing(container: WorkerContainer, server: S3Server) -> None:
    found = bucket(container, server.port).find(put(server, "empty.bin", b""))
    assert found.size == 0
    assert found.etag == hashlib.md5(b"").hexdigest()  # noqa: S324 - what S3 calls an ETag


def test_the_size_comes_from_the_answer_to_one_byte(container: WorkerContainer, server: S3Server) -> None:
    assert bucket(container, server.port).find(put(server, "sized.bin")).size == len(CONTENT)


def test_a_write_is_confirmed_by_what_the_bucket_then_holds(container: WorkerContainer, server: S3Server) -> None:
    writing = bucket(container, server.port, role=Role.DESTINATION)
    found = writing.write("written.txt", b"text\n", "text/plain; charset=utf-8")
    held = server.client().head_object(Bucket=SOURCE, Key="written.txt", ChecksumMode="ENABLED")
    assert (found.size, f'"{found.etag}"') == (held["ContentLength"], held["ETag"])
    assert held["ContentType"] == "text/plain; charset=utf-8"
    assert held["ChecksumCRC32"]


def test_credentials_of_each_end_come_from_its_own_folder(container: WorkerContainer, server: S3Server) -> None:
    container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, "nobody", "nothing")
    key = put(server, "mine.bin", b"x")
    assert bucket(container, server.port).read(key) == b"x"
    with pytest.raises(WorkerError) as caught:
        bucket(container, server.port, role=Role.DESTINATION).read(key)
    assert caught.value.reason is reasons.BAD_CREDENTIALS
