"""Reads and writes to a real S3 server survive a proxy that cuts connections, or damages what it passes on."""

import hashlib
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from transcription_api import names, reasons
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.support.s3_proxy import changing, cutting, refusing
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
        assert bucket(container, away.port).read(key)[0] == b"here again"
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
    assert held["ContentType"].replace(" ", "") == "text/plain;charset=utf-8"  # s3proxy writes no space
    assert held["ChecksumCRC32"]


def test_credentials_of_each_end_come_from_its_own_folder(container: WorkerContainer, server: S3Server) -> None:
    container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, "nobody", "nothing")
    key = put(server, "mine.bin", b"x")
    assert bucket(container, server.port).read(key)[0] == b"x"
    with pytest.raises(WorkerError) as caught:
        bucket(container, server.port, role=Role.DESTINATION).read(key)
    assert caught.value.reason is reasons.BAD_CREDENTIALS


def damaged(answer: bytes) -> bytes:
    """Return an answer with another last byte of its body."""
    return answer[:-1] + bytes([answer[-1] ^ 1])


def with_checksum(server: S3Server, key: str) -> str:
    server.client().put_object(Bucket=SOURCE, Key=key, Body=CONTENT, ChecksumAlgorithm="CRC32")
    return key


def test_a_body_that_is_damaged_on_its_way_is_read_again(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    key = with_checksum(server, "damaged.bin")
    found = bucket(container, server.port).find(key)
    with changing(server.port, b"GET /audio/damaged.bin", times=1, change=damaged) as proxy:
        bucket(container, proxy.port).download(key, found, tmp_path / "copy")
    assert proxy.made == 1
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_body_that_is_always_damaged_is_never_taken(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    key = with_checksum(server, "spoilt.bin")
    found = bucket(container, server.port).find(key)
    with (
        changing(server.port, b"GET /audio/spoilt.bin", times=9, change=damaged) as proxy,
        pytest.raises(WorkerError) as caught,
    ):
        bucket(container, proxy.port).download(key, found, tmp_path / "copy")
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE
    assert "FlexibleChecksumError" in caught.value.message
    assert proxy.made == 3


def test_a_body_that_broke_off_and_was_damaged_is_read_again(
    container: WorkerContainer, server: S3Server, tmp_path: Path
) -> None:
    key = with_checksum(server, "both.bin")
    found = bucket(container, server.port).find(key)
    with (
        changing(server.port, b"Range: bytes=", times=1, change=damaged) as damaging,
        cutting(damaging.port, b"GET /audio/both.bin", after=1_200_000, cuts=1) as proxy,
    ):
        bucket(container, proxy.port).download(key, found, tmp_path / "copy")
    assert (proxy.made, damaging.made) == (1, 1)
    assert (tmp_path / "copy").read_bytes() == CONTENT


def weak(answer: bytes) -> bytes:
    """Return an answer as a proxy passes it on that has compressed it, or could have."""
    return answer.replace(b'Etag: "', b'Etag: W/"', 1).replace(b'ETag: "', b'ETag: W/"', 1)


def test_a_weak_etag_is_no_change_of_the_source(container: WorkerContainer, server: S3Server, tmp_path: Path) -> None:
    key = put(server, "weak.bin")
    with changing(server.port, b"/audio/weak.bin", times=9, change=weak) as proxy:
        reading = bucket(container, proxy.port)
        found = reading.find(key)
        reading.download(key, found, tmp_path / "copy")
    assert proxy.made == 2
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "page",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n<html>default backend\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>please sign in",
    ],
)
def test_a_page_of_something_else_is_neither_a_missing_object_nor_audio(
    container: WorkerContainer, server: S3Server, monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "1")
    key = put(server, "page.bin")
    with (
        changing(server.port, b"GET /audio/page.bin", times=99, change=lambda _: page) as proxy,
        pytest.raises(WorkerError) as caught,
    ):
        bucket(container, proxy.port).find(key)
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE
    assert "check endpointURL, and what else answers there" in caught.value.message


