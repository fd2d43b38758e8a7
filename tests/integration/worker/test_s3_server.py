"""What the worker asks of an S3 server: keys, ranges, listings, conditions, checksums and refusals."""

import dataclasses
import os
import random
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.crt.auth
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from transcription_api import names, reasons
from transcription_api.reasons import Reason
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.bucketful import Bucketful
from tests.support.s3 import REGION, S3Server
from tests.support.s3_servers import ENV_SERVER
from tests.support.worker_container import DESTINATION, SOURCE, WorkerContainer

KEYS = {
    "spaces": "a call  of two .txt",
    "percent": "100%25 %2F%.txt",
    "plus": "a+b c.txt",
    "reserved": "?a=1&b#c;d:e@f,g$h'i(j)*k!.txt",
    "markup": '<a>&amp;"b".txt',
    "backslash": "a\\b.txt",
    "accents composed": unicodedata.normalize("NFC", "Müller é.txt"),
    "accents decomposed": unicodedata.normalize("NFD", "Müller é.txt"),
    "emoji": "😀 日本語.txt",
    "dots": "..a/...b/c..txt",
    "two slashes": "a//b.txt",
    "parent folder": "a/../b.txt",
    "own folder": "a/./b.txt",
    "trailing slash": "folder/",
    "newline": "a\nb\t.txt",
    "a long name": "x" * 255,
}
CONTENT = random.Random(3).randbytes(200_000)
# Of the run over many files: fewer on the server that all other tests use.
FILES = 50 if ENV_SERVER in os.environ else 5


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "2")


@pytest.fixture
def bucket(container: WorkerContainer) -> Bucket:
    """Return the destination's bucket, as the worker sees it."""
    return bucket_of(container)


def bucket_of(container: WorkerContainer, name: str = DESTINATION, role: Role = Role.DESTINATION) -> Bucket:
    endpoint = S3Endpoint(name, container.server.url, REGION, path_style=True, credentials_secret_ref=SecretRef("s3"))
    return Bucket(endpoint, role, Paths(container.root))


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_is_found_listed_and_deleted_as_it_was_written(bucket: Bucket, prefix: str, key: str) -> None:
    written = bucket.write(prefix + key, b"text", "text/plain")
    assert bucket.find(prefix + key) == written
    assert [(item.key, item.size, item.etag) for item in bucket.list(prefix)] == [(prefix + key, 4, written.etag)]
    assert bucket.read(prefix + key) == (b"text", written.etag)
    bucket.delete_all([prefix + key])
    assert list(bucket.list(prefix)) == []


def test_a_key_of_1024_bytes_holds_an_object(bucket: Bucket, prefix: str) -> None:
    key = prefix + ("é" * 100 + "/") * 4
    key += "y" * (1024 - len(key.encode()))
    assert len(key.encode()) == 1024
    assert bucket.write(key, b"text", "text/plain") == bucket.find(key)
    assert [item.key for item in bucket.list(prefix)] == [key]


def test_a_name_that_the_server_finds_too_long_is_told_as_that_of_a_result(bucket: Bucket, prefix: str) -> None:
    try:
        bucket.write(prefix + "x" * 300, b"text", "text/plain")
    except WorkerError as error:
        assert error.reason is reasons.RESULT_KEY_TOO_LONG  # noqa: PT017 - S3 itself writes it


def test_an_object_has_the_name_of_a_folder(bucket: Bucket, prefix: str) -> None:
    for name in ("a", "a/b"):
        bucket.write(prefix + name, name.encode(), "text/plain")
    assert [bucket.read(prefix + name)[0] for name in ("a", "a/b")] == [b"a", b"a/b"]
    assert [item.key for item in bucket.list(prefix)] == [prefix + "a", prefix + "a/b"]


def test_composed_and_decomposed_accents_are_two_keys(bucket: Bucket, prefix: str) -> None:
    both = sorted(prefix + KEYS[f"accents {form}"] for form in ("composed", "decomposed"))
    for key in both:
        bucket.write(key, key.encode(), "text/plain")
    assert [item.key for item in bucket.list(prefix)] == both
    assert [bucket.read(key)[0] for key in both] == [key.encode() for key in both]