def test_a_page_that_stands_there_for_a_moment_is_waited_for(container: WorkerContainer, server: S3Server) -> None:
    key = put(server, "moment.bin")
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"
    with changing(server.port, b"GET /audio/moment.bin", times=1, change=lambda _: page) as proxy:
        assert bucket(container, proxy.port).find(key).size == len(CONTENT)


def test_credentials_that_the_kubelet_has_renewed_are_used_at_once(
    container: WorkerContainer, server: S3Server
) -> None:
    key = put(server, "renewed.bin")
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, "retired", "retired")
    reading = bucket(container, server.port)
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, ACCESS_KEY, SECRET_KEY)
    assert reading.find(key).size == len(CONTENT)


def test_an_object_that_another_deletes_right_after_the_write_is_no_missing_source(
    container: WorkerContainer, server: S3Server
) -> None:
    writing = bucket(container, server.port, role=Role.DESTINATION)
    kept = writing.put

    def put_and_lose(key: str, body: bytes, content_type: str) -> dict[str, Any]:
        answer = kept(key, body, content_type)
        server.client().delete_object(Bucket=SOURCE, Key=key)
        return answer

    writing.put = put_and_lose  # type: ignore[method-assign]
    with pytest.raises(WorkerError) as caught:
        writing.write("lost.txt", b"text", "text/plain")
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE
    assert "'lost.txt' was written and is gone" in caught.value.message


def refused(status: str, code: str, message: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "answer",
    [
        refused("400 Bad Request", "InvalidArgument", "Unsupported header 'x-amz-checksum-crc32' received."),
        refused("501 Not Implemented", "NotImplemented", "Header 'x-amz-checksum-crc32' not implemented"),
    ],
    ids=["Backblaze", "Cloudflare"],
)
def test_a_server_that_knows_no_checksums_in_headers_is_used_without(
    container: WorkerContainer, server: S3Server, tmp_path: Path, answer: bytes
) -> None:
    key = f"unsummed-{len(answer)}.bin"
    with refusing(server.port, b"x-amz-checksum-", answer) as proxy:
        writing = bucket(container, proxy.port, role=Role.DESTINATION)
        written = writing.write(key, CONTENT, "application/octet-stream")
        assert writing.replace(key, b"another", "text/plain", None) is None
        reading = bucket(container, proxy.port)
        reading.download(key, reading.find(key), tmp_path / "copy")
        assert (proxy.made, written.size) == (2, len(CONTENT))  # the first request of each
        writing.delete_all([key])
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert list(bucket(container, server.port).list(key)) == []


def test_objects_are_deleted_with_credentials_that_the_kubelet_has_renewed(
    container: WorkerContainer, server: S3Server
) -> None:
    key = put(server, "deleted-later.bin", b"x")
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, "retired", "retired")
    deleting = bucket(container, server.port)
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, ACCESS_KEY, SECRET_KEY)
    deleting.delete_all([key])
    assert list(bucket(container, server.port).list(key)) == []


def without_token(answer: bytes) -> bytes:
    """Return a page of ListObjectsV2 as a server gives it that knows ListObjects alone."""
    return re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", lambda found: b" " * len(found[0]), answer)


def test_a_server_that_knows_the_first_version_of_a_listing_alone_is_listed_to_its_end(
    container: WorkerContainer, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [put(server, f"first-version/{number}", b"x") for number in range(5)]
    with changing(server.port, b"list-type=2", times=99, change=without_token) as proxy:
        looking = bucket(container, proxy.port)
        for name in ("list_objects", "list_objects_v2"):
            monkeypatch.setattr(looking._client, name, partial(getattr(looking._client, name), MaxKeys=2))
        assert [item.key for item in looking.list("first-version/")] == keys
    assert proxy.made == 1