def test_a_listing_goes_on_over_pages_in_the_order_of_bytes(
    bucket: Bucket, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = [prefix + name for name in ("A", "a b", "a!", "a-b", "a.b", "a/b", "a0", "b", "é", "日", "ｚ", "😀")]
    for key in ordered:
        bucket.put(key, b"", "text/plain")
    listing = bucket._client.list_objects_v2
    monkeypatch.setattr(bucket._client, "list_objects_v2", lambda **options: listing(**options, MaxKeys=3))
    assert [item.key for item in bucket.list(prefix)] == ordered
    assert [item.key for item in bucket.list(prefix, prefix + "a b")] == ordered[2:]
    assert [item.key for item in bucket.list(prefix, prefix + "a,")] == ordered[3:]


def test_ranges_are_read_to_the_byte(bucket: Bucket, prefix: str) -> None:
    key = prefix + "range.bin"
    written = bucket.write(key, CONTENT, "application/octet-stream")
    for begin, count in ((0, 10), (70_000, 1000), (len(CONTENT) - 5, 10)):
        assert bucket.read_range(key, begin, count, written.etag) == (CONTENT[begin : begin + count], written)
    assert bucket.read_range(key, len(CONTENT), 10) == (b"", written)


def test_an_empty_object_is_found_and_read(bucket: Bucket, prefix: str) -> None:
    written = bucket.write(prefix + "empty", b"", "text/plain")
    assert bucket.find(prefix + "empty") == written
    assert bucket.read(prefix + "empty") == (b"", written.etag)
    assert bucket.read_range(prefix + "empty", 0, 10) == (b"", written)


def test_a_range_of_another_version_is_a_changed_source(bucket: Bucket, prefix: str) -> None:
    written = bucket.write(prefix + "a", b"one", "text/plain")
    bucket.write(prefix + "a", b"two", "text/plain")
    with pytest.raises(WorkerError) as caught:
        bucket.read_range(prefix + "a", 0, 2, written.etag)
    assert caught.value.reason is reasons.SOURCE_CHANGED


def test_an_object_that_was_uploaded_in_parts_is_downloaded_whole(
    bucket: Bucket, prefix: str, server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(CONTENT * 60)
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    server.client().upload_file(str(tmp_path / "big"), DESTINATION, prefix + "big", Config=parts)
    bucket.download(prefix + "big", bucket.find(prefix + "big"), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT * 60


def test_a_write_if_nothing_is_there_is_done_once(bucket: Bucket, prefix: str) -> None:
    key = prefix + "once"
    first = bucket.replace(key, b"one", "text/plain", None)
    assert first is not None
    assert bucket.replace(key, b"two", "text/plain", None) is None
    assert bucket.read(key)[0] == b"one"


def test_a_write_over_a_known_object_is_done_only_while_it_is_there(bucket: Bucket, prefix: str) -> None:
    key = prefix + "known"
    first = bucket.write(key, b"one", "text/plain")
    second = bucket.replace(key, b"two", "text/plain", first.etag)
    assert second is not None
    assert bucket.replace(key, b"three", "text/plain", first.etag) is None
    assert bucket.read(key) == (b"two", second.etag)
    bucket.delete(key)
    assert bucket.replace(key, b"four", "text/plain", second.etag) is None
    assert list(bucket.list(key)) == []


def test_of_writers_at_the_same_time_one_finds_nothing_there(bucket: Bucket, prefix: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        bodies = [f"{number}".encode() for number in range(8)]
        ends = list(threads.map(lambda body: bucket.replace(prefix + "race", body, "text/plain", None), bodies))
    (winner,) = [body for body, end in zip(bodies, ends, strict=True) if end is not None]
    assert bucket.read(prefix + "race")[0] == winner


def test_a_body_that_does_not_match_its_checksum_is_refused(bucket: Bucket, prefix: str) -> None:
    with pytest.raises(ClientError):
        bucket._client.put_object(Bucket=DESTINATION, Key=prefix + "damaged", Body=b"text", ChecksumCRC32="AAAAAA==")
    assert list(bucket.list(prefix)) == []


def test_the_checksum_of_a_write_is_kept_for_who_reads(bucket: Bucket, prefix: str, server: S3Server) -> None:
    bucket.write(prefix + "kept", b"123456789", "text/plain")
    held = server.client().head_object(Bucket=DESTINATION, Key=prefix + "kept", ChecksumMode="ENABLED")
    assert held["ChecksumCRC32"] == "y/Q5Jg=="  # the check value of CRC-32, cbf43926
    assert held["ContentType"] == "text/plain"


def test_many_objects_are_deleted_with_one_request_also_those_that_are_gone(bucket: Bucket, prefix: str) -> None:
    keys = [prefix + key for key in ("a b", "c&d", "é+", "e%2F")]
    for key in keys:
        bucket.put(key, b"", "text/plain")
    bucket.delete_all([*keys, prefix + "never there"])
    assert list(bucket.list(prefix)) == []


def refusals(container: WorkerContainer, name: str = SOURCE) -> list[Reason]:
    """Return the reasons for which an object is not found, checked and listed."""
    looking = bucket_of(container, name, Role.SOURCE)
    found = []
    for look in (looking.find, looking.head, lambda key: next(looking.list(key))):
        with pytest.raises(WorkerError) as caught:
            look("no/such.wav")
        found.append(caught.value.reason)
    return found


def test_a_missing_object_and_a_missing_bucket_are_told_apart(container: WorkerContainer) -> None:
    looking = bucket_of(container, SOURCE, Role.SOURCE)
    with pytest.raises(WorkerError) as caught:
        looking.find("no/such.wav")
    assert caught.value.reason is reasons.NO_SUCH_KEY
    assert list(looking.list("no/such.wav")) == []
    found, _, listed = refusals(container, "nowhere")  # a HEAD does not say what is missing
    assert (found, listed) == (reasons.NO_SUCH_BUCKET, reasons.NO_SUCH_BUCKET)


@pytest.mark.parametrize("wrong", ["access key", "secret key"])
def test_wrong_credentials_are_bad_credentials(container: WorkerContainer, wrong: str) -> None:
    key, secret = container.server.access_key, container.server.secret_key
    pair = ("AKIANOBODY0000000000", secret) if wrong == "access key" else (key, "no" + secret[2:])
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, *pair)
    assert refusals(container) == [reasons.BAD_CREDENTIALS] * 3


def test_a_clock_that_is_an_hour_off_is_a_skewed_clock(
    container: WorkerContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = botocore.crt.auth.get_current_datetime

    def late(*arguments: Any, **options: Any) -> datetime:
        moment: datetime = now(*arguments, **options)
        return moment + timedelta(hours=1)

    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "0.1")
    monkeypatch.setattr(botocore.crt.auth, "get_current_datetime", late)
    assert refusals(container) == [reasons.CLOCK_SKEWED] * 3


def test_who_may_read_and_not_list_is_denied_the_listing(container: WorkerContainer, server: S3Server) -> None:
    name = "read-only"
    server.client().create_bucket(Bucket=name)
    server.client().put_object(Bucket=name, Key="a.wav", Body=b"audio")
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, *server.restricted_user(name, ["s3:GetObject"]))
    reading = bucket_of(container, name, Role.SOURCE)
    assert reading.find("a.wav").size == 5
    with pytest.raises(WorkerError) as listed:
        list(reading.list(""))
    with pytest.raises(WorkerError) as missing:
        reading.find("b.wav")
    with pytest.raises(WorkerError) as written:
        reading.put("c.txt", b"", "text/plain")
    assert [error.value.reason for error in (listed, written)] == [reasons.ACCESS_DENIED] * 2
    # S3 does not tell that an object is missing to who may not list; others do.
    assert missing.value.reason in (reasons.ACCESS_DENIED, reasons.NO_SUCH_KEY)


def test_a_run_over_many_files_accounts_for_each_and_a_second_one_finds_them_done(run: Bucketful, audio: bytes) -> None:
    calls = [f"{number % 7} é+&/{number:02} 50%.wav" for number in range(FILES)]
    for name in calls:
        run.put(name, audio)
    total = FILES + len(("a.wav", "b.wav", "sub/a.wav", "sub/c.wav"))
    assert run.plan().to_transcribe == total
    counts, _ = run.transcribe()
    assert (counts.done, counts.failed) == (total, 0)
    counts = run.collect()
    assert (counts.total, counts.done, counts.failed) == (total, total, 0)
    assert {name.removesuffix(".wav") + ".txt" for name in calls} <= set(run.written())
    again = dataclasses.replace(run, uid="8d2eccfb-2").plan()
    assert (again.to_transcribe, again.reused) == (0, total)
    run.delete()
    assert not [name for name in run.written() if not name.startswith("_runs/")]
